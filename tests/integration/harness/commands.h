/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Commands with their output and a deadline. */
#ifndef HARNESS_COMMANDS_H
#define HARNESS_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define COMMAND_MS 60000 /* others may keep the CPUs busy */

struct output {
	int status; /* exit status; 128 + signal */
	char *out;
	char *err;
};

struct job {
	pid_t pid;
	int out_fd, err_fd;
	uint64_t deadline_ns;
	char words[128]; /* the command's */
};

#define _cleanup_output_ __attribute__((cleanup(output_free)))
void output_free(struct output *output);
/* Fails the test unless it ended with this status and has the words on standard error. */
void output_expect(const struct output *output, int status, const char *words);

/* A process with its output in pipes; SIGKILL and a failed test when it has not ended by then. */
void job_start(struct job *job, const char *const argv[], int deadline_ms);
void job_wait(struct job *job, struct output *output);
bool job_is_running(const struct job *job);
void command_run(struct output *output, const char *const argv[], int deadline_ms);

/* Runs the command and fails the test with what it printed unless it exits with 0. */
void command_ok(const char *program, ...) __attribute__((sentinel));

#define LBCTL_MAX_ARGS 16
/* `lbctl ARG... NULL`. lbctl_ok() fails the test unless it exits with 0. */
void lbctl_run(struct output *output, ...) __attribute__((sentinel));
void lbctl_ok(const char *first, ...) __attribute__((sentinel));
void lbctl_start(struct job *job, ...) __attribute__((sentinel));
json_t *lbctl_json(const char *first, ...) __attribute__((sentinel)); /* to be json_decref()ed */

#endif
