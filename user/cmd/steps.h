/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What has to be done so that what runs is what a file of services says: found out first, as steps
 * in their order, and done by who asked. A step is a command of lbctl where there is one for it.
 */
#ifndef STEPS_H
#define STEPS_H

#include "cmd/running.h"
#include "cmd/services.h"

enum step_kind {
	STEP_START,   /* the service, or a keeper for workers that had one */
	STEP_KEEPER,  /* another one, by another command line; the workers stay */
	STEP_RELOAD,  /* the workers, as another command line is for their processes */
	STEP_COMMAND, /* scale, set-policy, set, set-weight, set-limit: while it runs */
	STEP_STOP,    /* it is no more in the file */
	STEP_SPARE,   /* the same, and nobody wants it stopped */
	STEP_REFUSED, /* it takes something that is not ours to do */
};

struct step {
	enum step_kind kind;
	char service[LB_NAME_MAX + 1];
	struct service_entry *entry; /* NULL of what the file does not have */
	const char *words[3];	     /* STEP_COMMAND: the command, its arguments after the name */
	char number[16];	     /* of scale, its first argument */
	char text[400];		     /* the end of "would ...", or why it is refused */
};

struct steps {
	struct step *at;
	size_t count;
};

/* As it is in JSON. */
const char *step_name(const struct step *step);

/*
 * The steps for all of the file, those of one service next to each other. Looks only. Returns
 * EXIT_DONE, or a status after a message was printed. steps_free() is to follow in any case.
 */
int steps_find(const struct cmd *cmd, struct services *services, bool prune, struct steps *steps);
void steps_free(struct steps *steps);

#endif
