// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpfinfo --max-insns N --max-stack N OBJECT.bpf.o...
 * What the verifier of the running kernel says each BPF program costs it: instructions processed
 * over all paths, and bytes of stack per function. An object with read-only switches `lb_can_*`
 * (what the kernel can do) is measured with all of them off and on. Nothing stays loaded. Exit
 * status 1 when a program does not load or is over the budget. Called by `make info`.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define LOG_STATS 4 /* BPF_LOG_STATS: only the closing lines of the verifier's log */
#define LOG_BYTES (64 * 1024)
#define UNSIZED_MAP_ENTRIES 4096 /* lbctl sizes these at load; a ring buffer needs a page */

struct budget {
	unsigned long insns;
	unsigned long stack_bytes;
};

struct cost {
	unsigned long insns;
	unsigned long stack_bytes; /* of the largest function */
	char stack_text[64];	   /* per function, as the kernel prints it: "48+0" */
};

static int ignore_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static bool has_entries(enum bpf_map_type type)
{
	switch (type) {
	case BPF_MAP_TYPE_SK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_TASK_STORAGE:
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
		return false;
	default:
		return true;
	}
}

static int size_maps(struct bpf_object *object)
{
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, object) {
		if (bpf_map__max_entries(map) || !has_entries(bpf_map__type(map)))
			continue;
		err = bpf_map__set_max_entries(map, UNSIZED_MAP_ENTRIES);
		if (err)
			return err;
	}
	return 0;
}

static int cost_parse(const char *log, struct cost *cost)
{
	const char *stack = strstr(log, "stack depth ");
	const char *insns = strstr(log, "processed ");
	char *end;

	memset(cost, 0, sizeof(*cost));
	if (!insns || sscanf(insns, "processed %lu insns", &cost->insns) != 1)
		return -EPROTO;
	if (!stack || sscanf(stack, "stack depth %63[0-9+]", cost->stack_text) != 1)
		return -EPROTO;
	for (const char *at = cost->stack_text; *at; at = *end ? end + 1 : end) {
		unsigned long bytes = strtoul(at, &end, 10);

		if (bytes > cost->stack_bytes)
			cost->stack_bytes = bytes;
	}
	return 0;
}

static bool is_switch(const struct btf *btf, const struct btf_var_secinfo *variable)
{
	const struct btf_type *type = btf__type_by_id(btf, variable->type);

	return variable->size == sizeof(bool) &&
	       !strncmp(btf__name_by_offset(btf, type->name_off), "lb_can_", 7);
}

/* Sets the object's lb_can_* switches. Returns how many there are, or -errno. */
static int switch_features(struct bpf_object *object, bool on)
{
	const struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	const struct btf_type *section;
	const void *initial;
	size_t len_bytes;
	char *data;
	int id, err, switches = 0;

	id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT;
	initial = map ? bpf_map__initial_value(map, &len_bytes) : NULL;
	if (id < 0 || !initial)
		return 0;
	data = malloc(len_bytes);
	if (!data)
		return -ENOMEM;
	memcpy(data, initial, len_bytes);
	section = btf__type_by_id(btf, id);
	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *variable = btf_var_secinfos(section) + i;

		if (!is_switch(btf, variable) || variable->offset >= len_bytes)
			continue;
		data[variable->offset] = on;
		switches++;
	}
	err = bpf_map__set_initial_value(map, data, len_bytes);
	free(data);
	return err ? err : switches;
}

/* Loads the one program from a fresh copy of the object; the log is what the verifier said. */
static int program_load(const char *path, const char *name, bool features, char *log)
{
	struct bpf_program *program;
	struct bpf_object *object;
	int err;

	object = bpf_object__open_file(path, NULL);
	if (!object)
		return -errno;
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	program = bpf_object__find_program_by_name(object, name);
	bpf_program__set_log_level(program, LOG_STATS);
	bpf_program__set_log_buf(program, log, LOG_BYTES);
	err = switch_features(object, features);
	if (err >= 0)
		err = size_maps(object);
	if (!err)
		err = bpf_object__load(object);
	bpf_object__close(object);
	return err;
}

static int program_report(const char *path, const char *name, bool features,
			  const struct budget *budget)
{
	static char log[LOG_BYTES];
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct cost cost;
	bool over;
	int err;

	log[0] = '\0';
	err = program_load(path, name, features, log);
	if (!err)
		err = cost_parse(log, &cost);
	if (err) {
		printf("%-20s %-24s %-8s not loaded: %s\n%s", file, name, features ? "on" : "off",
		       strerror(-err), log);
		return err;
	}
	over = cost.insns > budget->insns || cost.stack_bytes > budget->stack_bytes;
	printf("%-20s %-24s %-8s %8lu %12s%s\n", file, name, features ? "on" : "off", cost.insns,
	       cost.stack_text, over ? "   over budget" : "");
	return over ? -E2BIG : 0;
}

static int object_report(const char *path, const struct budget *budget)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	int err = 0;

	if (!object) {
		err = -errno;
		fprintf(stderr, "bpfinfo: %s: %s\n", path, strerror(-err));
		return err;
	}
	bpf_object__for_each_program(program, object) {
		const char *name = bpf_program__name(program);

		if (program_report(path, name, false, budget))
			err = -E2BIG;
		if (switch_features(object, true) > 0 && program_report(path, name, true, budget))
			err = -E2BIG;
	}
	bpf_object__close(object);
	return err;
}

static bool parse_budget(const char *text, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end;
}

int main(int argc, char **argv)
{
	struct budget budget;
	int status = 0;

	if (argc < 6 || strcmp(argv[1], "--max-insns") || !parse_budget(argv[2], &budget.insns) ||
	    strcmp(argv[3], "--max-stack") || !parse_budget(argv[4], &budget.stack_bytes)) {
		fprintf(stderr, "usage: bpfinfo --max-insns N --max-stack N OBJECT.bpf.o...\n");
		return 2;
	}
	libbpf_set_print(ignore_libbpf);
	printf("%-20s %-24s %-8s %8s %12s\n", "object", "program", "features", "insns",
	       "stack bytes");
	for (int i = 5; i < argc; i++) {
		if (object_report(argv[i], &budget))
			status = 1;
	}
	printf("budget: %lu instructions, %lu bytes of stack\n", budget.insns, budget.stack_bytes);
	return status;
}
