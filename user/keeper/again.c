// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See again.h. The file has two lines: the directory ("" for a unit), and what to type there. */
#include "keeper/again.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/run_files.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-"

/* A word as a shell reads it. A line is all there is for it. */
static void put_word(FILE *out, const char *word)
{
	if (*word && !word[strspn(word, PLAIN)]) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word == '\n' ? ' ' : *word, out);
	}
	fputc('\'', out);
}

/* The unit whose main process this is; NULL = none. To be freed. */
static char *own_unit(void)
{
	const char *main_pid = getenv("SYSTEMD_EXEC_PID");
	char *unit = NULL;

	if (!main_pid || atoi(main_pid) != getpid() || sd_pid_get_unit(0, &unit) < 0)
		return NULL;
	return unit;
}

static void write_words(FILE *out)
{
	_cleanup_fclose_ FILE *words = fopen("/proc/self/cmdline", "re");
	_cleanup_free_ char *word = NULL;
	const char *space = "";
	size_t room = 0;

	while (words && getdelim(&word, &room, '\0', words) > 0) {
		fputs(space, out);
		put_word(out, word);
		space = " ";
	}
}

void again_write(const char *name)
{
	char path[RUN_FILES_PATH_BYTES], directory[PATH_MAX];
	_cleanup_free_ char *unit = own_unit();
	_cleanup_close_ int fd = -1;
	FILE *file;

	run_files_path(name, "command", path);
	/* arguments may be secrets */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file)
		return;
	fd = -1;
	if (unit) {
		fprintf(file, "\nsystemctl start %s", unit);
	} else {
		fprintf(file, "%s\n", getcwd(directory, sizeof(directory)) ? directory : "");
		write_words(file);
	}
	fprintf(file, "\n");
	fclose(file);
}

static int read_line(FILE *file, char *out, size_t len)
{
	if (!fgets(out, len, file))
		return -ENODATA;
	if (!strchr(out, '\n'))
		return -ENAMETOOLONG;
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

int again_parse(FILE *file, const char *here, char out[AGAIN_BYTES])
{
	char directory[PATH_MAX], line[AGAIN_BYTES];
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *memory;
	int err;

	err = read_line(file, directory, sizeof(directory));
	if (!err)
		err = read_line(file, line, sizeof(line));
	memory = err ? NULL : open_memstream(&text, &len);
	if (!memory)
		return err ? err : -ENOMEM;
	if (*directory && (!here || strcmp(here, directory))) {
		fputs("cd ", memory);
		put_word(memory, directory);
		fputs(" && ", memory);
	}
	fputs(line, memory);
	if (fclose(memory) || len >= AGAIN_BYTES)
		return -ENAMETOOLONG;
	strcpy(out, text);
	return 0;
}

int again_read(const char *name, char out[AGAIN_BYTES])
{
	char path[RUN_FILES_PATH_BYTES], here[PATH_MAX];
	_cleanup_fclose_ FILE *file = NULL;

	run_files_path(name, "command", path);
	file = fopen(path, "re");
	return file ? again_parse(file, getcwd(here, sizeof(here)), out) : -errno;
}
