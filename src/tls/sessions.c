/* SPDX-License-Identifier: MIT */
/*
 * Sessions that a client may resume, by host and port.
 *
 * Rules
 *  - A resumed session is not verified again, so its key is the name that was verified, and a
 *    session of a stream without verification never comes here.
 *  - A session of TLS 1.3 is used once: two connections with one ticket could be told to belong
 *    together.  One of TLS 1.2 stays.
 *  - One peer has at most PER_PEER of them, so that it cannot drive out the others'.
 *  - Contexts are shared between threads: the mutex is held for a few instructions, never across
 *    a call that could wait.
 */
#include <stdlib.h>
#include <string.h>

#include "tls.h"

#define PER_PEER    2
#define MAX_BUCKETS 1024

struct entry {
	struct entry *next;          /* in its bucket, the newest first */
	struct entry *older, *newer; /* of all */
	SSL_SESSION *session;
	size_t bucket;
	char key[];
};

struct anyc__tls_sessions {
	pthread_mutex_t mutex;
	size_t count, capacity, buckets;
	struct entry *oldest, *newest;
	struct entry *bucket[];
};

struct anyc__tls_sessions *anyc__tls_sessions_new(size_t capacity)
{
	size_t buckets = capacity < MAX_BUCKETS ? capacity : MAX_BUCKETS;
	struct anyc__tls_sessions *sessions =
		calloc(1, sizeof *sessions + buckets * sizeof *sessions->bucket);

	if (sessions == NULL)
		return NULL;
	pthread_mutex_init(&sessions->mutex, NULL);
	sessions->capacity = capacity;
	sessions->buckets = buckets;
	return sessions;
}

static size_t bucket_of(const struct anyc__tls_sessions *sessions, const char *key)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	while (*key != '\0')
		hash = (hash ^ (unsigned char)*key++) * UINT64_C(1099511628211);
	return (size_t)(hash % sessions->buckets);
}

/* Takes an entry out and frees it; its session is the caller's. */
static SSL_SESSION *take_out(struct anyc__tls_sessions *sessions, struct entry *e)
{
	struct entry **place = &sessions->bucket[e->bucket];
	SSL_SESSION *session = e->session;

	while (*place != e)
		place = &(*place)->next;
	*place = e->next;
	*(e->older != NULL ? &e->older->newer : &sessions->oldest) = e->newer;
	*(e->newer != NULL ? &e->newer->older : &sessions->newest) = e->older;
	sessions->count--;
	free(e);
	return session;
}

/* The oldest of a peer that has as many as it may; the oldest of all if it is full; or NULL. */
static struct entry *to_be_dropped(const struct anyc__tls_sessions *sessions, size_t bucket,
				   const char *key)
{
	struct entry *e, *last = NULL;
	unsigned n = 0;

	for (e = sessions->bucket[bucket]; e != NULL; e = e->next)
		if (strcmp(e->key, key) == 0) {
			n++;
			last = e;
		}
	if (n >= PER_PEER)
		return last;
	return sessions->count >= sessions->capacity ? sessions->oldest : NULL;
}

bool anyc__tls_sessions_put(struct anyc__tls_sessions *sessions, const char *key,
			    SSL_SESSION *session)
{
	size_t length = strlen(key);
	struct entry *e = malloc(sizeof *e + length + 1), *old;
	SSL_SESSION *dropped = NULL;

	if (e == NULL)
		return false;
	e->session = session;
	memcpy(e->key, key, length + 1);
	pthread_mutex_lock(&sessions->mutex);
	e->bucket = bucket_of(sessions, key);
	old = to_be_dropped(sessions, e->bucket, key);
	if (old != NULL)
		dropped = take_out(sessions, old);
	e->next = sessions->bucket[e->bucket];
	sessions->bucket[e->bucket] = e;
	e->newer = NULL;
	e->older = sessions->newest;
	*(e->older != NULL ? &e->older->newer : &sessions->oldest) = e;
	sessions->newest = e;
	sessions->count++;
	pthread_mutex_unlock(&sessions->mutex);
	SSL_SESSION_free(dropped);
	return true;
}

static bool used_once(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

SSL_SESSION *anyc__tls_sessions_take(struct anyc__tls_sessions *sessions, const char *key)
{
	SSL_SESSION *session = NULL;
	struct entry *e, *next;

	pthread_mutex_lock(&sessions->mutex);
	for (e = sessions->bucket[bucket_of(sessions, key)]; e != NULL && session == NULL;
	     e = next) {
		next = e->next;
		if (strcmp(e->key, key) != 0)
			continue;
		/* One whose connection broke is marked by OpenSSL, and of no more use. */
		if (!SSL_SESSION_is_resumable(e->session)) {
			SSL_SESSION_free(take_out(sessions, e));
		} else if (used_once(e->session)) {
			session = take_out(sessions, e);
		} else {
			session = e->session;
			SSL_SESSION_up_ref(session);
		}
	}
	pthread_mutex_unlock(&sessions->mutex);
	return session;
}

void anyc__tls_sessions_free(struct anyc__tls_sessions *sessions)
{
	if (sessions == NULL)
		return;
	while (sessions->oldest != NULL)
		SSL_SESSION_free(take_out(sessions, sessions->oldest));
	pthread_mutex_destroy(&sessions->mutex);
	free(sessions);
}
