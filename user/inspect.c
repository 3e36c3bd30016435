// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs the iterator of bpf/inspect.bpf.c and collects its records, sorted by cookie. */
#include "inspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "probe.h"
#include "stall.h"
#include "inspect.skel.h"

static int compare_cookies(const void *a, const void *b)
{
	const struct lb_listening *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int read_records(int fd, struct inspect_list *out)
{
	size_t len_bytes = 0, room_bytes = 0;
	char *grown;
	ssize_t n;

	for (;;) {
		if (room_bytes - len_bytes < 4096) {
			room_bytes = room_bytes ? room_bytes * 2 : 65536;
			grown = realloc(out->items, room_bytes);
			if (!grown)
				return -ENOMEM;
			out->items = (struct lb_listening *)grown;
		}
		n = read(fd, (char *)out->items + len_bytes, room_bytes - len_bytes);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len_bytes += n;
	}
	out->count = len_bytes / sizeof(*out->items);
	return 0;
}

int inspect_listeners(struct inspect_list *out)
{
	_cleanup_close_ int iter = -1;
	struct bpf_link *link;
	struct inspect *skel;
	int err;

	*out = (struct inspect_list){ 0 };
	skel = inspect__open();
	if (!skel)
		return -errno;
	skel->rodata->lb_tick_ns = stall_tick_ns();
	err = inspect__load(skel);
	if (err) {
		inspect__destroy(skel);
		return err == -EPERM || err == -EACCES ? -EPERM : -EOPNOTSUPP;
	}
	link = bpf_program__attach_iter(skel->progs.lb_inspect, NULL);
	err = link ? 0 : -errno;
	if (!err) {
		iter = bpf_iter_create(bpf_link__fd(link));
		err = iter < 0 ? -errno : read_records(iter, out);
	}
	bpf_link__destroy(link);
	inspect__destroy(skel);
	if (!err && out->count)
		qsort(out->items, out->count, sizeof(*out->items), compare_cookies);
	return err;
}

void inspect_free(struct inspect_list *list)
{
	free(list->items);
	*list = (struct inspect_list){ 0 };
}

const struct lb_listening *inspect_find(const struct inspect_list *list, uint64_t cookie)
{
	struct lb_listening key = { .cookie = cookie };

	if (!list->count)
		return NULL;
	return bsearch(&key, list->items, list->count, sizeof(key), compare_cookies);
}
