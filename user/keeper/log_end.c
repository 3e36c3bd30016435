// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_end.h. */
#include "keeper/log_end.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

void log_end_read(const char *path, char out[LOG_END_BYTES])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const off_t most = LOG_END_BYTES - 1;
	struct stat st;
	ssize_t n;

	*out = '\0';
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	n = pread(fd, out, most, st.st_size > most ? st.st_size - most : 0);
	out[n > 0 ? n : 0] = '\0';
}

const char *log_end_lines(const char *text, unsigned int lines)
{
	const char *at = text + strlen(text);

	/* what ends the last line begins none */
	if (at > text && at[-1] == '\n')
		at--;
	while (at > text && lines) {
		at--;
		lines -= *at == '\n';
	}
	return *at == '\n' ? at + 1 : at;
}
