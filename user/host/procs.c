/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One walk over /proc. Nothing is allocated per descriptor: tens of thousands are usual. */
#include "host/procs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "host/patience.h"

#define PATH_BYTES 64 /* "/proc/PID/fdinfo/FD" with room to spare */
#define USERS 256     /* of each, or who leave the same rest, the time that they take */
#define OF_ROOT 10    /* times what others have, as everybody's services are its */
#define LINK_BYTES 64 /* "socket:[INODE]", "anon_inode:[eventpoll]"; paths need not fit */

struct scan {
	const uint64_t *inodes;
	size_t n;
	uint64_t sockfs; /* the kernel's number of the device of socket inodes */
	struct procs_list list;
	size_t room;  /* items allocated */
	size_t first; /* where the items of the present process begin */
	struct patience users[USERS], of_set;
	struct patience *patience; /* with the owner of the present process */
	int *epolls;		   /* epoll descriptors of the present process */
	size_t epolls_count, epolls_room;
	char *line; /* getline()'s */
	size_t line_bytes;
};

/* Makes room for one more element. Returns the array, which may have moved, or NULL. */
static void *grow(void *items, size_t *room, size_t count, size_t bytes)
{
	size_t wanted = *room ? *room * 2 : 64;
	void *grown;

	if (count < *room)
		return items;
	grown = reallocarray(items, wanted, bytes);
	if (grown)
		*room = wanted;
	return grown;
}

/* What a process that ended answers, or one that we may not look into. */
static bool is_gone_or_refused(int err)
{
	return err == -ENOENT || err == -ESRCH || err == -EACCES || err == -EPERM;
}

/* Compares numbers, and a holder with a number too: its inode is its first member. */
static int compare_inodes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Within one process: by inode, then by descriptor. */
static int compare_fds(const void *left, const void *right)
{
	const struct procs_holder *a = left, *b = right;

	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return (a->fd > b->fd) - (a->fd < b->fd);
}

static int compare_holders(const void *left, const void *right)
{
	const struct procs_holder *a = left, *b = right;

	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	if (a->polls != b->polls)
		return a->polls ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static bool is_wanted(const struct scan *scan, uint64_t inode)
{
	return scan->n && bsearch(&inode, scan->inodes, scan->n, sizeof(inode), compare_inodes);
}

int procs_parse_tfd(const char *line, uint64_t *inode, uint64_t *device)
{
	const char *ino, *sdev;
	char *end;

	while (*line == ' ')
		line++;
	if (strncmp(line, "tfd:", 4))
		return -EINVAL;
	ino = strstr(line, " ino:");
	sdev = strstr(line, " sdev:");
	if (!ino || !sdev || !isxdigit((unsigned char)ino[5]) || !isxdigit((unsigned char)sdev[6]))
		return -EINVAL;
	*inode = strtoull(ino + 5, &end, 16);
	*device = strtoull(sdev + 6, &end, 16);
	return 0;
}

static void mark_polled(struct scan *scan, uint64_t inode)
{
	struct procs_holder *found;

	_Static_assert(offsetof(struct procs_holder, inode) == 0, "compare_inodes() relies on it");
	found = bsearch(&inode, scan->list.items + scan->first, scan->list.count - scan->first,
			sizeof(*found), compare_inodes);
	if (found)
		found->polls = true;
}

/*
 * Marks what one epoll descriptor watches, by inode: the descriptor number in a line may be closed
 * or something else by now. Inodes of other file systems may have the same number.
 */
static int read_epoll(struct scan *scan, pid_t pid, int epoll)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_BYTES];
	uint64_t inode, device;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, epoll);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!patience_is_over(scan->patience) &&
	       getline(&scan->line, &scan->line_bytes, file) > 0) {
		if (procs_parse_tfd(scan->line, &inode, &device) || device != scan->sockfs)
			continue;
		if (is_wanted(scan, inode))
			mark_polled(scan, inode);
	}
	return 0;
}

uint64_t procs_parse_link(const char *link)
{
	char digits[24];
	uint64_t inode;
	size_t len;

	if (strncmp(link, "socket:[", 8))
		return 0;
	link += 8;
	len = strcspn(link, "]");
	if (len >= sizeof(digits) || strcmp(link + len, "]"))
		return 0;
	memcpy(digits, link, len);
	digits[len] = '\0';
	return parse_u64(digits, 1, UINT64_MAX, &inode) ? 0 : inode;
}

static int add_link(struct scan *scan, pid_t pid, int fd, const char *link)
{
	struct procs_list *list = &scan->list;
	uint64_t inode = procs_parse_link(link);
	void *grown;

	if (!strcmp(link, "anon_inode:[eventpoll]")) {
		grown = grow(scan->epolls, &scan->epolls_room, scan->epolls_count, sizeof(fd));
		if (!grown)
			return -ENOMEM;
		scan->epolls = grown;
		scan->epolls[scan->epolls_count++] = fd;
	} else if (inode && is_wanted(scan, inode)) {
		grown = grow(list->items, &scan->room, list->count, sizeof(*list->items));
		if (!grown)
			return -ENOMEM;
		list->items = grown;
		list->items[list->count++] =
			(struct procs_holder){ .inode = inode, .pid = pid, .fd = fd };
	}
	return 0;
}

/* Reads every link of one descriptor directory. Returns 0, -ENOMEM, -EACCES or -EPERM. */
static int read_links(struct scan *scan, pid_t pid, DIR *dir)
{
	const struct dirent *entry;
	char link[LINK_BYTES];

	while (!patience_is_over(scan->patience) && (entry = readdir(dir))) {
		ssize_t len;
		int err;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (len < 0 && (errno == EACCES || errno == EPERM))
			return -errno;
		if (len < 0)
			continue;
		link[len] = '\0';
		err = add_link(scan, pid, atoi(entry->d_name), link);
		if (err)
			return err;
	}
	return 0;
}

/* Keeps the lowest descriptor of each socket; what is left is in the order mark_polled() needs. */
static void merge_fds(struct scan *scan)
{
	struct procs_holder *items = scan->list.items + scan->first;
	size_t count = scan->list.count - scan->first, kept = 0;

	qsort(items, count, sizeof(*items), compare_fds);
	for (size_t i = 1; i < count; i++) {
		if (items[i].inode != items[kept].inode)
			items[++kept] = items[i];
	}
	scan->list.count = scan->first + kept + 1;
}

/* Collects the descriptors of one process. Returns 0 or -errno. */
static int scan_fds(struct scan *scan, pid_t pid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	return read_links(scan, pid, dir);
}

/* Returns 0 or -errno: that a process ended or may not be read is no error. */
static int scan_process(struct scan *scan, pid_t pid)
{
	int err;

	if (patience_is_over(scan->patience)) {
		scan->list.unreadable++;
		if (!scan->list.late)
			scan->list.late = pid;
		return 0;
	}
	scan->first = scan->list.count;
	scan->epolls_count = 0;
	err = scan_fds(scan, pid);
	if (err == -EACCES || err == -EPERM)
		scan->list.unreadable++;
	if (err && !is_gone_or_refused(err))
		return err;
	if (scan->list.count == scan->first)
		return 0;
	merge_fds(scan);
	for (size_t i = 0; i < scan->epolls_count && !patience_is_over(scan->patience); i++) {
		err = read_epoll(scan, pid, scan->epolls[i]);
		if (err && !is_gone_or_refused(err))
			return err;
	}
	return 0;
}

static int scan_of_user(struct scan *scan, pid_t pid)
{
	uid_t uid = 0;
	int err;

	procs_uid(pid, &uid);
	scan->patience = &scan->users[uid % USERS];
	patience_begin(scan->patience);
	err = scan_process(scan, pid);
	patience_end(scan->patience);
	return err;
}

static int scan_all(struct scan *scan)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	const struct dirent *entry;
	uint64_t pid;
	int err = 0;

	if (!dir)
		return -errno;
	for (size_t i = 0; i < USERS; i++)
		scan->users[i].left_ns = PROCS_USER_MS * 1000000LL;
	scan->users[0].left_ns *= OF_ROOT;
	while (!err && (entry = readdir(dir))) {
		if (!parse_u64(entry->d_name, 1, INT_MAX, &pid))
			err = scan_of_user(scan, pid);
	}
	return err;
}

static int scan_sets(struct scan *scan, const pid_t *pids, size_t nr_pids)
{
	int err = 0;

	scan->patience = &scan->of_set;
	for (size_t i = 0; i < nr_pids && !err; i++) {
		if (!i || !pids[i]) {
			scan->of_set.left_ns = PROCS_SET_MS * 1000000LL;
			patience_begin(&scan->of_set);
		}
		if (pids[i])
			err = scan_process(scan, pids[i]);
	}
	return err;
}

/* All sockets of the host are on one internal file system; ask any of them for its number. */
static int find_sockfs(uint64_t *device)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	*device = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
	return 0;
}

/* `pids` NULL: all there are. */
static int find_holders(const uint64_t *inodes, size_t n, const pid_t *pids, size_t nr_pids,
			struct procs_list *out)
{
	struct scan scan = { .inodes = inodes, .n = n };
	int err;

	*out = (struct procs_list){};
	err = find_sockfs(&scan.sockfs);
	if (!err && !pids)
		err = scan_all(&scan);
	if (!err && pids)
		err = scan_sets(&scan, pids, nr_pids);
	free(scan.epolls);
	free(scan.line);
	if (err) {
		procs_free(&scan.list);
		return err;
	}
	if (scan.list.count)
		qsort(scan.list.items, scan.list.count, sizeof(*scan.list.items), compare_holders);
	*out = scan.list;
	return 0;
}

int procs_find_holders(const uint64_t *inodes, size_t n, pid_t only, struct procs_list *out)
{
	return find_holders(inodes, n, only ? &only : NULL, only ? 1 : 0, out);
}

int procs_find_holders_among(const uint64_t *inodes, size_t n, const pid_t *pids, size_t nr_pids,
			     struct procs_list *out)
{
	const pid_t none = 0;

	return find_holders(inodes, n, nr_pids ? pids : &none, nr_pids, out);
}

const struct procs_holder *procs_holders_of(const struct procs_list *list, uint64_t inode,
					    size_t *count)
{
	size_t low = 0, high = list->count, end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (list->items[mid].inode < inode)
			low = mid + 1;
		else
			high = mid;
	}
	for (end = low; end < list->count && list->items[end].inode == inode; end++)
		;
	*count = end - low;
	return *count ? &list->items[low] : NULL;
}

void procs_why_unseen(const struct procs_list *list, char out[PROCS_WHY_BYTES])
{
	if (list->late)
		snprintf(out, PROCS_WHY_BYTES,
			 "process %d was not looked at, as its user has more descriptors open "
			 "than there is time for; end who has so many",
			 list->late);
	else
		snprintf(out, PROCS_WHY_BYTES,
			 "CAP_SYS_PTRACE is missing, or CAP_DAC_READ_SEARCH, or it is in another "
			 "pid namespace; run as root on the host (see lbctl doctor)");
}

void procs_free(struct procs_list *list)
{
	free(list->items);
	*list = (struct procs_list){};
}
