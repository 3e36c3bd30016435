/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a TLS handshake ends and the first request begins, read from the heads of the records
 * (RFC 8446, 5.1), which are not encrypted. TLS 1.2 names records by what they hold. In TLS 1.3
 * all but the hellos look like data: the client's Finished is known by its length, what the server
 * sends after it may be tickets (4.6.1), which are all of one length, and what comes next tells: an
 * answer that is followed by a request was one, and one that is followed by another length was
 * preceded by tickets.
 */
#ifndef LB_TLS_BPF_H
#define LB_TLS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "latency.bpf.h"

enum record_type {
	RECORD_CHANGE_CIPHER = 20,
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
};

#define RECORD_HEAD 5
#define MESSAGE_HEAD 4 /* of a message in a handshake: its type and length */
#define CLIENT_HELLO 1
/* Of TLS 1.3: its head, a digest of 32 or 48 bytes, the true type and the seal. */
#define FINISHED_SHORT (4 + 32 + 1 + 16)
#define FINISHED_LONG (4 + 48 + 1 + 16)
#define CLOSING_LEN (2 + 1 + 16) /* a sealed alert, such as close_notify */
#define MOST_RECORDS 6		 /* of a client's second flight, certificates included */

struct record {
	__u8 type;
	__u8 version[2];
	__u8 len[2];
	__u8 first; /* of what it holds */
};

static __always_inline bool read_record(struct __sk_buff *skb, __u32 at, struct record *record)
{
	return !bpf_skb_load_bytes(skb, at, record, sizeof(*record));
}

static __always_inline __u32 record_len(const struct record *record)
{
	return record->len[0] << 8 | record->len[1];
}

/* Of a record of a handshake: one that is sealed may begin so, but hardly tells its length, too. */
static __always_inline bool is_client_hello(struct __sk_buff *skb, __u32 at,
					    const struct record *record)
{
	__u8 len[3];

	return record->first == CLIENT_HELLO &&
	       !bpf_skb_load_bytes(skb, at + sizeof(*record), len, sizeof(len)) &&
	       (__u32)(len[0] << 16 | len[1] << 8 | len[2]) + MESSAGE_HEAD == record_len(record);
}

/* Does a record of data begin here, other than a client's or server's goodbye? */
static __always_inline bool is_data(struct __sk_buff *skb, __u32 at)
{
	struct record record;

	if (!read_record(skb, at, &record))
		return false;
	return record.type == RECORD_DATA &&
	       (record_len(&record) != CLOSING_LEN || skb->len - at != RECORD_HEAD + CLOSING_LEN);
}

/* The client's second flight: does a request begin in this part of it? */
static __always_inline bool ends_handshake(struct __sk_buff *skb, struct lb_timing *timing,
					   __u32 at)
{
	struct record record;
	__u32 len;
	int i;

	at += timing->left;
	timing->left = 0;
	for (i = 0; i < MOST_RECORDS; i++) {
		if (at >= skb->len || !read_record(skb, at, &record))
			break;
		len = record_len(&record);
		if (record.type == RECORD_HANDSHAKE)
			timing->old |= !is_client_hello(skb, at, &record);
		if (record.type == RECORD_DATA && timing->tls == TLS_TICKETS)
			return true;
		if (record.type == RECORD_DATA && timing->old) {
			timing->tls = TLS_OPEN;
			return true;
		}
		/* before it there may be a certificate */
		if (record.type == RECORD_DATA && (len == FINISHED_SHORT || len == FINISHED_LONG))
			timing->tls = TLS_TICKETS;
		at += RECORD_HEAD + len;
	}
	if (at > skb->len && timing->tls == TLS_SHAKES)
		timing->left = at - skb->len;
	return false;
}

/*
 * TLS_TICKETS: may what is sent be a ticket? What is sent first may be; then what is as long as
 * that: tickets of a connection are, and seldom is an answer.
 */
static __always_inline bool may_be_ticket(struct __sk_buff *skb, struct lb_timing *timing, __u32 at)
{
	struct record record;

	if (!read_record(skb, at, &record))
		return false;
	if (!timing->ticket_len)
		timing->ticket_len = record_len(&record);
	return record_len(&record) == timing->ticket_len;
}

/* What came begins at `at`: is it a request, rather than a part of the handshake? */
static __always_inline bool is_request(struct __sk_buff *skb, struct lb_timing *timing, __u32 at)
{
	struct record record;

	switch (timing->tls) {
	case TLS_UNKNOWN:
		timing->tls = TLS_NONE;
		if (read_record(skb, at, &record) && record.type == RECORD_HANDSHAKE &&
		    record.version[0] == 3 && record.first == CLIENT_HELLO)
			timing->tls = TLS_HELLO;
		return timing->tls == TLS_NONE;
	case TLS_NONE:
		return true;
	case TLS_HELLO:
		return false; /* it goes on */
	case TLS_SHAKES:
		return ends_handshake(skb, timing, at);
	default:
		return is_data(skb, at);
	}
}

#endif
