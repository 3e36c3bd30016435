/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Other programs whose output is read: load generators, lbctl, gnuplot. */
#ifndef BENCH_CAPTURE_H
#define BENCH_CAPTURE_H

#define CAPTURE_NOT_FOUND 127 /* the status of a program that is not there, as a shell's */

/*
 * Runs argv, found as execvp() does, in the folder `dir` (NULL = ours), and waits for its end. It
 * gets no input, and what it says on standard error is dropped. *out is all that it wrote on
 * standard output, to be free()d whatever is returned. Returns its exit status (128 + N when signal
 * N ended it), or -errno: -ETIMEDOUT, and -EINTR when cmd_stop became true; then it was killed.
 */
int capture_run(const char *const *argv, const char *dir, unsigned int timeout_ms, char **out);

#endif
