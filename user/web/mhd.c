// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See mhd.h. */
#include "web/mhd.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

struct mhd mhd;

/* A pointer to a function, which no void * is in C. */
static int find(void *library, const char *name, void *pointer)
{
	void *found = dlsym(library, name);

	memcpy(pointer, &found, sizeof(found));
	return found ? 0 : -ENOENT;
}

int mhd_load(const char **why)
{
	void *library = dlopen(MHD_FILE, RTLD_NOW | RTLD_LOCAL);
	int err = library ? 0 : -ENOENT;

#define X(call)                                                                                    \
	if (!err)                                                                                  \
		err = find(library, "MHD_" #call, &mhd.call);
	MHD_CALLS(X)
#undef X
	*why = err ? dlerror() : NULL;
	return err;
}
