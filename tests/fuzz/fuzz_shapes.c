// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel says of a map that somebody has pinned: what is accepted has room for all that is
 * done with it.
 */
#include <bpf/bpf.h>

#include "fuzz/fuzz.h"
#include "lb_pick.h"
#include "service/state_check.h"

static const uint8_t *at, *end;

static void take(void *out, size_t n)
{
	size_t left = end - at, taken = n < left ? n : left;

	memset(out, 0, n);
	if (taken)
		memcpy(out, at, taken);
	at += taken;
}

/* In place of libbpf's; the value is as long as the map says. */
int bpf_obj_get_info_by_fd(int fd, void *out, __u32 *len)
{
	struct bpf_map_info info = { 0 };
	uint16_t fields[5];

	(void)fd;
	take(fields, sizeof(fields));
	info.type = fields[0] & 63;
	info.key_size = fields[1] & 15;
	info.value_size = fields[2];
	info.max_entries = (uint32_t)fields[3] << 4;
	info.map_flags = fields[4];
	memcpy(out, &info, *len < sizeof(info) ? *len : sizeof(info));
	return 0;
}

static uint32_t value_bytes;

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	(void)fd, (void)key;
	take(value, value_bytes);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	enum state_map map = n ? bytes[0] % MAP_COUNT : 0;
	const uint32_t most = map == MAP_LATENCY ? LB_MOST_LATENCY : LB_MOST_VALUE;
	struct state_array array = { 0 };
	struct lb_config config;
	uint16_t fields[5] = { 0 };

	if (n < 11)
		return 0;
	memcpy(fields, bytes + 1, sizeof(fields));
	value_bytes = fields[2];
	at = bytes + 1;
	end = bytes + n;
	if (bytes[0] & 0x80) {
		if (!state_check_config(0, &config))
			FUZZ_CHECK(config.used_slots <= LB_MAX_SLOTS &&
				   config.nr_listeners <= LB_MAX_LISTENERS &&
				   lb_word_length(config.word) <= LB_MAX_SCHEDULE);
		state_check_steer(0);
	} else if (!state_check_map(map, 0, &array)) {
		FUZZ_CHECK(array.value_bytes == value_bytes && array.value_bytes <= most);
		FUZZ_CHECK(array.stride >= value_bytes && array.bytes >= array.stride);
	}
	return 0;
}
