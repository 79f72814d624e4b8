/* SPDX-License-Identifier: MIT */
/*
 * Datagram sockets: receiving and sending, one by one and many in one system call, and closing.
 *
 * Rules
 *  - A call tries until EAGAIN: that the kernel gave fewer datagrams than asked proves nothing.
 *  - What failed is forgotten when it was told: no error is kept here, and the kernel keeps each
 *    report of the peer's absence once.
 *  - An unconnected UNIX socket whose receiver is full gives EAGAIN, and no event when that has
 *    ended (rule 33): the call tries again on a timer, at intervals that double.
 *  - The memory goes when the socket was freed and the last call inside has returned.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "datagram.h"
#include "unix_path.h"

/* Messages that one system call takes: their headers are on the task's stack. */
#define AT_ONCE 64
#define FIRST_PAUSE ANYC_MILLISECOND
#define LONGEST_PAUSE (64 * ANYC_MILLISECOND)

/* ------------------------------------------------------------------------------- attempts */

static ssize_t receive_one(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	struct anyc_address unasked;
	struct anyc_address *from = w->address != NULL ? w->address : &unasked;
	socklen_t length = sizeof from->storage;
	ssize_t n = recvfrom(d->fd.fd, w->buf, w->size, MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&from->storage, &length);

	if (n < 0)
		return n;
	from->length = length;
	w->moved = (size_t)n < w->size ? (size_t)n : w->size;
	return n;
}

static ssize_t send_one(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	const struct anyc_address *to = w->address;
	ssize_t n = sendto(d->fd.fd, w->buf, w->size, MSG_DONTWAIT | MSG_NOSIGNAL,
			   to != NULL ? (const struct sockaddr *)&to->storage : NULL,
			   to != NULL ? to->length : 0);

	if (n < 0)
		return n;
	w->moved = (size_t)n;
	return 0;
}

/* The kernel's headers for the first messages; their number. */
static unsigned describe(struct mmsghdr *head, struct iovec *iov,
			 const struct anyc__datagram_work *w)
{
	unsigned i, n = w->count < AT_ONCE ? (unsigned)w->count : AT_ONCE;

	memset(head, 0, n * sizeof *head);
	for (i = 0; i < n; i++) {
		struct anyc_message *m = &w->messages[i];
		struct msghdr *h = &head[i].msg_hdr;
		bool receives = w->direction == ANYC__READ;

		iov[i].iov_base = m->data;
		iov[i].iov_len = m->size;
		h->msg_iov = &iov[i];
		h->msg_iovlen = 1;
		h->msg_namelen = receives ? sizeof m->address.storage : m->address.length;
		if (h->msg_namelen > 0)
			h->msg_name = &m->address.storage;
	}
	return n;
}

static ssize_t receive_some(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	union anyc__datagram_control control[AT_ONCE];
	struct mmsghdr head[AT_ONCE];
	struct iovec iov[AT_ONCE];
	unsigned count = describe(head, iov, w), k;
	int i, n;

	for (k = 0; d->coalesces && k < count; k++) {
		head[k].msg_hdr.msg_control = &control[k];
		head[k].msg_hdr.msg_controllen = sizeof control[k];
	}
	n = recvmmsg(d->fd.fd, head, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (i = 0; i < n; i++) {
		struct anyc_message *m = &w->messages[i];

		m->length = head[i].msg_len;
		m->segment = anyc__datagram_segment(&head[i].msg_hdr, m->length);
		m->address.length = head[i].msg_hdr.msg_namelen;
		w->moved += m->length < m->size ? m->length : m->size;
	}
	return n;
}

static ssize_t send_list(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	struct mmsghdr head[AT_ONCE];
	struct iovec iov[AT_ONCE];
	int i, n = sendmmsg(d->fd.fd, head, describe(head, iov, w), MSG_DONTWAIT | MSG_NOSIGNAL);

	for (i = 0; i < n; i++)
		w->moved += head[i].msg_len;
	return n;
}

static ssize_t send_some(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	ssize_t n = anyc__datagram_send_alike(d, w);

	if (n != 0)
		return n;
	n = send_list(d, w);
	if (n > 0 && w->refused != 0)
		anyc__datagram_cut_less(d, w->messages[0].size, w->refused);
	return n;
}

/* ------------------------------------------------------------------------------- failures */

/* An error of the peer's, or of the way there, that came back for an earlier datagram. */
static bool is_of_peer(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EPROTO:
		return true;
	default:
		return false;
	}
}

static int failed(const struct anyc_datagram *d, const struct anyc__datagram_work *w, int err)
{
	const struct anyc_address *peer = w->direction == ANYC__WRITE ? w->address : NULL;
	bool of_peer = d->connected && is_of_peer(err);
	struct anyc__address_text text;
	struct anyc__words words;

	if (peer == NULL && w->messages != NULL && w->direction == ANYC__WRITE &&
	    w->messages[0].address.length > 0)
		peer = &w->messages[0].address;
	if (peer == NULL && d->connected)
		peer = &d->remote;
	return anyc_fail(of_peer ? ANYC_EBROKEN : -err, err, "%s%s%s: %s", w->call,
			 peer == NULL		       ? ""
			 : w->direction == ANYC__WRITE ? " to "
						       : " from ",
			 peer != NULL ? anyc__address_text(&text, peer) : "",
			 anyc__words(&words, -err));
}

static int closed_meanwhile(const struct anyc__datagram_work *w)
{
	return anyc_fail(ANYC_ECLOSED, 0, "%s: another task has closed the socket", w->call);
}

/* -------------------------------------------------------------------------------- the loop */

static bool is_addressed(const struct anyc__datagram_work *w)
{
	return w->address != NULL || (w->messages != NULL && w->messages[0].address.length > 0);
}

static bool has_room(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static void stop_pausing(struct anyc_task *t, void *arg)
{
	struct anyc_datagram *d = arg;

	(void)t;
	d->pausing = NULL;
}

/*
 * Waits for a receiver that may be full until then, or until there is an event.  If the socket
 * itself has room no event tells of the receiver; but each attempt makes one, as it gives back what
 * it has allocated, and to wait for that would be a loop without a pause.
 */
static int await_receiver(struct anyc_datagram *d, struct anyc_task *t,
			  const struct anyc__datagram_work *w, int64_t until)
{
	int rc;

	if (has_room(d->fd.fd)) {
		d->pausing = t;
		rc = anyc__park_until(t, until, stop_pausing, d, w->wait);
	} else {
		rc = anyc__fd_wait_until(&d->fd, t, w->direction, until, w->wait);
	}
	return rc == ANYC_ETIMEDOUT ? 0 : rc;
}

/* Waits until the direction may be tried; *pause is how long without an event. */
static int await(struct anyc_datagram *d, struct anyc_task *t,
		 const struct anyc__datagram_work *w, int64_t *pause)
{
	int rc;

	if ((w->flags & ANYC_NOWAIT) != 0)
		return ANYC_EWOULDBLOCK;
	if (d->of_unix && w->direction == ANYC__WRITE && (!d->connected || is_addressed(w))) {
		rc = await_receiver(d, t, w, anyc__now(anyc__task_engine(t)) + *pause);
		*pause = *pause < LONGEST_PAUSE ? *pause * 2 : LONGEST_PAUSE;
	} else {
		rc = anyc__fd_wait(&d->fd, t, w->direction, w->wait);
	}
	if (rc == ANYC_ECLOSED || d->closed)
		return closed_meanwhile(w);
	return rc;
}

static int work_on(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	bool ready = (w->flags & ANYC_NOWAIT) != 0 || anyc__fd_ready(&d->fd, w->direction);
	int64_t pause = FIRST_PAUSE;
	struct anyc_task *t = NULL;
	int rc = anyc__socket_begin(&d->fd, w->flags, &t);

	while (rc == 0) {
		if (ready) {
			ssize_t n = w->attempt(d, w);

			if (ANYC__LIKELY(n >= 0)) {
				anyc__socket_end(t, w->flags, w->moved);
				return (int)n;
			}
			ready = errno == EINTR;
			if (errno == EAGAIN)
				anyc__fd_drained(&d->fd, w->direction);
			else if (errno != EINTR)
				rc = failed(d, w, errno);
		} else {
			rc = await(d, t, w, &pause);
			ready = true;
		}
	}
	return rc;
}

static void leave(struct anyc_datagram *d)
{
	if (ANYC__LIKELY(--d->inside > 0 || !d->freed))
		return;
	anyc__free(d);
}

/* Does it with the direction held. */
int anyc__datagram_run(struct anyc_datagram *d, struct anyc__datagram_work *w)
{
	bool *held = w->direction == ANYC__READ ? &d->receiving : &d->sending;
	int rc;

	if (ANYC__UNLIKELY(d->closed))
		return anyc__refuse_state(w->flags, ANYC_ECLOSED, 0,
					  "%s: the socket was closed on this side", w->call);
	if (ANYC__UNLIKELY(*held))
		return anyc__refuse_busy(w->flags, anyc__fd_elsewhere(&d->fd), w->call,
					 "direction");
	*held = true;
	d->inside++;
	rc = work_on(d, w);
	*held = false;
	leave(d);
	return rc;
}

/* ------------------------------------------------------------------------------- the calls */

int anyc__datagram_check_apart(const struct anyc_datagram *d, unsigned flags)
{
	if (ANYC__LIKELY(!d->coalesces || d->closed))
		return 0;
	return anyc__refuse_state(flags, ANYC_ENOTSUP, 0,
				  "receive: on this socket datagrams come joined: "
				  "anyc_datagram_receive_many()");
}

int anyc_datagram_receive_from(struct anyc_datagram *d, void *buf, size_t size,
			       struct anyc_address *from)
{
	struct anyc__datagram_work w = { .attempt = receive_one, .direction = ANYC__READ,
					 .call = "receive", .wait = "a datagram", .buf = buf,
					 .size = size, .address = from };
	int rc;

	if (from != NULL)
		memset(from, 0, sizeof *from);
	if (ANYC__UNLIKELY(d == NULL || (buf == NULL && size > 0)))
		return anyc__refuse_arguments(0, "receive: the %s is NULL",
					      d == NULL ? "socket" : "buffer");
	rc = anyc__datagram_check_apart(d, 0);
	return rc == 0 ? anyc__datagram_run(d, &w) : rc;
}

int anyc_datagram_receive(struct anyc_datagram *d, void *buf, size_t size)
{
	return anyc_datagram_receive_from(d, buf, size, NULL);
}

const char *anyc__datagram_bad_address(const struct anyc_datagram *d, const struct anyc_address *to)
{
	if ((to == NULL || to->length == 0) && !d->connected)
		return "there is no address, and the socket is not connected";
	if (to != NULL && to->length > sizeof to->storage)
		return "the address is longer than an address can be";
	return NULL;
}

int anyc_datagram_send_to(struct anyc_datagram *d, const void *buf, size_t size,
			  const struct anyc_address *to)
{
	struct anyc__datagram_work w = { .attempt = send_one, .direction = ANYC__WRITE,
					 .call = "send", .wait = "room to send", .size = size };
	const char *wrong = d == NULL		      ? "the socket is NULL"
			    : buf == NULL && size > 0 ? "the buffer is NULL"
						      : anyc__datagram_bad_address(d, to);

	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(0, "send: %s", wrong);
	w.buf = (void *)(uintptr_t)buf; /* both are only read */
	w.address = to != NULL && to->length > 0 ? (void *)(uintptr_t)to : NULL;
	return anyc__datagram_run(d, &w);
}

int anyc_datagram_send(struct anyc_datagram *d, const void *buf, size_t size)
{
	return anyc_datagram_send_to(d, buf, size, NULL);
}

static const char *bad_messages(const struct anyc_datagram *d, const struct anyc_message *messages,
				size_t count, unsigned flags)
{
	size_t i;

	if (d == NULL || messages == NULL)
		return d == NULL ? "the socket is NULL" : "the list of messages is NULL";
	if (count == 0)
		return "the list of messages is empty";
	if ((flags & ~(unsigned)ANYC_NOWAIT) != 0)
		return "no such flag";
	for (i = 0; i < count && i < AT_ONCE; i++)
		if (messages[i].data == NULL && messages[i].size > 0)
			return "the data of a message is NULL";
	return NULL;
}

int anyc_datagram_receive_many(struct anyc_datagram *d, struct anyc_message *messages, size_t count,
			       unsigned flags)
{
	struct anyc__datagram_work w = { .attempt = receive_some, .direction = ANYC__READ,
					 .call = "receive", .wait = "a datagram", .flags = flags,
					 .messages = messages, .count = count };
	const char *wrong = bad_messages(d, messages, count, flags);

	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(flags, "receive: %s", wrong);
	return anyc__datagram_run(d, &w);
}

int anyc_datagram_send_many(struct anyc_datagram *d, const struct anyc_message *messages,
			    size_t count, unsigned flags)
{
	struct anyc__datagram_work w = { .attempt = send_some, .direction = ANYC__WRITE,
					 .call = "send", .wait = "room to send", .flags = flags,
					 .count = count };
	const char *wrong = bad_messages(d, messages, count, flags);
	size_t i;

	for (i = 0; wrong == NULL && i < count && i < AT_ONCE; i++)
		wrong = anyc__datagram_bad_address(d, &messages[i].address);
	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(flags, "send: %s", wrong);
	w.messages = (void *)(uintptr_t)messages; /* only read */
	return anyc__datagram_run(d, &w);
}

/* --------------------------------------------------------------------------------- closing */

/* In a forked child the task is the parent's. */
static void wake_pausing(struct anyc_datagram *d)
{
	struct anyc_task *t = d->pausing;

	d->pausing = NULL;
	if (t != NULL && !anyc__fd_inherited(&d->fd))
		anyc__unpark(t, ANYC_ECLOSED);
}

static void close_open(struct anyc_datagram *d)
{
	d->closed = true;
	wake_pausing(d);
	anyc__bound_path_remove(d->path);
	d->path = NULL;
	anyc__fd_close(&d->fd);
}

bool anyc__datagram_elsewhere(const struct anyc_datagram *d)
{
	return !d->closed && anyc__fd_elsewhere(&d->fd) == ANYC_ETHREAD;
}

int anyc_datagram_close(struct anyc_datagram *d)
{
	struct anyc__closing closing;

	if (d == NULL)
		return anyc__refuse_arguments(0, "close: the socket is NULL");
	if (!anyc__closing_begin(&closing))
		return closing.rc;
	if (anyc__datagram_elsewhere(d))
		return anyc__refuse_close(&closing);
	if (!d->closed)
		close_open(d);
	return anyc__closing_end(&closing, 0);
}

void anyc_datagram_free(struct anyc_datagram *d)
{
	struct anyc__kept kept;

	if (d == NULL || d->freed)
		return;
	anyc__keep(&kept);
	if (anyc__datagram_elsewhere(d)) {
		ANYC_IGNORE(anyc__refuse_elsewhere("free"));
	} else {
		d->inside++;
		if (!d->closed)
			close_open(d);
		d->freed = true;
		leave(d);
	}
	anyc__restore(&kept);
}

/* -------------------------------------------------------------------------------- the rest */

int anyc__datagram_check_open(const struct anyc_datagram *d, const char *call)
{
	if (!d->closed)
		return 0;
	return anyc_fail(ANYC_ECLOSED, 0, "%s: the socket was closed on this side", call);
}

int anyc_datagram_attribute(struct anyc_datagram *d, const struct anyc_attribute *attribute,
			    void *out, size_t size)
{
	int rc;

	if (d == NULL || attribute == NULL || out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "attribute: an argument is NULL");
	if (size != attribute->size)
		return anyc_fail(ANYC_EINVAL, 0, "attribute %s has %zu bytes, not %zu",
				 attribute->name, attribute->size, size);
	memset(out, 0, size);
	rc = anyc__datagram_check_open(d, "attribute");
	if (rc != 0)
		return rc;
	if (attribute == &anyc_attribute_local_address)
		return anyc__socket_local(d->fd.fd, out);
	if (attribute == &anyc_attribute_remote_address && d->connected)
		*(struct anyc_address *)out = d->remote;
	else if (attribute == &anyc_attribute_fd)
		*(int *)out = d->fd.fd;
	else
		return anyc_fail(ANYC_ENOATTR, 0, "this datagram socket has no %s",
				 attribute->name);
	return 0;
}

int anyc__datagram_new(struct anyc_datagram **out, int fd, bool of_unix)
{
	struct anyc_datagram *d = anyc__alloc(sizeof *d);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = anyc__socket_remote(fd, &d->remote);
	if (rc != 0 && rc != -ENOTCONN) {
		anyc__free(d);
		return rc;
	}
	anyc__fd_init(&d->fd, fd, ANYC__FD_STREAM);
	d->of_unix = of_unix;
	d->connected = rc == 0;
	*out = d;
	return 0;
}
