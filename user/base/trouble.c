// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See trouble.h. */
#include "base/trouble.h"

#include <stdarg.h>

#include "base/text.h"

int trouble_set(struct trouble *trouble, enum exit_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_vformat(trouble->text, sizeof(trouble->text), format, args);
	va_end(args);
	trouble->status = status;
	return status;
}
