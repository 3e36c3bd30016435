/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The page of lbctl export: page.html with page.css and page.js in it, as the build embeds them. */
#ifndef PAGE_H
#define PAGE_H

#include <stddef.h>

#define PAGE_NONCE_BYTES 33

/*
 * The page, whose style and script have this nonce (CSP): letters and digits. Returns NULL without
 * memory; the caller frees it.
 */
char *page_make(const char nonce[PAGE_NONCE_BYTES], size_t *bytes);

/* Content-Security-Policy: nothing of elsewhere, and no script but the page's own. */
#define PAGE_POLICY_BYTES 320
void page_policy(const char nonce[PAGE_NONCE_BYTES], char out[PAGE_POLICY_BYTES]);

#endif
