// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See environments.h. */
#include "keeper/environments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct environments {
	struct environments *older;
	uint32_t version;
	char **variables; /* as environ */
};

static void free_variables(char **variables)
{
	for (size_t i = 0; variables && variables[i]; i++)
		free(variables[i]);
	free(variables);
}

void environments_free(struct environments *list)
{
	while (list) {
		struct environments *older = list->older;

		free_variables(list->variables);
		free(list);
		list = older;
	}
}

int environments_check(const json_t *variables)
{
	if (!json_is_array(variables))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(variables); i++) {
		const char *text = json_string_value(json_array_get(variables, i));

		if (!text || *text == '=' || !strchr(text, '='))
			return -EINVAL;
	}
	return 0;
}

static char **copy(const json_t *variables)
{
	size_t n = json_array_size(variables);
	char **out = calloc(n + 1, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		out[i] = strdup(json_string_value(json_array_get(variables, i)));
		if (!out[i]) {
			free_variables(out);
			return NULL;
		}
	}
	return out;
}

int environments_add(struct environments **list, uint32_t version, uint32_t oldest,
		     const json_t *variables)
{
	struct environments *added = calloc(1, sizeof(*added)), *at;

	if (added)
		added->variables = copy(variables);
	if (!added || !added->variables) {
		free(added);
		return -ENOMEM;
	}
	added->version = version;
	added->older = *list;
	*list = added;
	for (at = added; at && at->version > oldest; at = at->older)
		continue;
	if (at) {
		environments_free(at->older);
		at->older = NULL;
	}
	return 0;
}

char **environments_of(const struct environments *list, uint32_t version)
{
	while (list && list->version > version)
		list = list->older;
	return list ? list->variables : NULL;
}
