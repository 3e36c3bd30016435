// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See commands.h. */
#include "harness/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/world.h"

void output_free(struct output *output)
{
	free(output->out);
	free(output->err);
}

void output_expect(const struct output *output, int status, const char *words)
{
	if (output->status != status || !strstr(output->err, words))
		fail_msg("got %d: %s; want %d with \"%s\"", output->status, output->err, status,
			 words);
}

static void note_words(struct job *job, const char *const argv[])
{
	size_t len = 0;

	job->words[0] = '\0';
	for (; *argv && len < sizeof(job->words); argv++)
		len += snprintf(job->words + len, sizeof(job->words) - len, "%s%s", len ? " " : "",
				*argv);
}

void job_start(struct job *job, const char *const argv[], int deadline_ms)
{
	int out[2], err[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	note_words(job, argv);
	job->deadline_ns = now_ns() + scaled_ms(deadline_ms) * 1000000;
	job->pid = fork();
	assert_true(job->pid >= 0);
	if (!job->pid) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		dprintf(STDERR_FILENO, "exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	job->out_fd = out[0];
	job->err_fd = err[0];
}

bool job_is_running(const struct job *job)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, job->pid, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

/* Appends what is there; closes at end of file. */
static void pump(struct pollfd *fd, FILE *to)
{
	char bytes[4096];
	ssize_t got;

	if (!fd->revents)
		return;
	got = read(fd->fd, bytes, sizeof(bytes));
	if (got > 0) {
		fwrite(bytes, 1, got, to);
		return;
	}
	close(fd->fd);
	fd->fd = -1;
}

void job_wait(struct job *job, struct output *output)
{
	struct pollfd fds[] = { { job->out_fd, POLLIN, 0 }, { job->err_fd, POLLIN, 0 } };
	size_t out_len, err_len;
	FILE *out = open_memstream(&output->out, &out_len);
	FILE *err = open_memstream(&output->err, &err_len);
	bool late = false;
	int status = 0;

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		poll(fds, 2, 100);
		if (harness_idle)
			harness_idle();
		pump(&fds[0], out);
		pump(&fds[1], err);
		/* one that has ended may be waited for as late as the test likes */
		if (now_ns() > job->deadline_ns && !late && job_is_running(job)) {
			late = true;
			kill(job->pid, SIGKILL);
		}
	}
	fclose(out);
	fclose(err);
	assert_int_equal(waitpid(job->pid, &status, 0), job->pid);
	output->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (late && harness_late)
		harness_late();
	if (late)
		fail_msg("%s did not end in time; it printed: %s%s", job->words, output->out,
			 output->err);
}

void command_run(struct output *output, const char *const argv[], int deadline_ms)
{
	struct job job;

	job_start(&job, argv, deadline_ms);
	job_wait(&job, output);
}

/* argv[0], then `first` unless NULL, then the rest. */
static void collect_args(const char **argv, const char *program, const char *first, va_list rest)
{
	size_t n = 0;

	argv[n++] = program;
	if (first)
		argv[n++] = first;
	do {
		assert_true(n < LBCTL_MAX_ARGS);
		argv[n] = va_arg(rest, const char *);
	} while (argv[n++]);
}

static void run_ok(const char *const argv[])
{
	struct output output;

	command_run(&output, argv, COMMAND_MS);
	if (output.status)
		fail_msg("%s %s %s: status %d: %s%s", argv[0], argv[1] ? argv[1] : "",
			 argv[1] && argv[2] ? argv[2] : "", output.status, output.out, output.err);
	output_free(&output);
}

void command_ok(const char *program, ...)
{
	const char *argv[LBCTL_MAX_ARGS];
	va_list args;

	va_start(args, program);
	collect_args(argv, program, NULL, args);
	va_end(args);
	run_ok(argv);
}

void lbctl_run(struct output *output, ...)
{
	const char *argv[LBCTL_MAX_ARGS];
	va_list args;

	va_start(args, output);
	collect_args(argv, harness_build_path("lbctl"), NULL, args);
	va_end(args);
	command_run(output, argv, COMMAND_MS);
	free(pins_list());
}

void lbctl_ok(const char *first, ...)
{
	const char *argv[LBCTL_MAX_ARGS];
	va_list args;

	va_start(args, first);
	collect_args(argv, harness_build_path("lbctl"), first, args);
	va_end(args);
	run_ok(argv);
	free(pins_list());
	if (!strcmp(first, "attach"))
		stalls_forgive();
}

void lbctl_start(struct job *job, ...)
{
	const char *argv[LBCTL_MAX_ARGS];
	va_list args;

	va_start(args, job);
	collect_args(argv, harness_build_path("lbctl"), NULL, args);
	va_end(args);
	job_start(job, argv, COMMAND_MS);
}

json_t *lbctl_json(const char *first, ...)
{
	const char *argv[LBCTL_MAX_ARGS];
	struct output output;
	json_error_t error;
	json_t *json;
	va_list args;

	va_start(args, first);
	collect_args(argv, harness_build_path("lbctl"), first, args);
	va_end(args);
	command_run(&output, argv, COMMAND_MS);
	if (output.status)
		fail_msg("lbctl %s: status %d: %s", first, output.status, output.err);
	json = json_loads(output.out, 0, &error);
	if (!json)
		fail_msg("lbctl %s: not JSON: %s\n%s", first, error.text, output.out);
	output_free(&output);
	return json;
}
