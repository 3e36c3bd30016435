// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A packet of a control socket, with as many descriptors as its first byte says: one is taken at
 * most, and none is left open.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "lib/packet.h"
#include "send_fds.h"

#define MOST 4
#define PACKET_BYTES 64

static int ends[2], fds[MOST];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	for (int i = 0; i < MOST; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	size_t sent = n ? *bytes % (MOST + 1) : 0;
	int passed, last = dup(fds[0]);
	char packet[PACKET_BYTES];
	ssize_t got;

	if (n < 2 || n > PACKET_BYTES + 100)
		return close(last);
	send_fds(ends[0], bytes + 1, n - 1, fds, sent);
	got = lbctl_packet_receive(ends[1], packet, sizeof(packet), &passed);
	FUZZ_CHECK(got == (sent > 1		  ? -E2BIG :
			   n - 1 > sizeof(packet) ? -EMSGSIZE :
						    (ssize_t)n - 1));
	FUZZ_CHECK((passed >= 0) == (got > 0 && sent == 1));
	if (passed >= 0)
		close(passed);
	close(last);
	passed = dup(fds[0]);
	FUZZ_CHECK(passed == last);
	close(passed);
	return 0;
}
