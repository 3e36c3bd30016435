// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs the iterators of bpf/inspect.bpf.c and collects its records, sorted by cookie. */
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

/* Appends what the iterator tells; EAGAIN is how it ends where there are connections. */
static int read_records(int fd, struct inspect_list *out)
{
	size_t len_bytes = out->count * sizeof(*out->items), room_bytes = len_bytes;
	char *grown;
	ssize_t n;

	for (;;) {
		if (room_bytes - len_bytes < 4096) {
			room_bytes = room_bytes < 65536 ? 65536 : room_bytes * 2;
			grown = realloc(out->items, room_bytes);
			if (!grown)
				return -ENOMEM;
			out->items = (struct lb_listening *)grown;
		}
		n = read(fd, (char *)out->items + len_bytes, room_bytes - len_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n <= 0)
			break;
		len_bytes += n;
	}
	out->count = len_bytes / sizeof(*out->items);
	return 0;
}

static int run_iterator(struct bpf_program *program, struct inspect_list *out)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	_cleanup_close_ int iter = -1;
	int err;

	if (!link)
		return -errno;
	iter = bpf_iter_create(bpf_link__fd(link));
	err = iter < 0 ? -errno : read_records(iter, out);
	bpf_link__destroy(link);
	return err;
}

/*
 * Loaded once in a process, and kept until it ends: libbpf reads the kernel's whole BTF for it,
 * some 10 ms, and a keeper looks often. Returns 0 or -errno.
 */
static int load(struct inspect **out)
{
	static struct inspect *loaded;
	int err;

	if (!loaded) {
		struct inspect *skel = inspect__open();

		if (!skel)
			return -errno;
		skel->rodata->lb_tick_ns = stall_tick_ns();
		err = inspect__load(skel);
		if (err) {
			inspect__destroy(skel);
			return err == -EPERM || err == -EACCES ? -EPERM : -EOPNOTSUPP;
		}
		loaded = skel;
	}
	*out = loaded;
	return 0;
}

int inspect_listeners(bool udp, struct inspect_list *out)
{
	struct inspect *skel;
	int err;

	*out = (struct inspect_list){ 0 };
	err = load(&skel);
	if (!err)
		err = run_iterator(skel->progs.lb_inspect, out);
	if (!err && udp)
		err = run_iterator(skel->progs.lb_inspect_udp, out);
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
