/* SPDX-License-Identifier: MIT */
/*
 * DNS messages; see message.h.
 *
 * Rules
 *  - What comes is a stranger's: every byte is looked for between at and size before it is read.
 *  - A compressed name goes on at a pointer, which must lead further back each time: so a name
 *    ends, whatever the pointers say.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "message.h"

enum { HEADER = 12, QUESTION_END = 4, RECORD_HEAD = 10, NAME_MAX_ = 255, IN_CLASS = 1 };

static void put16(unsigned char *at, unsigned value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static unsigned get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* Labels with their lengths before them; how many bytes, or ANYC_EINVAL. */
static int write_name(unsigned char *at, const char *name)
{
	size_t used = 0;

	while (*name != '\0') {
		size_t length = strcspn(name, ".");

		if (length == 0 || length > 63 || used + length + 2 > NAME_MAX_)
			return ANYC_EINVAL;
		at[used++] = (unsigned char)length;
		memcpy(at + used, name, length);
		used += length;
		name += length + (name[length] == '.');
	}
	if (used == 0)
		return ANYC_EINVAL;
	at[used++] = 0;
	return (int)used;
}

int dns_write_query(unsigned char buf[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type)
{
	int length;

	memset(buf, 0, HEADER);
	put16(buf, id);
	buf[2] = 1;          /* recursion desired */
	put16(buf + 4, 1); /* one question */
	length = write_name(buf + HEADER, name);
	if (length < 0)
		return length;
	put16(buf + HEADER + length, type);
	put16(buf + HEADER + length + 2, IN_CLASS);
	return HEADER + length + QUESTION_END;
}

/* --------------------------------------------------------------------------------- reading */

struct message {
	const unsigned char *data;
	size_t size, at;
};

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

/* Expands the name at m->at, in lower case, and goes behind it; false: malformed. */
static bool read_name(struct message *m, unsigned char out[NAME_MAX_], size_t *length)
{
	size_t at = m->at, limit = m->size, behind = 0;

	for (*length = 0; at < limit; at++) {
		unsigned label = m->data[at];

		if ((label & 0xc0) == 0xc0) {
			size_t to;

			if (at + 2 > limit)
				return false;
			to = get16(m->data + at) & 0x3fff;
			behind = behind != 0 ? behind : at + 2;
			limit = at; /* only what lies before is left */
			if (to >= limit)
				return false;
			at = to - 1;
			continue;
		}
		if (label > 63 || at + 1 + label > limit || *length + 1 + label > NAME_MAX_)
			return false;
		out[(*length)++] = (unsigned char)label;
		if (label == 0) {
			m->at = behind != 0 ? behind : at + 1;
			return true;
		}
		for (; label > 0; label--)
			out[(*length)++] = lower(m->data[++at]);
	}
	return false;
}

static bool same_question(struct message *m, const unsigned char *query, size_t query_size)
{
	struct message asked = { query, query_size, HEADER };
	unsigned char a[NAME_MAX_], b[NAME_MAX_];
	size_t a_length, b_length;

	if (!read_name(m, a, &a_length) || !read_name(&asked, b, &b_length) ||
	    m->size - m->at < QUESTION_END)
		return false;
	if (a_length != b_length || memcmp(a, b, a_length) != 0 ||
	    memcmp(m->data + m->at, query + asked.at, QUESTION_END) != 0)
		return false;
	m->at += QUESTION_END;
	return true;
}

static int add_address(struct anyc_addresses *list, unsigned type, const unsigned char *data,
		       size_t size)
{
	struct anyc_address a = { 0 };
	struct sockaddr_in *in = (void *)&a.storage;
	struct sockaddr_in6 *in6 = (void *)&a.storage;

	if (type == DNS_A && size == sizeof in->sin_addr) {
		a.storage.ss_family = AF_INET;
		a.length = sizeof *in;
		memcpy(&in->sin_addr, data, size);
	} else if (type == DNS_AAAA && size == sizeof in6->sin6_addr) {
		a.storage.ss_family = AF_INET6;
		a.length = sizeof *in6;
		memcpy(&in6->sin6_addr, data, size);
	} else {
		return -EPROTO;
	}
	return anyc_addresses_add(list, &a);
}

/* One record of the answer: an address that was asked for, or what leads to it (CNAME). */
static int read_record(struct dns_answer *out, struct message *m, unsigned wanted)
{
	unsigned char name[NAME_MAX_];
	const unsigned char *head;
	unsigned type, size;
	size_t length;
	int rc = 0;

	if (!read_name(m, name, &length) || m->size - m->at < RECORD_HEAD)
		return -EPROTO;
	head = m->data + m->at;
	type = get16(head);
	size = get16(head + 8);
	m->at += RECORD_HEAD;
	if (m->size - m->at < size)
		return -EPROTO;
	if (type == wanted && get16(head + 2) == IN_CLASS)
		rc = add_address(&out->addresses, type, m->data + m->at, size);
	m->at += size;
	return rc;
}

int dns_read_answer(struct dns_answer *out, const unsigned char *message, size_t size,
		    const unsigned char *query, size_t query_size)
{
	struct message m = { message, size, HEADER };
	unsigned records, type = get16(query + query_size - QUESTION_END);
	int rc = 0;

	memset(out, 0, sizeof *out);
	/* The id, an answer, to one question. */
	if (size < HEADER || memcmp(message, query, 2) != 0 || (message[2] & 0x80) == 0 ||
	    get16(message + 4) != 1 || !same_question(&m, query, query_size))
		return -EPROTO;
	out->code = message[3] & 0x0f;
	out->truncated = (message[2] & 0x02) != 0;
	if (out->truncated)
		return 0; /* whole records or not: they will come again */
	for (records = get16(message + 6); records > 0 && rc == 0; records--)
		rc = read_record(out, &m, type);
	return rc;
}
