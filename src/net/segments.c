/* SPDX-License-Identifier: MIT */
/*
 * One buffer, or a list of messages of one size, as many datagrams: cut by the kernel where it can
 * (UDP_SEGMENT), which walks its stack once for all of them, else one by one in one call; and such
 * as the kernel has joined (UDP_GRO).
 *
 * Rules
 *  - What goes over the wire is the same either way.
 *  - A kernel that does not know UDP_SEGMENT takes no notice of it and sends one long datagram:
 *    so it is asked for the option before.
 *  - Segments that do not fit the way's MTU are refused, with EINVAL or EMSGSIZE: they, and longer
 *    ones, go one by one from then on, and the IP layer makes fragments.  EIO is said of a device
 *    that has no checksums of its own: nothing is cut by the kernel any more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "datagram.h"

/* What the kernel takes in one call. */
#define SEGMENTS_AT_ONCE 64
#define MOST_AT_ONCE     ((size_t)65507)
/* Fewer messages of one size go with the rest of a list that goes on. */
#define ALIKE_LEAST 8

/* ------------------------------------------------------------------------------- receiving */

int anyc__datagram_coalesce(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0)
		return 0;
	return errno == ENOPROTOOPT ? 0 : -errno;
}

bool anyc__datagram_coalesces(int fd)
{
	int on = 0;
	socklen_t length = sizeof on;

	return getsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, &length) == 0 && on != 0;
}

size_t anyc__datagram_segment(struct msghdr *message, size_t length)
{
	struct cmsghdr *c = message->msg_controllen > 0 ? CMSG_FIRSTHDR(message) : NULL;
	int size;

	if (c == NULL || c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO ||
	    c->cmsg_len < CMSG_LEN(sizeof size))
		return length;
	memcpy(&size, CMSG_DATA(c), sizeof size);
	return size > 0 && (size_t)size < length ? (size_t)size : length;
}

/* --------------------------------------------------------------------------------- sending */

/* Whether the kernel is to cut segments of this size. */
static bool can_cut(struct anyc_datagram *d, size_t segment)
{
	int value;
	socklen_t length = sizeof value;

	if (!d->segments_asked) {
		d->segments_asked = true;
		if (!d->of_unix &&
		    getsockopt(d->fd.fd, IPPROTO_UDP, UDP_SEGMENT, &value, &length) == 0)
			d->most_segment = MOST_AT_ONCE;
	}
	return segment <= d->most_segment;
}

/* The kernel has refused: it may be the cutting, or the address. */
static bool may_be_the_cutting(int err)
{
	return err == EINVAL || err == EMSGSIZE || err == EIO || err == ENOPROTOOPT ||
	       err == EOPNOTSUPP;
}

void anyc__datagram_cut_less(struct anyc_datagram *d, size_t segment, int refused)
{
	d->most_segment = refused == EINVAL || refused == EMSGSIZE ? segment - 1 : 0;
}

static void address(struct msghdr *m, const struct anyc_address *to)
{
	if (to == NULL || to->length == 0)
		return;
	m->msg_name = (void *)(uintptr_t)&to->storage; /* only read */
	m->msg_namelen = to->length;
}

/* One datagram of these pieces, which the kernel is to cut into segments: how many bytes. */
static ssize_t send_to_cut(struct anyc_datagram *d, struct iovec *iov, size_t count,
			   size_t segment_size, const struct anyc_address *to)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = count };
	uint16_t segment = (uint16_t)segment_size;
	union anyc__datagram_control control;
	struct cmsghdr *c;

	memset(&control, 0, sizeof control);
	m.msg_control = &control;
	m.msg_controllen = CMSG_SPACE(sizeof segment);
	address(&m, to);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof segment);
	memcpy(CMSG_DATA(c), &segment, sizeof segment);
	return sendmsg(d->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* As many whole segments as one call takes, or all that is left: how many bytes. */
static ssize_t send_cut(struct anyc_datagram *d, const struct anyc__datagram_work *w)
{
	size_t most = MOST_AT_ONCE / w->segment;
	struct iovec piece = { .iov_base = w->buf };

	most = w->segment * (most < SEGMENTS_AT_ONCE ? most : SEGMENTS_AT_ONCE);
	piece.iov_len = w->size < most ? w->size : most;
	return send_to_cut(d, &piece, 1, w->segment, w->address);
}

static ssize_t send_one_by_one(struct anyc_datagram *d, const struct anyc__datagram_work *w)
{
	struct mmsghdr head[SEGMENTS_AT_ONCE];
	struct iovec piece[SEGMENTS_AT_ONCE];
	size_t at = 0, sent = 0;
	unsigned count = 0;
	int i, n;

	memset(head, 0, sizeof head);
	while (at < w->size && count < SEGMENTS_AT_ONCE) {
		size_t left = w->size - at;

		piece[count].iov_base = (char *)w->buf + at;
		piece[count].iov_len = left < w->segment ? left : w->segment;
		head[count].msg_hdr.msg_iov = &piece[count];
		head[count].msg_hdr.msg_iovlen = 1;
		address(&head[count].msg_hdr, w->address);
		at += piece[count++].iov_len;
	}
	n = sendmmsg(d->fd.fd, head, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (i = 0; i < n; i++)
		sent += head[i].msg_len;
	return n < 0 ? -1 : (ssize_t)sent;
}

static ssize_t send_segments(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	bool cut = w->size > w->segment && can_cut(d, w->segment);
	ssize_t n = cut ? send_cut(d, w) : send_one_by_one(d, w);

	if (n < 0 && cut && may_be_the_cutting(errno)) {
		int refused = errno;

		n = send_one_by_one(d, w);
		if (n > 0)
			anyc__datagram_cut_less(d, w->segment, refused);
	}
	if (n > 0)
		w->moved = (size_t)n;
	return n;
}

int anyc_datagram_send_segments(struct anyc_datagram *d, const void *buf, size_t size,
				size_t segment, const struct anyc_address *to, unsigned flags)
{
	struct anyc__datagram_work w = { .attempt = send_segments, .direction = ANYC__WRITE,
					 .call = "send", .wait = "room to send", .flags = flags,
					 .size = size, .segment = segment };
	const char *wrong = NULL;

	if (d == NULL || buf == NULL)
		wrong = d == NULL ? "the socket is NULL" : "the buffer is NULL";
	else if (size == 0 || segment == 0)
		wrong = size == 0 ? "there is nothing to send" : "the segments are of 0 bytes";
	else if ((flags & ~(unsigned)ANYC_NOWAIT) != 0)
		wrong = "no such flag";
	else
		wrong = anyc__datagram_bad_address(d, to);
	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(flags, "send: %s", wrong);
	w.buf = (void *)(uintptr_t)buf; /* both are only read */
	w.address = to != NULL && to->length > 0 ? (void *)(uintptr_t)to : NULL;
	return anyc__datagram_run(d, &w);
}

/* ------------------------------------------------------------------------ lists of messages */

/* How many messages, from the first on, can be the segments of one; the last may be shorter. */
static unsigned count_alike(const struct anyc__datagram_work *w)
{
	const struct anyc_message *first = w->messages;
	size_t total = first->size;
	unsigned n = 1;

	while (n < w->count && n < SEGMENTS_AT_ONCE && w->messages[n - 1].size == first->size) {
		const struct anyc_message *m = &w->messages[n];

		total += m->size;
		if (m->size == 0 || m->size > first->size || total > MOST_AT_ONCE ||
		    m->address.length != first->address.length ||
		    memcmp(&m->address.storage, &first->address.storage, m->address.length) != 0)
			break;
		n++;
	}
	return n;
}

ssize_t anyc__datagram_send_alike(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	const struct anyc_message *first = w->messages;
	unsigned n = count_alike(w), i;
	struct iovec iov[SEGMENTS_AT_ONCE];
	ssize_t sent;

	w->refused = 0;
	if (n < 2 || (n < ALIKE_LEAST && n < w->count) || !can_cut(d, first->size))
		return 0;
	for (i = 0; i < n; i++)
		iov[i] = (struct iovec){ .iov_base = first[i].data, .iov_len = first[i].size };
	sent = send_to_cut(d, iov, n, first->size, &first->address);
	if (sent < 0) {
		w->refused = may_be_the_cutting(errno) ? errno : 0;
		return w->refused != 0 ? 0 : -1;
	}
	w->moved += (size_t)sent;
	return n;
}
