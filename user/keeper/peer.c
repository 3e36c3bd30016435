// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See peer.h. */
#include "keeper/peer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/procs.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* <linux/socket.h>, Linux 6.5 */
#endif

static uint64_t ticks_now(void)
{
	const uint64_t a_second = sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * a_second + now.tv_nsec * a_second / 1000000000;
}

int peer_read(int connection, struct peer *peer)
{
	struct ucred noted;
	socklen_t len = sizeof(noted);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &noted, &len))
		return -errno;
	*peer = (struct peer){
		.pid = noted.pid,
		.uid = noted.uid,
		.gid = noted.gid,
		.came_ticks = ticks_now(),
	};
	return 0;
}

int peer_open_by_pid(const struct peer *peer)
{
	_cleanup_close_ int pidfd = syscall(__NR_pidfd_open, peer->pid, 0);
	uint64_t started;

	if (pidfd < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	/* of the process behind pidfd, or of one that came after it */
	if (procs_start_time(peer->pid, &started) || started > peer->came_ticks)
		return -ESRCH;
	return fd_steal(&pidfd);
}

static int open_peer(const struct peer *peer, int connection)
{
	socklen_t len = sizeof(int);
	int pidfd = -1;

	if (!getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return pidfd;
	if (errno == ENOPROTOOPT)
		return peer_open_by_pid(peer);
	/* EINVAL, and ENODATA: it has ended */
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ESRCH;
}

/* Does it have the peer's user and group alone? By its number, so it has to live afterwards. */
static bool is_same_user(const struct peer *peer)
{
	struct procs_ids ids;

	if (procs_ids(peer->pid, &ids))
		return false;
	for (int i = 0; i < PROCS_IDS; i++) {
		if (ids.uid[i] != peer->uid || ids.gid[i] != peer->gid)
			return false;
	}
	return true;
}

static bool lives(int pidfd)
{
	return !syscall(__NR_pidfd_send_signal, pidfd, 0, NULL, 0) || errno == EPERM;
}

static int no_descriptor(const struct peer *peer, int number, int err, struct trouble *trouble)
{
	switch (err) {
	case -ESRCH:
		trouble_set(trouble, EXIT_FAILED,
			    "process %d, which connected, has ended; each process connects itself",
			    peer->pid);
		break;
	case -EBADF:
		trouble_set(trouble, EXIT_USAGE, "process %d has no descriptor %d open", peer->pid,
			    number);
		break;
	case -EPERM:
		trouble_set(trouble, EXIT_NOT_ABLE,
			    "the keeper may not take a descriptor of process %d (CAP_SYS_PTRACE, "
			    "or Yama); send the socket along (SCM_RIGHTS)",
			    peer->pid);
		break;
	default:
		trouble_set(trouble, EXIT_FAILED, "descriptor %d of process %d: %s", number,
			    peer->pid, strerror(-err));
	}
	return -1;
}

int peer_fetch(const struct peer *peer, int connection, int number, struct trouble *trouble)
{
	_cleanup_close_ int pidfd = -1, fd = -1;

	if (peer->pid <= 0) {
		trouble_set(trouble, EXIT_NOT_ABLE,
			    "the keeper does not see this process, which is in another pid "
			    "namespace; send the socket along (SCM_RIGHTS)");
		return -1;
	}
	pidfd = open_peer(peer, connection);
	if (pidfd < 0)
		return no_descriptor(peer, number, pidfd, trouble);
	fd = syscall(__NR_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		return no_descriptor(peer, number, -errno, trouble);
	if (!is_same_user(peer)) {
		trouble_set(trouble, EXIT_NOT_ABLE,
			    "process %d does not have the user and group alone that it connected "
			    "with; connect once they are what they are to be",
			    peer->pid);
		return -1;
	}
	if (!lives(pidfd))
		return no_descriptor(peer, number, -ESRCH, trouble);
	return fd_steal(&fd);
}
