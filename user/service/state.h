/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's state is what is pinned below /sys/fs/bpf/lbctl/NAME, and nothing else. This
 * module opens, locks, makes and removes such a directory, always as a whole: it is built as
 * `_new-PID`, renamed in place, and renamed to `_gone-PID` before it is taken apart. Whoever
 * holds the lock of the root directory may clear away every `_` entry: its maker is dead.
 *
 *	NAME/lb_config ...		the maps that all listeners share
 *	NAME/lb_track, lb_track_link	counts connections; where that, or lb_dispatch, is attached
 *	NAME/lb_dispatch ...		what it shares with the services beside it: see dispatch.h
 *	NAME/latency/			what measures latency, as it is attached
 *	NAME/listenerN/lb_sockets	what listener N has of its own, lb_steer is its program
 */
#ifndef STATE_H
#define STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parse.h"
#include "base/trouble.h"
#include "lb_abi.h"

#define STATE_BPFFS "/sys/fs/bpf"
#define STATE_ROOT STATE_BPFFS "/lbctl"
#define STATE_DIR_BYTES 96
#define STATE_PATH_BYTES (STATE_DIR_BYTES + 40)
#define STATE_LOCK_MS 10000 /* that one may have it, while others wait */

enum state_map {
	MAP_CONFIG,
	MAP_WORKERS,
	MAP_COOKIES,
	MAP_SCHEDULE,
	MAP_LOAD,
	MAP_STATS,
	MAP_COUNTERS,
	MAP_RECENT,
	MAP_MIGRATED,
	MAP_WAKE,
	MAP_HOLD,
	MAP_WAITING,
	MAP_IDLE,
	MAP_ASK,
	MAP_CURSOR,  /* only where the kernel has no BPF atomics with a result */
	MAP_CONNS,   /* only where connections are counted; see track.h */
	MAP_TRACE,   /* not of a service that an earlier lbctl made */
	MAP_LATENCY, /* only while latency is measured; see latency.h */
	MAP_SHARED_COUNT,
	MAP_SOCKETS = MAP_SHARED_COUNT,
	MAP_QUEUES,
	MAP_STALLS,
	MAP_FLOWS, /* of UDP listeners only */
	MAP_COUNT,
};

/*
 * A map's memory, shared with the kernel. Another lbctl may have made it, with values that are
 * longer or shorter than our structs, so entries are reached by the functions below only.
 */
struct state_array {
	void *at;	      /* NULL = not mapped */
	size_t bytes;	      /* that are mapped */
	size_t stride;	      /* from one entry to the next */
	uint32_t value_bytes; /* of the map; also known of one that can't be mapped */
};

struct state_listener {
	int sockets_fd;
	int queues_fd;
	int stalls_fd;
	int prog_fd;
	struct state_array queues;
	struct state_array stalls;
};

struct state {
	char name[LB_NAME_MAX + 1];
	char dir[STATE_DIR_BYTES]; /* where it is pinned now */
	int root_fd;		   /* locked while the service is made or removed, else -1 */
	int dir_fd;		   /* locked when opened with STATE_LOCK */
	bool fresh;		   /* made, not yet committed */
	uint32_t flows;		   /* room of the next UDP listener's flow table */
	int maps[MAP_SHARED_COUNT];
	struct state_listener listeners[LB_MAX_LISTENERS];
	uint32_t nr_listeners; /* of them open here */
	int track_prog_fd;     /* -1 = this service's connections are not counted */
	int track_link_fd;
	struct state_array arrays[MAP_SHARED_COUNT];
	struct lb_config *config;
	uint64_t *schedule;
};

static inline void *state_entry(const struct state_array *array, uint32_t slot)
{
	return (char *)array->at + slot * array->stride;
}

/*
 * How many slots have been in use. Another lbctl may raise it at any moment: read it once for what
 * is sized by it and for the loop that fills it. Never more than LB_MAX_SLOTS.
 */
static inline uint32_t state_used_slots(const struct state *state)
{
	uint32_t used = __atomic_load_n(&state->config->used_slots, __ATOMIC_ACQUIRE);

	return used < LB_MAX_SLOTS ? used : LB_MAX_SLOTS;
}

/*
 * The entry of a slot in a map that is indexed by slot, and of a listener's. Fields that were
 * appended are read by state_field() only, and no entry is copied or assigned as a whole.
 */
static inline struct lb_worker *state_worker(const struct state *state, uint32_t slot)
{
	return state_entry(&state->arrays[MAP_WORKERS], slot);
}

static inline struct lb_load *state_load(const struct state *state, uint32_t slot)
{
	return state_entry(&state->arrays[MAP_LOAD], slot);
}

static inline struct lb_stats *state_stats(const struct state *state, uint32_t slot)
{
	return state_entry(&state->arrays[MAP_STATS], slot);
}

static inline struct lb_queue *state_queue(const struct state *state, uint32_t listener,
					   uint32_t slot)
{
	return state_entry(&state->listeners[listener].queues, slot);
}

static inline struct lb_stall *state_stall(const struct state *state, uint32_t listener,
					   uint32_t slot)
{
	return state_entry(&state->listeners[listener].stalls, slot);
}

static inline struct lb_hold *state_hold(const struct state *state)
{
	return state->arrays[MAP_HOLD].at;
}

static inline struct lb_idle *state_idle(const struct state *state, uint32_t slot)
{
	return state_entry(&state->arrays[MAP_IDLE], slot);
}

static inline struct lb_waiting *state_waiting(const struct state *state, uint32_t index)
{
	return state_entry(&state->arrays[MAP_WAITING], index);
}

/*
 * A field that was appended, 0 where the map that `entry` is in lacks it:
 * state_field(&state->arrays[MAP_STATS], state_stats(state, slot), field)
 */
#define state_field(array, entry, field)                                                           \
	(LB_HAS((array)->value_bytes, __typeof__(*(entry)), field) ? (entry)->field : 0)

/* Copies of whole entries; what the map lacks is 0. */
struct lb_worker state_worker_copy(const struct state *state, uint32_t slot);
struct lb_stats state_stats_copy(const struct state *state, uint32_t slot);

/* Writes a whole entry; what the map has more becomes 0. */
void state_worker_set(struct state *state, uint32_t slot, const struct lb_worker *worker);

/*
 * The same for maps that are not mapped: copies the value of a key out of a shared map, or into it.
 * `bytes` is the size of the struct. Return 0, -ENOENT (no such key) or -errno.
 */
int state_lookup(const struct state *state, enum state_map map, const void *key, void *value,
		 size_t bytes);
int state_update(const struct state *state, enum state_map map, const void *key, const void *value,
		 size_t bytes);
/* Takes a key out, if it is there. */
void state_delete(const struct state *state, enum state_map map, const void *key);

/*
 * Where the socket with this cookie is registered. Returns 0 or -ENOENT, also where the map names a
 * slot or a listener that there is not.
 */
int state_place(const struct state *state, uint64_t cookie, struct lb_place *place);

/*
 * The bytes that values have in the service's maps, for a program that is to use them; in the maps
 * that it makes itself they are as in our structs. `listener` is whose queues and stalls it uses.
 */
void state_sizes(const struct state *state, const struct state_listener *listener,
		 struct lb_sizes *sizes);

enum state_mode {
	STATE_READ, /* look, without a lock */
	STATE_LOCK, /* change: wait for whoever changes it now */
};

const char *state_map_name(enum state_map map);

/* Mounts a bpffs where lbctl pins, if there is none. Returns 0 or -ENODEV. */
int state_mount_bpffs(void);

/*
 * Removes what commands that were killed have left and nobody can name: a service that was not
 * whole yet, or not any more. Returns 0, -EACCES, -EBUSY (some command takes too long) or -errno.
 */
int state_sweep(void);

/*
 * Names of all services, sorted. Returns 0, -ENODEV (no bpffs), -EACCES or -errno. The caller
 * frees *names and nothing in it.
 */
int state_names(char (**names)[LB_NAME_MAX + 1], size_t *count);

/*
 * Opens a service. Returns 0, or -errno after which the state needs no state_close():
 * -ENOENT no such service, -ENODEV no bpffs, -EACCES or -EPERM not ours to open, -ESTALE made by
 * an lbctl with another LB_ABI_VERSION, -EUCLEAN a pin is missing or is not what it should be,
 * -EBUSY another lbctl held the lock for STATE_LOCK_MS.
 */
int state_open(struct state *state, const char *name, enum state_mode mode);
void state_close(struct state *state);
/*
 * Locks a service that was opened with STATE_READ, as STATE_LOCK does. The lock is the open
 * directory's: of a process and its children that have it, the first to unlock lets go of it.
 * Returns 0, -ENOENT (the service is gone, or another one has its name), -EBUSY or -errno.
 */
int state_lock(struct state *state);
/* Is the service there still, and is it this one? */
bool state_is_there(const struct state *state);
/* Lets others change the service from here on; the state can still be read. */
void state_unlock(struct state *state);

/*
 * Keeps others from making and removing services, until *fd is closed: -1 where the state has that
 * lock already, as it is being made. Returns 0, -EBUSY or -errno.
 */
int state_lock_all(const struct state *state, int *fd);

/*
 * Begins a service: an empty directory that nobody sees. steer_add_listener() fills it, then
 * state_commit() gives it its name. state_close() without a commit takes it away again.
 * Returns 0, -EEXIST, -EBUSY, -ENODEV, -EPERM or -errno.
 */
int state_create(struct state *state, const char *name);
int state_commit(struct state *state);

/* For state.c: opens and closes all that is pinned; clear sets what is not open. 0 or -errno. */
int state_maps_open(struct state *state);
void state_maps_close(struct state *state);
void state_maps_clear(struct state *state);

/* mmaps what is mmapable of the shared maps; for a fresh state once its maps exist. */
int state_map_shared(struct state *state);
int state_map_listener(struct state *state, uint32_t listener);

/* Path of a pin: a shared map (listener ignored), one of listener's maps, or its program. */
void state_pin_path(const struct state *state, enum state_map map, uint32_t listener,
		    char out[STATE_PATH_BYTES]);
void state_listener_path(const struct state *state, uint32_t listener, const char *file,
			 char out[STATE_PATH_BYTES]);

/* Puts the service's shared maps in place of those that a BPF object would make. 0 or -errno. */
struct bpf_object;
int state_reuse_maps(const struct state *state, struct bpf_object *object);

/*
 * Pins `fd` as `name` in the service's directory, in place of what was there, with no time without.
 */
int state_pin(const struct state *state, int fd, const char *name);

/*
 * Removes all pins of a service, whole or broken, of any version; the caller detached its
 * programs. Returns 0, -ENOENT, -EBUSY or -errno.
 */
int state_remove(const char *name);

/* The sentence for an error of state_open(), state_create() and the like. */
int state_trouble(struct trouble *trouble, const char *service, int err);

#define STATE_MOST_PROGRAMS (2 * LB_MAX_LISTENERS)
/*
 * The ids of a service's programs, by their pins and by lb_config, so that one of the two is
 * enough; for a service that state_open() refuses. An id may stand there twice. Returns their
 * number (at most max; STATE_MOST_PROGRAMS is room for all) or -errno.
 */
int state_program_ids(const char *name, uint32_t *ids, size_t max);

#endif
