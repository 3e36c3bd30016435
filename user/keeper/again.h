/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a service is taken up again once its keeper is gone: what its user typed, or its unit. It is
 * in /run/lbctl/NAME.command, for people alone; no keeper reads it.
 */
#ifndef AGAIN_H
#define AGAIN_H

#include <stdio.h>

#define AGAIN_BYTES 400 /* what is longer is of no use in a sentence */

/* Notes the command line and working directory of this process. Only for who holds the lock. */
void again_write(const char *name);

/*
 * What to type, as for a shell: "lbctl run -n 4 -- node app.js", with "cd DIRECTORY && " before it
 * unless this process is there; or "systemctl start UNIT". Returns 0 or -errno (-ENAMETOOLONG: it
 * does not fit, the file has it).
 */
int again_read(const char *name, char out[AGAIN_BYTES]);

/* What it reads, for who is in the directory `here`, NULL = not known. */
int again_parse(FILE *file, const char *here, char out[AGAIN_BYTES]);

#endif
