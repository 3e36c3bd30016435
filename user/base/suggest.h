/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "Did you mean ...?": the word that a user most likely meant. */
#ifndef SUGGEST_H
#define SUGGEST_H

#include <stddef.h>

/*
 * The candidate nearest to `word`, the first of them on a tie, or NULL when none is near: at most
 * a third of the word's length (rounded up, at most 3) of letters added, dropped, changed or
 * swapped with a neighbour. Case does not count. Words longer than 64 letters get no suggestion.
 * What is returned is the caller's own candidate.
 */
const char *suggest(const char *word, const char *const *candidates, size_t n);

#endif
