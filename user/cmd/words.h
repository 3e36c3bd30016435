/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words that other tools have for what lbctl does, and programs that scripts are for. */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

/*
 * What a user may want who types a word of PM2, systemctl, docker, haproxy or the like that is no
 * command of lbctl: the end of a sentence, which names the commands. NULL for any other word.
 */
const char *words_answer(const char *word);

/* All words of words_answer(), for suggest(). Returns their number, at most WORDS_MOST. */
#define WORDS_MOST 96
size_t words_list(const char *words[WORDS_MOST]);

/*
 * The same for an option, without its dashes, that the command does not have: the whole sentence,
 * or NULL.
 */
const char *words_option_answer(const char *command, const char *option);

/*
 * The program that files with this name are run by, by the name's ending: "node" for app.js. NULL
 * if the ending tells none.
 */
const char *words_interpreter(const char *path);

#endif
