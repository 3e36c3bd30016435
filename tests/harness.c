// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The world an integration test runs in, and commands run in it. See harness.h. */
#include "harness.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"

#define EXIT_SKIP 77

static char build_dir[PATH_MAX];
static int first_descriptor; /* of a test's own */
static bool in_own_world;

/* bpf_map_get_fd_by_id() and its like: one per kind of object. */
typedef int (*get_by_id)(uint32_t id);

/* The ids of everything that was ever seen pinned; bpffs is ours alone, so all are ours. */
static struct {
	struct {
		uint32_t id;
		get_by_id get;
	} * items;
	size_t count;
} pinned;

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static unsigned int scale_percent(void)
{
	const char *text = getenv("LB_TEST_SCALE");
	int percent = text ? atoi(text) : 100;

	return percent > 0 ? percent : 100;
}

unsigned int scaled_load(unsigned int usual)
{
	unsigned int load = usual * scale_percent() / 100;

	return load ? load : 1;
}

unsigned int load_asked(const char *variable, unsigned int usual)
{
	const char *text = getenv(variable);
	uint64_t asked;

	if (!text)
		return usual;
	if (parse_u64(text, 1, INT32_MAX, &asked))
		fail_msg("%s=%s: not a number above 0", variable, text);
	return asked;
}

uint64_t scaled_ms(uint64_t usual_ms)
{
	return usual_ms * 100 / scale_percent();
}

void harness_nap(void)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	nanosleep(&nap, NULL);
}

/* --- the world ----------------------------------------------------------------------------- */

static void skip_all(const char *what)
{
	fprintf(stderr, "SKIP: %s: %s\n", what, strerror(errno));
	exit(EXIT_SKIP);
}

/* LBCTL_BUILD, else the directory above tests/integration/ in which this binary is. */
static void find_build_dir(const char *argv0)
{
	const char *from_env = getenv("LBCTL_BUILD");
	char relative[PATH_MAX];

	snprintf(relative, sizeof(relative), "%.*s/../..", (int)(strrchr(argv0, '/') - argv0),
		 argv0);
	if (!realpath(from_env ? from_env : relative, build_dir))
		skip_all("build directory (set LBCTL_BUILD)");
}

const char *harness_build_path(const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", build_dir, name);
	return path;
}

static int loopback_up(void)
{
	int err, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0)
		return -1;
	err = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return err;
}

/* Signals end the outer process; PR_SET_PDEATHSIG and the pid namespace take the rest along. */
static void exit_with_child(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			exit(1);
	}
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void mount_fresh(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip_all("private mounts");
	/* not stacked: the host's must not show when a test unmounts ours */
	while (!umount2("/sys/fs/bpf", MNT_DETACH))
		continue;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") || mkdir("/run/netns", 0755) ||
	    mkdir(HARNESS_DIR, 0777) || chmod(HARNESS_DIR, 0777))
		skip_all("mount");
}

void harness_enter(const char *argv0)
{
	struct rlimit files;
	pid_t child;

	find_build_dir(argv0);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWCGROUP))
		skip_all("namespaces (needs root)");
	fflush(NULL);
	child = fork();
	if (child < 0)
		skip_all("fork");
	if (child)
		exit_with_child(child);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mount_fresh();
	if (loopback_up())
		skip_all("loopback");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	in_own_world = true;
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("HOME", HARNESS_DIR, 1);
	setenv("LC_ALL", "C", 1);
	cmocka_set_test_filter(getenv("LB_TEST_ONLY"));
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("write %s: %s", path, strerror(errno));
	close(fd);
}

static char *read_all(FILE *file)
{
	size_t len = 0, room = 4096, got;
	char *text = malloc(room);

	while (text && (got = fread(text + len, 1, room - len - 1, file)) > 0) {
		len += got;
		if (room - len < 2)
			text = realloc(text, room *= 2);
	}
	assert_non_null(text);
	text[len] = '\0';
	return text;
}

char *file_read(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;

	if (!file)
		fail_msg("read %s: %s", path, strerror(errno));
	text = read_all(file);
	fclose(file);
	return text;
}

int harness_begin(void **state)
{
	(void)state;
	first_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(first_descriptor);
	return 0;
}

static void end_children(void)
{
	/* all of our pid namespace but us, and never of another one */
	if (in_own_world && getpid() == 1)
		kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
}

int harness_reset(void **state)
{
	struct output output;

	(void)state;
	lbctl_run(&output, "detach", "--all", NULL);
	output_free(&output);
	end_children();
	/* what a failed test held must not meet the next one */
	syscall(SYS_close_range, first_descriptor, ~0U, 0);
	kernel_set("net/ipv4/tcp_syncookies", "1");
	return 0;
}

int harness_check_clean(void **state)
{
	char *pins = pins_list();
	bool bad = false;

	(void)state;
	if (*pins) {
		print_error("left pinned:\n%s", pins);
		bad = true;
	}
	free(pins);
	for (int i = 0; i < (int)scaled_ms(1000) && !pinned_objects_are_freed(); i++)
		harness_nap();
	if (!pinned_objects_are_freed()) {
		print_error("BPF programs or maps that were pinned here still exist\n");
		bad = true;
	}
	free(pinned.items);
	if (waitpid(-1, NULL, WNOHANG) >= 0) {
		print_error("processes are left\n");
		bad = true;
	}
	return bad ? -1 : 0;
}

/* --- network namespaces -------------------------------------------------------------------- */

void netns_add(const char *name)
{
	int back;

	command_ok("ip", "netns", "add", name, NULL);
	back = netns_join(name);
	assert_int_equal(loopback_up(), 0);
	netns_leave(back);
}

void netns_delete(const char *name)
{
	command_ok("ip", "netns", "delete", name, NULL);
}

int netns_join(const char *name)
{
	int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (back < 0 || there < 0 || setns(there, CLONE_NEWNET))
		fail_msg("enter %s: %s", path, strerror(errno));
	close(there);
	return back;
}

void netns_leave(int back)
{
	assert_int_equal(setns(back, CLONE_NEWNET), 0);
	close(back);
}

/* --- pins ---------------------------------------------------------------------------------- */

static void note_pinned(uint32_t id, get_by_id get)
{
	for (size_t i = pinned.count; i-- > 0;) {
		if (pinned.items[i].id == id && pinned.items[i].get == get)
			return;
	}
	pinned.items = realloc(pinned.items, (pinned.count + 1) * sizeof(*pinned.items));
	assert_non_null(pinned.items);
	pinned.items[pinned.count].id = id;
	pinned.items[pinned.count++].get = get;
}

static get_by_id kind_of(int fd)
{
	char link[64], target[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return NULL;
	if (strstr(target, "map"))
		return bpf_map_get_fd_by_id;
	return strstr(target, "link") ? bpf_link_get_fd_by_id : bpf_prog_get_fd_by_id;
}

static void note_pin(const char *path)
{
	/* id is the second field of every kind's info */
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path);
	get_by_id get = fd < 0 ? NULL : kind_of(fd);

	if (get && !bpf_obj_get_info_by_fd(fd, &info, &len))
		note_pinned(info.id, get);
	if (fd >= 0)
		close(fd);
}

static void walk_pins(const char *dir, FILE *out)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct stat info;

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, "..") &&
		    !lstat(path, &info)) {
			fprintf(out, "%s\n", path);
			if (S_ISDIR(info.st_mode))
				walk_pins(path, out);
			else
				note_pin(path);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

char *pins_list(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	walk_pins(HARNESS_PINS, out);
	fclose(out);
	return text;
}

bool pins_are_gone(void)
{
	char *pins = pins_list();
	bool gone = !*pins;

	free(pins);
	return gone;
}

bool pinned_objects_are_freed(void)
{
	for (size_t i = 0; i < pinned.count; i++) {
		int fd = pinned.items[i].get(pinned.items[i].id);

		if (fd >= 0) {
			close(fd);
			return false;
		}
	}
	return true;
}

/* One object, because one rule of the Makefile builds it. */
#include "integration/harness/books.c"
#include "integration/harness/clients.c"
#include "integration/harness/commands.c"
#include "integration/harness/servers.c"
