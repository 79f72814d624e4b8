/* SPDX-License-Identifier: MIT */
/*
 * What the files of libanyc-tls share: the stream, its buffers, and the calls between them.
 *
 * bio.c moves bytes between OpenSSL and the buffers and never waits; transport.c moves them
 * between the buffers and the transport and is where a stream waits; stream.c drives OpenSSL;
 * wrap.c begins and ends streams; facts.c answers questions.  A context (context.c) holds settings
 * (settings.c, trust.c), for which OpenSSL calls callbacks.c; sessions.c keeps a client's sessions.
 *
 * libanyc gives other libraries no allocator, so blocks of ours are malloc's; OpenSSL keeps its.
 */
#ifndef ANYC_TLS_TLS_H
#define ANYC_TLS_TLS_H

#include <pthread.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include <anyc/error.h>
#include <anyc/sync.h>
#include <anyc/tls.h>
#include <anyc/tls_openssl.h>

/* ------------------------------------------------------------------------------- buffers */

struct anyc__tls_facts;

struct anyc__tls_buffer {
	unsigned char *data;
	size_t start, end; /* what is in it; both 0 when empty */
	size_t capacity;
};

/* Makes room for n more bytes behind the end; -ENOMEM, and nothing has changed. */
int anyc__tls_buffer_reserve(struct anyc__tls_buffer *b, size_t n);
void anyc__tls_buffer_free(struct anyc__tls_buffer *b);

static inline size_t anyc__tls_buffer_used(const struct anyc__tls_buffer *b)
{
	return b->end - b->start;
}

/* -------------------------------------------------------------------------------- stream */

#define ANYC__TLS_INPUT_SMALL ((size_t)8 << 10) /* room for input while the peer sends little */

/* An error for good: every later call in its direction returns it with its sentence. */
struct anyc__tls_failure {
	int rc; /* 0: none */
	int os_errno;
	char text[160];
};

struct anyc__tls_stream {
	struct anyc_stream head;
	struct anyc_stream *transport; /* NULL once closed or given back */
	struct anyc__tls_stream *below; /* with a transport: a TLS stream in it, or NULL */
	bool below_sends;               /* it is what takes our output: in a staple it may not be */
	SSL *ssl;
	struct anyc__tls_settings *settings;
	/* Ciphertext: received; made by OpenSSL; on its way to the transport. */
	struct anyc__tls_buffer input, made, sending;
	size_t input_size;           /* what the next wait should have room for */
	uint64_t pulls;              /* times that input was filled, or ended */
	uint64_t records;            /* made of what was sent */
	unsigned empty_reads;        /* one after the other, of records without data */
	struct anyc_lock pull_lock;  /* one task receives from the transport */
	struct anyc_lock flush_lock; /* one task sends to it */
	struct anyc__tls_failure receive_failure, send_failure;
	int64_t handshake_timeout, handshake_deadline;
	pid_t pid;       /* a forked child says no goodbye on its parent's connection */
	unsigned inside; /* calls under way, also those the generic layer does not count */
	unsigned flushed_from_above; /* of them: a TLS stream above waits for what is to be sent */
	bool server, ragged_eof, insecure;
	bool ready;       /* the handshake is done */
	bool peer_closed; /* the clean end */
	bool closed, freed;
	/* Of a server: why a callback of ours has ended the handshake, 0 and NULL if none has. */
	int refusal;
	const char *refusal_text;
	char *asked;                   /* of a server: the name it was asked for, or NULL */
	struct anyc__tls_facts *facts; /* NULL until one is asked for */
	const char *key;               /* of a client: host and port, whom sessions are with */
	char host[];                   /* of a client, as checked: for sentences */
};

/* bio.c: the BIO of both directions, or NULL; and back. */
BIO *anyc__tls_bio_new(struct anyc__tls_stream *t);
struct anyc__tls_stream *anyc__tls_of(const SSL *ssl);

/* ----------------------------------------------------------------------- transport.c */

/*
 * Everywhere below: flags has ANYC_NOWAIT or not, and *waited becomes true when the call has
 * waited, and so has been a checkpoint.
 */

/* Ends both directions for good; the first failure of each stays. */
void anyc__tls_break(struct anyc__tls_stream *t, int rc, int os_errno, const char *format, ...)
	ANYC_PRINTF(4, 5);
int anyc__tls_fail_again(const struct anyc__tls_failure *f);
/* Who is at the other end, for sentences. */
const char *anyc__tls_peer(const struct anyc__tls_stream *t);

int anyc__tls_lock(struct anyc_lock *lock, unsigned flags, bool *waited);
void anyc__tls_unlock(struct anyc_lock *lock, unsigned flags);

/* Ciphertext that is still to be sent. */
size_t anyc__tls_output_used(const struct anyc__tls_stream *t);
/* Sends all of it; the caller has flush_lock.  After an error the rest is still there. */
int anyc__tls_send_output(struct anyc__tls_stream *t, unsigned flags, bool *waited);
/* The same for who has not. */
int anyc__tls_flush(struct anyc__tls_stream *t, unsigned flags, bool *waited);

/* Gets more input, or waits until another task has; 0: OpenSSL may be asked again. */
int anyc__tls_pull(struct anyc__tls_stream *t, unsigned flags, bool *waited);
/* The same for an open stream that has nothing to do but wait: leftovers go out meanwhile. */
int anyc__tls_wait_input(struct anyc__tls_stream *t, unsigned flags, bool *waited);
/* Makes the empty input as large as recent traffic asks for. */
int anyc__tls_make_room(struct anyc__tls_stream *t);
/* The transport has ended: clean or not is decided here. */
void anyc__tls_input_ended(struct anyc__tls_stream *t);

/* -------------------------------------------------------------------------- stream.c */

extern const struct anyc_stream_ops anyc__tls_ops;

/* Why the last call of OpenSSL failed, in its words; empties the thread's queue of errors. */
const char *anyc__tls_reason(void);
/* Handshakes if that is still to be done. */
int anyc__tls_ready(struct anyc__tls_stream *t, unsigned flags, bool *waited);
/* Sends close_notify behind what is pending; nothing on a broken stream. */
int anyc__tls_goodbye(struct anyc__tls_stream *t, unsigned flags, bool *waited);
/* Receives and drops data up to the peer's close_notify. */
int anyc__tls_await_goodbye(struct anyc__tls_stream *t, bool *waited);
/* The frame of every call: enter counts it and looks for a cancellation, leave yields once. */
int anyc__tls_enter(struct anyc__tls_stream *t, unsigned flags);
int anyc__tls_leave(struct anyc__tls_stream *t, unsigned flags, bool waited, int rc);
void anyc__tls_destroy(struct anyc__tls_stream *t);

/* --------------------------------------------------------------------- contexts, wrapping */

/* What a context holds, in one piece: a reload puts another in its place. */
struct anyc__tls_settings {
	SSL_CTX *ssl;
	_Atomic unsigned references; /* the context's, and one of each stream */
	struct anyc__tls_sessions *sessions; /* NULL: none are kept */
	unsigned char *protocols;            /* as ALPN has them on the wire, or NULL */
	size_t protocols_size;
	anyc_tls_choose_fn *choose;
	void *choose_arg;
	anyc_tls_keylog_fn *keylog;
	void *keylog_arg;
	int keylog_fd; /* -1: none */
};

struct anyc_tls_context {
	_Atomic unsigned references;
	bool server;
	pthread_mutex_t mutex; /* of the pointer */
	struct anyc__tls_settings *settings;
};

/* context.c: the process's default client context, with a reference for the caller. */
int anyc__tls_default_context(struct anyc_tls_context **out);
/* What the context holds now, with a reference. */
struct anyc__tls_settings *anyc__tls_context_settings(struct anyc_tls_context *ctx);

/* settings.c: what the options say, which were checked. */
int anyc__tls_settings_new(struct anyc__tls_settings **out,
			   const struct anyc_tls_context_options *options);
void anyc__tls_settings_unref(struct anyc__tls_settings *settings); /* NULL-safe */
/* Asks nobody for a passphrase: OpenSSL's default would, on the terminal. */
int anyc__tls_no_passphrase(char *buf, int size, int writing, void *arg);

/* trust.c */
int anyc__tls_load_trust(SSL_CTX *ssl, const struct anyc_tls_context_options *options);

/* sessions.c: sessions of a client, by whom they are with; of any thread. */
struct anyc__tls_sessions *anyc__tls_sessions_new(size_t capacity);
void anyc__tls_sessions_free(struct anyc__tls_sessions *sessions); /* NULL-safe */
/* Keeps a session, whose reference it takes over if it says true. */
bool anyc__tls_sessions_put(struct anyc__tls_sessions *sessions, const char *key,
			    SSL_SESSION *session);
/* One to resume, with a reference; or NULL. */
SSL_SESSION *anyc__tls_sessions_take(struct anyc__tls_sessions *sessions, const char *key);

/* callbacks.c: has OpenSSL call us where the settings ask for it. */
void anyc__tls_set_callbacks(const struct anyc__tls_settings *settings, bool server);

/* facts.c */
/* struct anyc__tls_stream *: the first TLS stream on the way down, also through other layers. */
extern const struct anyc_attribute anyc__tls_attribute_self;
int anyc__tls_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out);
void anyc__tls_facts_free(struct anyc__tls_facts *facts); /* NULL-safe */

/* wrap.c */
/* Copies options that may be older or newer than ours, and checks them. */
int anyc__tls_options_copy(struct anyc_tls_options *out, const struct anyc_tls_options *options,
			   size_t size);
/* 0 for a name or an address that a client can check; or ANYC_EINVAL. */
int anyc__tls_check_name(const char *host);
/* A stream over the transport, before its handshake; after a failure the transport is untouched. */
int anyc__tls_create(struct anyc__tls_stream **out, struct anyc_stream *transport,
		     const char *host, const struct anyc_tls_options *options);
/* The stream as ours, or NULL. */
struct anyc__tls_stream *anyc__tls_cast(struct anyc_stream *s);

#endif
