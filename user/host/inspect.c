// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs the iterators of bpf/inspect.bpf.c and collects its records, sorted by cookie. */
#include "host/inspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/probe.h"
#include "host/sockdiag.h"
#include "inspect.skel.h"

#define ATTEMPTS 5

static int compare_cookies(const void *a, const void *b)
{
	const struct lb_listening *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int make_room(struct inspect_list *out, size_t len_bytes, size_t *room_bytes)
{
	struct lb_listening *grown;

	if (*room_bytes - len_bytes >= 4096)
		return 0;
	*room_bytes = *room_bytes < 65536 ? 65536 : *room_bytes * 2;
	grown = realloc(out->items, *room_bytes);
	if (!grown)
		return -ENOMEM;
	out->items = grown;
	return 0;
}

/*
 * Appends what the iterator tells, with room for one more; EAGAIN is how it ends. One that has
 * ended (NULL = never does) is not asked again: it would look for its place anew, and might miss
 * it.
 */
static int read_records(int fd, const bool *ended, struct inspect_list *out)
{
	size_t len_bytes = out->count * sizeof(*out->items), room_bytes = len_bytes;
	ssize_t n;

	for (;;) {
		if (make_room(out, len_bytes, &room_bytes))
			return -ENOMEM;
		n = read(fd, (char *)out->items + len_bytes, room_bytes - len_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n <= 0)
			break;
		len_bytes += n;
		if (ended && *ended && room_bytes - len_bytes >= sizeof(*out->items))
			break;
	}
	out->count = len_bytes / sizeof(*out->items);
	return 0;
}

static int run_iterator(struct bpf_program *program, const bool *ended, struct inspect_list *out)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	_cleanup_close_ int iter = -1;
	int err;

	if (!link)
		return -errno;
	iter = bpf_iter_create(bpf_link__fd(link));
	err = iter < 0 ? -errno : read_records(iter, ended, out);
	bpf_link__destroy(link);
	return err;
}

/*
 * Loaded once in a process, and kept until it ends: libbpf reads the kernel's whole BTF for it,
 * some 10 ms, and a keeper looks often. Returns 0 or -errno.
 */
static int load(struct inspect **out)
{
	static struct inspect *loaded;
	int err;

	if (!loaded) {
		struct inspect *skel = inspect__open();

		if (!skel)
			return -errno;
		skel->rodata->lb_tick_ns = probe_tick_ns();
		err = inspect__load(skel);
		if (err) {
			inspect__destroy(skel);
			return err == -EPERM || err == -EACCES ? -EPERM : -EOPNOTSUPP;
		}
		loaded = skel;
	}
	*out = loaded;
	return 0;
}

/* Of so many listeners, or of an unknown number (0), which may take it to connections. */
static int run_tcp(struct inspect *skel, size_t listeners, struct inspect_list *out)
{
	int err;

	out->count = 0;
	skel->bss->lb_left = listeners;
	skel->bss->lb_ended = false;
	err = run_iterator(skel->progs.lb_inspect, &skel->bss->lb_ended, out);
	if (!err && skel->bss->lb_ended)
		out->items[out->count++] = skel->bss->lb_last;
	return err;
}

static void sort(struct inspect_list *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_cookies);
}

static bool has_all(const struct inspect_list *list, const struct sockdiag_list *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		if (!inspect_find(list, listeners->items[i].cookie))
			return false;
	}
	return true;
}

/*
 * One that comes meanwhile may be taken for the last: then the others have to be looked for. In the
 * end by an iterator that may go on to connections: see bpf/inspect.bpf.c.
 */
static int inspect_tcp(struct inspect *skel, uint16_t port, struct inspect_list *out)
{
	struct sockdiag_list listeners;
	bool all = false;
	int err = 0;

	for (int i = 0; i < ATTEMPTS && !err && !all; i++) {
		err = sockdiag_listeners(IPPROTO_TCP, port, &listeners);
		if (!err && listeners.count)
			err = run_tcp(skel, i < ATTEMPTS - 1 ? listeners.count : 0, out);
		sort(out);
		all = has_all(out, &listeners);
		sockdiag_free(&listeners);
	}
	return err;
}

int inspect_prepare(void)
{
	struct inspect *skel;

	return load(&skel);
}

int inspect_listeners(uint16_t port, bool udp, struct inspect_list *out)
{
	struct inspect *skel;
	int err;

	*out = (struct inspect_list){ 0 };
	err = load(&skel);
	if (!err) {
		skel->bss->lb_port = port;
		err = inspect_tcp(skel, port, out);
	}
	if (!err && udp) {
		err = run_iterator(skel->progs.lb_inspect_udp, NULL, out);
		sort(out);
	}
	return err;
}

void inspect_free(struct inspect_list *list)
{
	free(list->items);
	*list = (struct inspect_list){ 0 };
}

const struct lb_listening *inspect_find(const struct inspect_list *list, uint64_t cookie)
{
	struct lb_listening key = { .cookie = cookie };

	if (!list->count)
		return NULL;
	return bsearch(&key, list->items, list->count, sizeof(key), compare_cookies);
}
