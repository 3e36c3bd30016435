/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libmicrohttpd, loaded when it is wanted: no other command needs it, or takes the time to load
 * what it needs itself (GnuTLS).
 */
#ifndef MHD_H
#define MHD_H

#include <microhttpd.h>

#define MHD_FILE "libmicrohttpd.so.12"

#define MHD_CALLS(X)                                                                               \
	X(start_daemon)                                                                            \
	X(add_connection)                                                                          \
	X(run)                                                                                     \
	X(get_timeout)                                                                             \
	X(get_daemon_info)                                                                         \
	X(get_connection_info)                                                                     \
	X(lookup_connection_value)                                                                 \
	X(suspend_connection)                                                                      \
	X(resume_connection)                                                                       \
	X(create_response_from_buffer)                                                             \
	X(create_response_from_callback)                                                           \
	X(add_response_header)                                                                     \
	X(queue_response)                                                                          \
	X(destroy_response)

/* mhd.run() is MHD_run(), once mhd_load() has returned 0. */
struct mhd {
#define X(call) __typeof__(MHD_##call) *call;
	MHD_CALLS(X)
#undef X
};
extern struct mhd mhd;

/* Returns 0, or -ENOENT with *why what the loader says (static memory). */
int mhd_load(const char **why);

#endif
