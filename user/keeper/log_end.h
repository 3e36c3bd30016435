/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a worker's log, for who has to know why it ended. */
#ifndef LOG_END_H
#define LOG_END_H

#define LOG_END_BYTES 4097

/*
 * The last bytes of the file, as a string: "" where there is none to be read. Only a plain file is
 * read: who owns its directory may have put something else there.
 */
void log_end_read(const char *path, char out[LOG_END_BYTES]);

/* The beginning of the last `lines` lines of a text. */
const char *log_end_lines(const char *text, unsigned int lines);

#endif
