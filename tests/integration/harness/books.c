// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counters: the service's, from its pinned maps and from lbctl, and the kernel's. Part of
 * harness.c.
 */

#include <sys/mman.h>

bool stalls_count;

/*
 * One store, as lbctl may write other fields at the same time. Services may come and go meanwhile.
 */
static void forgive_service(const char *service)
{
	char path[PATH_MAX];
	struct lb_config *config;
	int fd;

	snprintf(path, sizeof(path), HARNESS_PINS "/%.64s/lb_config", service);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	config = mmap(NULL, sizeof(*config), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (config == MAP_FAILED)
		return;
	config->stall_ns = 0;
	munmap(config, sizeof(*config));
}

void stalls_forgive(void)
{
	DIR *dir = stalls_count ? NULL : opendir(HARNESS_PINS);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && entry->d_name[0] != '_')
			forgive_service(entry->d_name);
	}
	if (dir)
		closedir(dir);
}

int map_open(const char *service, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), HARNESS_PINS "/%s/%s", service, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

void *map_mmap(const char *service, const char *name, size_t bytes)
{
	int fd = map_open(service, name);
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (at == MAP_FAILED)
		fail_msg("mmap %s of %s: %s", name, service, strerror(errno));
	return at;
}

void holds_end(const char *service)
{
	const size_t bytes = LB_MIN_SLOTS * sizeof(struct lb_stall);
	struct lb_stall *stalls = map_mmap(service, "listener0/lb_stalls", bytes);

	for (int slot = 0; slot < LB_MIN_SLOTS; slot++)
		stalls[slot].accepted_ns = stalls[slot].rescued_ns;
	munmap(stalls, bytes);
}

void books_read(const char *service, struct books *books)
{
	int counters_fd = map_open(service, "lb_counters"),
	    stats_fd = map_open(service, "lb_stats");
	struct lb_counters counters;
	struct lb_stats stats;
	uint32_t zero = 0;

	memset(books, 0, sizeof(*books));
	books->sent_again = kernel_counter("TcpRetransSegs");
	assert_int_equal(bpf_map_lookup_elem(counters_fd, &zero, &counters), 0);
	books->cursor = counters.cursor;
#define X(field, help) books->field = counters.field;
	LB_COUNTERS(X)
#undef X
	for (uint32_t slot = 0; slot < BOOKS_SLOTS; slot++) {
		assert_int_equal(bpf_map_lookup_elem(stats_fd, &slot, &stats), 0);
#define X(field, help) books->field[slot] = stats.field;
		LB_SLOT_COUNTERS(X)
#undef X
	}
	close(counters_fd);
	close(stats_fd);
}

/*
 * A segment that is sent again and comes when its connection is over finds the listener. So does
 * one that comes while another CPU puts the open connection in the place of the half-open one: the
 * kernel's look-up takes no lock. With emulated CPUs that happens some times in a thousand.
 */
#define MOST_RACES 8

static unsigned int compare_field(const char *name, int slot, uint64_t before, uint64_t after,
				  uint64_t want)
{
	char slot_name[32] = "";

	if (after - before == want)
		return 0;
	if (slot >= 0)
		snprintf(slot_name, sizeof(slot_name), " of slot %d", slot);
	print_error("%s%s: got %+lld, want %+lld\n", name, slot_name, (long long)(after - before),
		    (long long)want);
	return 1;
}

/* Look-ups that nobody expects, each forgiven once; they decide nothing. */
static void forgive(uint64_t *counter, uint64_t expected, uint64_t *most)
{
	uint64_t surplus = *counter - expected;

	if (*counter < expected || surplus > *most)
		return;
	*most -= surplus;
	*counter = expected;
}

void books_compare(const char *service, const struct books *before, const struct books *want,
		   const char *file, int line)
{
	unsigned int wrong = 0;
	struct books after;
	uint64_t strays;

	books_read(service, &after);
	strays = after.sent_again - before->sent_again + (scaled_load(100) < 100 ? MOST_RACES : 0);
	forgive(&after.ack_recent, before->ack_recent + want->ack_recent, &strays);
	forgive(&after.ack_stray, before->ack_stray + want->ack_stray, &strays);
	wrong += compare_field("cursor", -1, before->cursor, after.cursor, want->cursor);
#define X(field, help) wrong += compare_field(#field, -1, before->field, after.field, want->field);
	LB_COUNTERS(X)
#undef X
	for (int i = 0; i < BOOKS_SLOTS; i++) {
#define X(field, help)                                                                             \
	wrong += compare_field(#field, i, before->field[i], after.field[i], want->field[i]);
		LB_SLOT_COUNTERS(X)
#undef X
	}
	if (wrong) {
		print_error("%s:%d: %u counters of %s are not as expected\n", file, line, wrong,
			    service);
		fail();
	}
}

uint64_t books_selected(const struct books *books)
{
	uint64_t sum = 0;

	for (int i = 0; i < BOOKS_SLOTS; i++)
		sum += books->selected[i];
	return sum;
}

/* Both files come in pairs of lines: "Group: name name", "Group: value value". */
static bool find_counter(const char *path, const char *name, uint64_t *value)
{
	char *text = file_read(path), *rest = text, *names, *values, *group, *word, *number;
	bool found = false;
	size_t len;

	while (!found && (names = strsep(&rest, "\n")) && (values = strsep(&rest, "\n"))) {
		group = strsep(&names, " ");
		strsep(&values, " ");
		len = strlen(group) - 1;
		while (!found && (word = strsep(&names, " ")) && (number = strsep(&values, " "))) {
			found = !strncmp(name, group, len) && !strcmp(name + len, word);
			if (found)
				*value = strtoull(number, NULL, 10);
		}
	}
	free(text);
	return found;
}

uint64_t kernel_counter(const char *name)
{
	uint64_t value = 0;

	/* a kernel that does not know the counter has never counted */
	if (!find_counter("/proc/net/netstat", name, &value))
		find_counter("/proc/net/snmp", name, &value);
	return value;
}

void kernel_set(const char *sysctl, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/sys/%s", sysctl);
	file_write(path, value);
}

static void read_show_worker(json_t *json, struct show_worker *worker)
{
	const char *state;
	json_int_t selected, skipped, in, out;
	json_error_t error;
	int number;

	if (json_unpack_ex(json, &error, 0,
			   "{s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "worker",
			   &number, "pid", &worker->pid, "state", &state, "weight", &worker->weight,
			   "limit", &worker->limit, "live", &worker->live, "half_open",
			   &worker->half_open, "queued", &worker->queued, "selected", &selected,
			   "skipped", &skipped, "migrated_in", &in, "migrated_out", &out))
		fail_msg("show --json, a worker: %s", error.text);
	snprintf(worker->state, sizeof(worker->state), "%s", state);
	worker->selected = selected;
	worker->skipped = skipped;
	worker->migrated_in = in;
	worker->migrated_out = out;
}

void show_read(const char *service, struct show *show)
{
	json_t *json = lbctl_json("show", service, "--json", NULL), *workers, *listeners, *worker;
	json_int_t decisions, fallback, migrated;
	const char *policy, *name;
	json_error_t error;
	size_t i;

	memset(show, 0, sizeof(*show));
	if (json_unpack_ex(json, &error, 0, "{s:s, s:s, s:o, s:o, s:{s:I, s:I, s:I}, s:i}",
			   "service", &name, "policy", &policy, "listeners", &listeners, "workers",
			   &workers, "totals", "decisions", &decisions, "fallback", &fallback,
			   "migrated", &migrated, "unregistered", &show->unregistered))
		fail_msg("show %s --json: %s", service, error.text);
	assert_string_equal(name, service);
	snprintf(show->policy, sizeof(show->policy), "%s", policy);
	show->nr_listeners = json_array_size(listeners);
	show->nr_workers = json_array_size(workers);
	assert_true(show->nr_workers <= LB_MAX_WORKERS);
	json_array_foreach(workers, i, worker)
		read_show_worker(worker, &show->worker[i]);
	show->decisions = decisions;
	show->fallback = fallback;
	show->migrated = migrated;
	json_decref(json);
}
