/* SPDX-License-Identifier: MIT */
/*
 * sim: an event loop for tests, whose clock is virtual, and which can have a network of its own in
 * memory.  Hours of timers pass in milliseconds, and always in the same way.  Link with anyc-test.
 *
 *	struct anyc_sim_options options = { .seed = 7, .shuffle = true };
 *	struct anyc_run_options run = { .backend = "sim" };
 *
 *	if (anyc_sim_create(&sim, &options) != 0)
 *		return 1;
 *	run.native = sim;
 *	rc = anyc_run(&run, scenario, &data);     // sleeps of hours take no time
 *	anyc_sim_free(sim);
 *
 * The clock stands still while tasks run.  When nothing is ready it jumps to the earliest timer,
 * unless a task waits for something real: a descriptor, a worker thread's job, a signal, or
 * whatever another holder of the loop's token may post.  For as long virtual time runs as real
 * time does, so that a deadline ends such a wait, and nothing jumps past it.  Tasks that are ready
 * again and again without ever waiting get a millisecond a turn after two thousand turns: their
 * deadlines come too.
 *
 * Everything here is called on the thread that runs the sim; nothing is a checkpoint.
 */
#ifndef ANYC_SIM_H
#define ANYC_SIM_H

#include <anyc/base.h>
#include <anyc/loop.h>
#include <anyc/time.h>

ANYC_BEGIN_DECLS

struct anyc_sim;

/* What a connect meets. */
enum anyc_sim_reach {
	ANYC_SIM_REACHABLE,
	ANYC_SIM_REFUSES,    /* -ECONNREFUSED, whoever listens */
	ANYC_SIM_HANGS,      /* no answer: -ETIMEDOUT after 127 seconds, as on Linux */
	ANYC_SIM_UNREACHABLE /* -EHOSTUNREACH at once */
};

/* What connections meet; zeroed: a network that is perfect, and takes no time. */
struct anyc_sim_link {
	int64_t latency;   /* of one way */
	int64_t jitter;    /* up to so much more, drawn for each delivery; the order is kept */
	int64_t bandwidth; /* bytes a second, of one way; 0: no limit */
	uint32_t window;   /* bytes that are sent and not received yet, of one way; 0: 65536 */
	/* Chances in a million. */
	uint32_t refuse;   /* a connect is refused */
	uint32_t reset;    /* a delivery of data is a reset of the connection instead */
	uint32_t vanish;   /* or from it on nothing passes any more */
	enum anyc_sim_reach reach;
	bool short_receives; /* a receive takes a part of what has come, drawn by lot */
	bool short_sends;    /* likewise */
	uint8_t reserved_[26];
};

/* One line about what happens next, without a newline; see anyc_sim_options. */
typedef void anyc_sim_trace_fn(void *arg, const char *line);

struct anyc_sim_options {
	uint64_t seed; /* of all that is drawn by lot */
	int64_t start; /* what the clock shows at first; 0: 1000 seconds */
	bool manual;   /* the clock moves by anyc_sim_advance() alone */
	bool shuffle;  /* ready tasks run in an order drawn by lot: anyc_test_shuffle() */
	bool network;  /* connects and listens in memory, see below; else in the kernel */
	uint8_t reserved_[5];
	/*
	 * Gets a line for each task that runs, each move of the clock and each event of the
	 * network: with one seed the same lines, byte for byte, as long as nothing real is waited
	 * for.  It must not call anyc.
	 */
	anyc_sim_trace_fn *trace;
	void *trace_arg;
	struct anyc_sim_link link; /* of addresses without one of their own */
	void *reserved2_[4];
};

/*
 * Makes a sim; options may be NULL.  *out is NULL after a failure.
 *   errors  ANYC_EINVAL (a negative time, an option that this version does not know), -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_sim_create_sized(struct anyc_sim **out,
						   const struct anyc_sim_options *options,
						   size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_sim_create(struct anyc_sim **out,
						const struct anyc_sim_options *options)
{
	return anyc_sim_create_sized(out, options, sizeof *options);
}
/* Frees it, NULL-safe.  Detach it before: tasks that live get ANYC_EGONE.  Not while it runs. */
ANYC_API void anyc_sim_free(struct anyc_sim *sim);

/* The backend, for anyc_loop_attach() and, in static programs, anyc_backend_register(). */
ANYC_API const struct anyc_backend *anyc_sim_backend(void);
/* Attaches it: see anyc_loop_attach(). */
ANYC_INLINE ANYC_MUST_CHECK int anyc_sim_attach(struct anyc_loop **out, struct anyc_sim *sim)
{
	return anyc_loop_attach(out, anyc_sim_backend(), sim);
}

/*
 * Runs an attached sim until no task and no call of anyc_sim_at() keeps it going, or until
 * anyc_sim_stop(): 0.  After an error it may be run again, say after anyc_loop_cancel().
 *   errors  ANYC_EDEADLK (tasks live, and nothing could ever wake one), ANYC_EWOULDBLOCK (nothing
 *           goes on before the manual clock is moved), ANYC_EMISUSE (not attached, or it runs)
 * Under anyc_run() nobody could help any more: the waits of all tasks end with ANYC_EDEADLK.
 */
ANYC_API ANYC_MUST_CHECK int anyc_sim_run(struct anyc_sim *sim);
/* Ends the run that is on; if none is, the next one at once. */
ANYC_API void anyc_sim_stop(struct anyc_sim *sim);

/* What the clock shows: anyc_now() on the sim. */
ANYC_API int64_t anyc_sim_now(const struct anyc_sim *sim);
/* When the earliest timer or call is due, maybe in the past; ANYC_FOREVER: there is none. */
ANYC_API int64_t anyc_sim_next(const struct anyc_sim *sim);
/*
 * Moves the clock forward by ns at once.  What has become due happens when the ready tasks have
 * run, in the order of its time.  In a task it stands for work that takes so long; on a manual
 * clock nothing else moves it.   errors  ANYC_EINVAL (negative, or past the end of time)
 */
ANYC_API int anyc_sim_advance(struct anyc_sim *sim, int64_t ns);
/*
 * Calls fn(arg) at a point in time (in the past: as soon as can be), outside a task.  Calls of one
 * time come in the order they were asked for; those that are left when the sim is freed never do.
 *   errors  ANYC_EINVAL (no function), -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_sim_at(struct anyc_sim *sim, int64_t when, void (*fn)(void *arg),
					 void *arg);

/* -------------------------------------------------------------------------------- network */

/*
 * With the option `network` anyc_resolve(), anyc_tcp_connect() and anyc_tcp_listen() on this sim
 * see a network in memory, on which every address is this machine's: a listener listens on any,
 * and a connection comes from the address that it goes to, unless it is bound to another one.
 * Its streams and listeners do all that those of TCP do, but have no descriptor.  Names are those
 * of anyc_sim_add_host() and localhost.  Descriptors of the caller's, adopted ones, UNIX and UDP
 * sockets are the kernel's.
 */

/* Gives a name one more address, a literal.   errors  ANYC_EINVAL, -ENOMEM */
ANYC_API ANYC_MUST_CHECK int anyc_sim_add_host(struct anyc_sim *sim, const char *name,
					       const char *address);
/*
 * What connections to an address, a literal, meet that are begun from now on.
 *   errors  ANYC_EINVAL (no address, or a bad link), -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_sim_set_link_sized(struct anyc_sim *sim, const char *address,
						     const struct anyc_sim_link *link, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_sim_set_link(struct anyc_sim *sim, const char *address,
						  const struct anyc_sim_link *link)
{
	return anyc_sim_set_link_sized(sim, address, link, sizeof *link);
}

/*
 * What befalls the connection of a stream, either end's.  reset: it is broken for both, at once.
 * vanish: nothing passes any more, and nobody is told.
 *   errors  ANYC_EINVAL (not a stream of a sim's network), ANYC_ECLOSED, ANYC_EGONE, ANYC_ETHREAD
 */
ANYC_API int anyc_sim_reset(struct anyc_stream *stream);
ANYC_API int anyc_sim_vanish(struct anyc_stream *stream);

ANYC_END_DECLS
#endif
