/* SPDX-License-Identifier: MIT */
/*
 * Between OpenSSL and the stream's buffers: a BIO that reads what has been received and collects
 * what is to be sent.
 *
 * Rules
 *  - It never waits and never calls anyc: with nothing to read it says "retry", and the stream
 *    waits when OpenSSL has returned.  No OpenSSL call is ever suspended in the middle.
 *  - A write is always taken whole, so OpenSSL never has half a record to write.  How much may
 *    gather is the stream's business.
 *  - `sending` is not touched here: a transport may be reading from it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>

#include "tls.h"

int anyc__tls_buffer_reserve(struct anyc__tls_buffer *b, size_t n)
{
	size_t used = b->end - b->start;
	size_t capacity = b->capacity;
	unsigned char *data;

	if (capacity - b->end >= n)
		return 0;
	if (capacity - used >= n) {
		memmove(b->data, b->data + b->start, used);
	} else {
		if (n > SIZE_MAX / 4 - used)
			return -ENOMEM;
		/* Doubling, so that many small records cost no more than one copy each. */
		capacity = used + n > 2 * capacity ? used + n : 2 * capacity;
		data = malloc(capacity);
		if (data == NULL)
			return -ENOMEM;
		if (used > 0)
			memcpy(data, b->data + b->start, used);
		free(b->data);
		b->data = data;
		b->capacity = capacity;
	}
	b->start = 0;
	b->end = used;
	return 0;
}

void anyc__tls_buffer_free(struct anyc__tls_buffer *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

static int bio_read(BIO *bio, char *out, int size)
{
	struct anyc__tls_stream *t = BIO_get_data(bio);
	size_t n = anyc__tls_buffer_used(&t->input);

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(out, t->input.data + t->input.start, n);
	t->input.start += n;
	if (t->input.start == t->input.end)
		t->input.start = t->input.end = 0;
	return (int)n;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct anyc__tls_stream *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	/* Nobody will send it: alerts of a broken stream must not gather. */
	if (t->send_failure.rc != 0)
		return size;
	if (size <= 0 || anyc__tls_buffer_reserve(&t->made, (size_t)size) != 0)
		return -1;
	memcpy(t->made.data + t->made.end, data, (size_t)size);
	t->made.end += (size_t)size;
	return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct anyc__tls_stream *t;

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_PENDING:
		t = BIO_get_data(bio);
		return (long)anyc__tls_buffer_used(&t->input);
	case BIO_CTRL_WPENDING:
		t = BIO_get_data(bio);
		return (long)anyc__tls_buffer_used(&t->made);
	default:
		/* Among them BIO_CTRL_EOF: the end of the transport is judged in stream.c. */
		return 0;
	}
}

static BIO_METHOD *make_method(void)
{
	int type = BIO_get_new_index();
	BIO_METHOD *method;

	if (type == -1)
		return NULL;
	method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "anyc stream");
	if (method == NULL)
		return NULL;
	if (BIO_meth_set_read(method, bio_read) != 1 ||
	    BIO_meth_set_write(method, bio_write) != 1 ||
	    BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

/* One for the process, made on first use and kept; a failure is tried again the next time. */
static const BIO_METHOD *bio_method(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static BIO_METHOD *method;
	const BIO_METHOD *found;

	pthread_mutex_lock(&mutex);
	if (method == NULL)
		method = make_method();
	found = method;
	pthread_mutex_unlock(&mutex);
	return found;
}

BIO *anyc__tls_bio_new(struct anyc__tls_stream *t)
{
	const BIO_METHOD *method = bio_method();
	BIO *bio = method != NULL ? BIO_new(method) : NULL;

	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

/* By the BIO: OpenSSL's own place for such a pointer is left to who uses anyc/tls_openssl.h. */
struct anyc__tls_stream *anyc__tls_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}
