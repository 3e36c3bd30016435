// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See world.h. */
#include "harness/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "harness/commands.h"
#include "harness/kernel.h"
#include "harness/netns.h"
#include "harness/pins.h"
#include "host/procs.h"

#define EXIT_SKIP 77

static char build_dir[PATH_MAX];
static int first_descriptor; /* of a test's own */
static bool in_own_world;
static uint64_t test_began_ns;

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

unsigned int full_load(unsigned int quick, unsigned int full)
{
	return getenv("LB_TEST_FULL") ? full : quick;
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

void (*harness_idle)(void);
void (*harness_late)(void);

void harness_nap(void)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	nanosleep(&nap, NULL);
	if (harness_idle)
		harness_idle();
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
	static char program[PATH_MAX + 64];

	snprintf(relative, sizeof(relative), "%.*s/../..", (int)(strrchr(argv0, '/') - argv0),
		 argv0);
	if (!realpath(from_env ? from_env : relative, build_dir))
		skip_all("build directory (set LBCTL_BUILD)");
	snprintf(program, sizeof(program), "%s/lbctl", build_dir);
	procs_set_our_program(program);
}

const char *harness_build_path(const char *name)
{
	static char path[PATH_MAX + 64];
	/* that of the sanitizers and of another compiler are below it */
	bool is_below = strcmp(strrchr(build_dir, '/'), "/build") && !strncmp(name, "../", 3);

	snprintf(path, sizeof(path), "%s/%s%s", build_dir, is_below ? "../" : "", name);
	return path;
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
	    mkdir(HARNESS_DIR, 0777) || chmod(HARNESS_DIR, 01777))
		skip_all("mount");
}

/* nohup and shells that start something in the background have them ignored, also by lbctl. */
static void hear_signals(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		signal(numbers[i], SIG_DFL);
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
	hear_signals();
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

size_t count_entries(const char *path, bool only_directories)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		    (!only_directories || entry->d_type == DT_DIR))
			n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

int harness_begin(void **state)
{
	(void)state;
	first_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(first_descriptor);
	test_began_ns = now_ns();
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

/* for run.sh */
static void tell_time(void)
{
	uint64_t now = now_ns();

	print_message("took %d ms\n", (int)((now - test_began_ns) / 1000000));
	test_began_ns = now;
}

int harness_reset(void **state)
{
	struct output output;

	(void)state;
	/* what a keeper has is not to be detached */
	end_children();
	lbctl_run(&output, "detach", "--all", NULL);
	output_free(&output);
	/* what a failed test held must not meet the next one */
	syscall(SYS_close_range, first_descriptor, ~0U, 0);
	kernel_set("net/ipv4/tcp_syncookies", "1");
	tell_time();
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
	if (waitpid(-1, NULL, WNOHANG) >= 0) {
		print_error("processes are left\n");
		bad = true;
	}
	return bad ? -1 : 0;
}
