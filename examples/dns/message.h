/* SPDX-License-Identifier: MIT */
/* DNS messages (RFC 1035): writing a query, reading an answer.  No input or output. */
#ifndef EXAMPLES_DNS_MESSAGE_H
#define EXAMPLES_DNS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <anyc/error.h>
#include <anyc/net.h>

enum { DNS_A = 1, DNS_AAAA = 28 };
enum { DNS_NO_ERROR = 0, DNS_NO_SUCH_NAME = 3 };
/* The longest a query gets: header, name, type, class. */
enum { DNS_QUERY_MAX = 12 + 255 + 4 };

/* The query's length, or ANYC_EINVAL: this is no name. */
int dns_write_query(unsigned char buf[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type);

struct dns_answer {
	unsigned code;
	bool truncated; /* to be asked again by TCP */
	struct anyc_addresses addresses;
};
/*
 * Reads the answer to a query that dns_write_query() wrote.  Adds its addresses, which the caller
 * frees, also after a failure.
 *   errors  -EPROTO: not the answer to this query, or malformed; -ENOMEM
 */
int dns_read_answer(struct dns_answer *out, const unsigned char *message, size_t size,
		    const unsigned char *query, size_t query_size);

#endif
