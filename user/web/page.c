// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See page.h. In the HTML, @css@ and @js@ stand for the files, and @nonce@ for the nonce. */
#include "web/page.h"

#include <stdio.h>
#include <string.h>

#include "page_files.h" /* made by the build: page_html, page_css, page_js */

static const struct {
	const char *mark, *text;
} parts[] = {
	{ "@css@", page_css },
	{ "@js@", page_js },
	{ "@nonce@", NULL },
};

static const char *part_at(const char *at, const char *nonce, size_t *bytes)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		*bytes = strlen(parts[i].mark);
		if (!strncmp(at, parts[i].mark, *bytes))
			return parts[i].text ? parts[i].text : nonce;
	}
	return NULL;
}

char *page_make(const char nonce[PAGE_NONCE_BYTES], size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);
	const char *at = page_html, *part;
	size_t len;

	while (out && *at) {
		len = strcspn(at, "@");
		fwrite(at, 1, len, out);
		at += len;
		part = *at ? part_at(at, nonce, &len) : NULL;
		if (part)
			fputs(part, out);
		else if (*at)
			len = fwrite(at, 1, 1, out);
		at += *at ? len : 0;
	}
	return out && !fclose(out) ? text : NULL;
}

void page_policy(const char nonce[PAGE_NONCE_BYTES], char out[PAGE_POLICY_BYTES])
{
	snprintf(out, PAGE_POLICY_BYTES,
		 "default-src 'none'; connect-src 'self'; img-src data:; style-src 'nonce-%s'; "
		 "script-src 'nonce-%s'; base-uri 'none'; form-action 'none'; "
		 "frame-ancestors 'none'",
		 nonce, nonce);
}
