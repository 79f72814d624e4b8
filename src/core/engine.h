/* SPDX-License-Identifier: MIT */
/*
 * The inside of core: tasks, the engine, and who calls whom.  Only files of src/core include it.
 *
 *	turn.c     runs ready tasks inside a turn; the only place that switches
 *	order.c    the order of ready tasks, for tests      place.c   where they are cancelled
 *	task.c     makes and ends tasks        group.c   their groups      scope.c   cancellation
 *	timer.c    the heap                    fd.c      readiness
 *	poll_epoll.c  system calls
 *	wake.c     eventfd, tokens, posts      worker.c  threads
 *	waiters.c  lines of tasks              xwaiters.c  between threads
 *	loop.c     an engine inside a native loop or alone    plain.c   in a thread without a loop
 */
#ifndef ANYC__ENGINE_H
#define ANYC__ENGINE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <anyc/backend.h>
#include <anyc/inspect.h>
#include <anyc/loop.h>
#include <anyc/scope.h>

#include "core.h"
#include "fd.h"
#include "sanitize.h"
#include "stack.h"
#include "switch.h"

#include "detect/detect.h"

/* ---------------------------------------------------------------------------------- tasks */

enum anyc__task_state {
	ANYC__READY,   /* in the ready queue */
	ANYC__RUNNING, /* runs, or is busy below a nested turn */
	ANYC__PARKED,
	ANYC__ENDED
};

/* At the top of the task's own stack; a plain thread's root is in its struct anyc__plain. */
struct anyc_task {
	/* What switches, wake-ups and checkpoints touch: two lines of the cache, and the third. */
	struct anyc__context context;
	struct anyc__engine *engine;
	struct anyc_task *next_ready;
	struct anyc_scope *scope; /* innermost */
	uint8_t state;
	bool is_root_of_thread; /* runs on the thread's own stack */
	bool background;
	bool fpenv;
	int32_t wake;          /* what park returns */
	anyc__abort_fn *abort; /* while parked; NULL: cannot be cancelled */
	void *abort_arg;
	const char *waits_for; /* while parked */
	int64_t since;         /* while parked: since when, if ANYC__PROBE_CLOCK; 0: not known */
	uint64_t id;
	uintptr_t stack_low, stack_high;
	struct anyc_scope base;   /* the task's own scope, around its function */
	struct anyc_timer_ timer; /* park_until */

	anyc_task_fn *fn;
	void *arg;
	void *copy; /* the private copy, or NULL */
	void *site; /* where it was spawned */
	const char *name;
	uint64_t number; /* among the tasks its engine has made */
	struct anyc__stack *stack; /* NULL: a plain thread's root */
	struct anyc__names names;

	/* Zero in a new task, from the depth of names to the slot's text. */
	struct anyc_group *group;      /* NULL: a root task */
	struct anyc_task *prev, *next; /* in the group, or among the engine's root tasks */
	struct anyc_handle *handle;
	struct anyc_group *starts; /* anyc_start: the group it joins when started */
	bool *starter_told;        /* in the starter's frame: it was started */
	intptr_t *start_value;     /* likewise */
	struct anyc__locals *locals; /* local.c; NULL: none are set */
	anyc_done_fn *on_done;
	void *done_arg;
	struct anyc_group_errors_ *errors; /* lists of groups it has left */
	struct { void *caught; unsigned uncaught; } cxa; /* the C++ runtime's, while switched out */
	unsigned error_lists;
	unsigned owned; /* what it has that others may wait for: locks */
	unsigned held_count; /* likewise, others of any thread: xwaiters.c */
	struct anyc_held_ *held;
	int32_t result;
	bool started;
	struct anyc__slot slot;
	struct anyc__fpenv fp;
};

/* --------------------------------------------------------------------------------- engine */

struct anyc__timer_entry {
	int64_t when;
	struct anyc_timer_ *timer;
};
struct anyc__timers { /* a 4-ary heap, whose last entry may be out of order */
	struct anyc__timer_entry *entry;
	size_t count, capacity;
	int64_t armed; /* what timerfd is set to; ANYC_FOREVER: not armed */
};

struct anyc__slot_entry { /* the table of registered descriptors */
	struct anyc__fd *fd; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};
struct anyc__fds {
	struct anyc__slot_entry *slot; /* slot[0] is not used */
	uint32_t count, capacity, free;
	struct anyc__fd **borrowed; /* by number, for anyc_wait_readable(); made on demand */
	size_t borrowed_capacity;
	struct anyc__fd *single; /* without an epoll set: the one descriptor that is waited for */
	uint8_t single_directions;
	size_t waiting; /* tasks that wait for a descriptor */
};

struct anyc__poller {
	int epoll;   /* -1 until needed (a plain thread), or open from the start */
	int timer;   /* with epoll */
	int event;   /* eventfd: posts, signals */
};

/* A turn that is under way; by value, innermost last (rule 26). */
#define ANYC__TURNS 16
struct anyc__turn {
	struct anyc__context context; /* where tasks go back to */
	struct anyc__fiber fiber;
	struct anyc_task *below; /* the task on whose stack the turn runs, or NULL */
	struct anyc__names *names;
	struct anyc__engine *outer; /* whose turn runs below this one in the thread */
	unsigned frame;          /* detect's */
	int budget;              /* of the turn below */
	int cancel_state;        /* pthread's, before the outermost turn */
	bool root_woken;         /* plain: the root was next */
};

/* How an engine gets its turns. */
struct anyc__host {
	/* Work is left, or came outside a turn: have a turn soon. */
	void (*soon)(struct anyc__engine *e);
	/* The first task came, or the last went; called when no turn is under way. */
	void (*keepalive)(struct anyc__engine *e, bool on);
	/* The outermost turn has returned and e->detached is set: frees the engine. */
	void (*ended)(struct anyc__engine *e);
	/* NULL: CLOCK_MONOTONIC */
	int64_t (*now)(const struct anyc__engine *e);
	/* With a clock of its own: lets happen what is due; or NULL. */
	void (*idle)(struct anyc__engine *e);
};

/* Callbacks, in the order in which they came. */
struct anyc__posts {
	struct anyc__post *first, *last;
	size_t count;
};
static inline void anyc__posts_append(struct anyc__posts *list, struct anyc__post *p)
{
	p->in = list;
	p->next = NULL;
	p->prev = list->first != NULL ? list->last : NULL;
	if (list->first != NULL)
		list->last->next = p;
	else
		list->first = p;
	list->last = p;
	list->count++;
}
static inline void anyc__posts_take_out(struct anyc__post *p)
{
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		p->in->first = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	else
		p->in->last = p->prev;
	p->in->count--;
	p->in = NULL;
}

/* order.c: how ready tasks take turns, while probes say so. */
struct anyc__order {
	uint64_t lot;            /* the generator's state */
	size_t batch;            /* tasks of the batch that have not run yet */
	anyc_observe_fn *observe;
	void *observe_arg;
};

/* What other threads share with an engine; counted; see wake.c. */
struct anyc_token {
	atomic_size_t references;
	uint64_t fork_generation;    /* when it was made */
	pthread_mutex_t lock;
	struct anyc__engine *engine; /* under the lock; NULL: gone */
	int event;                   /* the engine's eventfd; -1: gone */
	struct anyc__posts posts;    /* under the lock */
	atomic_bool posted;          /* something is queued: the eventfd was written */
	atomic_bool cancel;          /* from a signal handler */
};

struct anyc__engine {
	struct anyc_engine base; /* what a backend sees */
	struct anyc__engine *next_engine; /* of the process */
	uint64_t id;
	uint64_t fork_generation;
	uint64_t thread;             /* the thread that runs it */
	struct anyc__entry *entry;   /* detection's; NULL: a plain thread's engine */
	const struct anyc__host *host;

	struct anyc_task *ready_first, *ready_last;
	int budget;
	unsigned turns;  /* under way */
	unsigned probes; /* ANYC__PROBE_*; 0: nothing looks on or takes part */
	bool in_probe;   /* code of the user's runs beside tasks: see inspect.c */
	uint64_t switches, turn_count; /* so far */
	uint64_t made;   /* tasks so far */
	uint64_t last_id, ids_end; /* ids for its tasks: a block of the process's, being used up */
	struct anyc__order order;
	struct anyc__turn turn[ANYC__TURNS];
	struct anyc_task *ended; /* left its stack for good; recycled by whoever arrives next */
	struct anyc_task *done_first, *done_last; /* root tasks whose on_done is due */
	struct anyc__fiber *leaving; /* the fiber that the last switch left; for ASan */
	struct anyc__posts local; /* callbacks to run in this turn */
	struct anyc_waiters_ blocked; /* anyc_wait_all_blocked() */
	struct anyc_waiter_ *owned_first; /* who waits for what a task has */
	uint64_t *abandoners;             /* tasks that ended with something, by id; rare */
	size_t abandoner_count;
	struct anyc_probes probe; /* the user's */
	struct anyc_task *aside; /* the task that was running, while in_probe */
	struct anyc__locals *runvars; /* local.c; NULL: none are set */

	struct anyc__timers timers;
	struct anyc__fds fds;
	struct anyc__poller poller;
	struct anyc__stack_pool stacks;
	/* Made on demand, under a lock, by any thread; the engine holds one reference. */
	struct anyc_token *_Atomic token;
	struct anyc__wake_watch *wake_watches; /* fd.h; anyc__wake_event() walks them */

	struct anyc_task *roots;   /* root tasks */
	size_t tasks, background;  /* that live */
	bool kept_alive;           /* what the host was told */
	bool soon_asked;
	bool gone;                 /* the loop was freed under us */
	bool detached;             /* ends when the outermost turn returns */
	bool cancelling;           /* all background tasks were cancelled */
	atomic_bool cancel_asked;  /* by a signal handler in this thread */
	void *(*cxa_globals)(void); /* the C++ runtime's per-thread globals; NULL: not loaded */
};

/*
 * Bits of engine->probes, which lies beside the ready queue: a hook that is off costs its place
 * one test of a word that is in the cache.
 */
#define ANYC__PROBE_SHUFFLE 1U /* ready tasks run in an order drawn by lot */
#define ANYC__PROBE_OBSERVE 2U /* somebody is told which runs */
#define ANYC__PROBE_CHOOSE 256U /* anyc_fault_order_hook() says which is next */
#define ANYC__PROBE_CANCEL 512U /* place.c: anyc_fault_cancel_hook() */
#define ANYC__PROBE_ORDER 771U  /* these four: the turn picks each task that runs */
/* inspect.c: those of struct anyc_probes that are set */
#define ANYC__PROBE_SPAWNED 4U
#define ANYC__PROBE_SCHEDULED 8U
#define ANYC__PROBE_SUSPENDED 16U
#define ANYC__PROBE_DONE 32U
#define ANYC__PROBE_WAIT 64U   /* before_wait or after_wait */
#define ANYC__PROBE_CLOCK 128U /* task->since is kept */
#define ANYC__PROBE_USERS 252U /* all of struct anyc_probes */

/* ---------------------------------------------------------------------------------- turn.c */

int anyc__engine_init(struct anyc__engine *e, const struct anyc__host *host, bool open_poller);
/* No task, scope or descriptor is left; posts get ANYC_EGONE. */
void anyc__engine_fini(struct anyc__engine *e);
/* Its tasks may wait; if false, anyc__engine_check() tells. */
static inline bool anyc__engine_fit(const struct anyc__engine *e)
{
	return anyc__surely_own(e->fork_generation) && !e->gone;
}
/* Tasks that live in this process, plain threads' roots aside: each has a stack. */
size_t anyc__live_tasks(void);
/* Takes it off the list of engines, for one whose memory is used anew. */
void anyc__engine_unlist(struct anyc__engine *e);
/* Applies events, runs callbacks and tasks within the budget; may nest. */
void anyc__turn(struct anyc__engine *e, unsigned why);
#define ANYC__TURN_BLOCK 4 /* why: wait for an event if nothing is ready */
/* The rest of what follows: tells the user's probe; asks the host for a turn. */
void anyc__ready_aside(struct anyc_task *t);
/* Puts a task at the end of the ready queue, and asks for a turn if none is under way. */
static inline void anyc__ready(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	t->state = ANYC__READY;
	t->next_ready = NULL;
	if (e->ready_first != NULL)
		e->ready_last->next_ready = t;
	else
		e->ready_first = t;
	e->ready_last = t;
	if (ANYC__UNLIKELY((e->probes & ANYC__PROBE_SCHEDULED) != 0 || e->turns == 0))
		anyc__ready_aside(t);
}
/* What anyc__unpark() does. */
static inline void anyc__wake(struct anyc_task *t, int result)
{
#ifndef PLANT_DOUBLE_RESUME
	if (t->state != ANYC__PARKED)
		return;
#endif
	t->wake = result;
	anyc__ready(t);
}
/* Leaves the running task for the next ready one, or for the turn's own stack. */
void anyc__switch_away(struct anyc_task *t);
/* The same for a task that was parked; what woke it. */
int anyc__switch_parked(struct anyc_task *t);
/* The first function on a task's stack. */
void anyc__task_first(void *task);
/* Gives a root task's on_done its call from the turn's own stack. */
void anyc__turn_done(struct anyc_task *t);
/* The C++ runtime may have been loaded since. */
void anyc__engine_find_cxx(struct anyc__engine *e);
/* Asks the host for a turn, once. */
void anyc__soon(struct anyc__engine *e);
/* Applies keep-alive after a change of e->tasks or e->background, when no turn is under way. */
void anyc__keepalive(struct anyc__engine *e);
/* One turn of an engine that nobody hosts: waits for an event if nothing is ready. */
void anyc__drive(struct anyc__engine *e);
/* Something other than time could wake a task: a descriptor, a signal, another thread. */
bool anyc__waits_outside(const struct anyc__engine *e);
/* Something could still wake a task: that, or a timer. */
bool anyc__has_prospects(const struct anyc__engine *e);
/* Runs fn(arg) on the stack of the innermost turn. */
int anyc__run_outside(struct anyc_task *t, anyc_task_fn *fn, void *arg);

/* --------------------------------------------------------------------------------- order.c */

/* An engine begins: it takes part in what anyc_test_shuffle() has asked for. */
void anyc__order_init(struct anyc__engine *e);
/* 0: in the order in which they became ready. */
void anyc__order_shuffle(struct anyc__engine *e, uint64_t seed);
void anyc__order_observe(struct anyc__engine *e, anyc_observe_fn *fn, void *arg);
/* Called only with ANYC__PROBE_ORDER set: puts the task that runs next at the queue's head. */
void anyc__order_next(struct anyc__engine *e);

/* --------------------------------------------------------------------------------- place.c */

/* An engine begins. */
void anyc__place_init(struct anyc__engine *e);
/* Called only with probes set.  The task comes to a checkpoint; has parked; is resumed. */
void anyc__place_checkpoint(struct anyc_task *t);
void anyc__place_parked(struct anyc_task *t);
void anyc__place_resumed(struct anyc_task *t);

/* ---------------------------------------------------------------------------------- task.c */

/* A task from its first line to its end; called by turn.c's first function on its stack. */
void anyc__task_run(struct anyc_task *t);

struct anyc__task_spec {
	anyc_task_fn *fn;
	void *arg;
	const char *name;
	void *site; /* the caller of the public function */
	size_t stack_size;
	const void *copy;
	size_t copy_size;
	bool fpenv, background;
};
/* A task that is not linked anywhere yet and not ready.  ANYC_EINVAL, -ENOMEM. */
int anyc__task_make(struct anyc_task **out, struct anyc__engine *e,
		    const struct anyc__task_spec *spec);
/* Undoes make. */
void anyc__task_drop(struct anyc_task *t);
/* Counts a linked task in and makes it ready. */
void anyc__task_born(struct anyc_task *t);
/* Initialises a record that has no stack of its own: a plain thread's root. */
void anyc__task_init_root(struct anyc_task *t, struct anyc__engine *e);
uint64_t anyc__new_id(struct anyc__engine *e);

/* ------------------------------------------------------------------------------- waiters.c */

/* The task has ended and owns something still: who waits for it wakes. */
void anyc__owner_ended(struct anyc_task *t);
void anyc__owners_fini(struct anyc__engine *e);

/* ------------------------------------------------------------------------------ xwaiters.c */

/* The task has ended, or its thread, and holds something between threads still. */
void anyc__abandon_held(struct anyc_task *t);

/* --------------------------------------------------------------------------------- group.c */

/* group->state_.  LOST: left, and there was no memory for its list of errors. */
enum anyc__group_state {
	ANYC__GROUP_NONE,
	ANYC__GROUP_OPEN,
	ANYC__GROUP_LEFT,
	ANYC__GROUP_LOST,
	ANYC__GROUP_POISONED
};
/* group->on_error_: what a task's error does.  UNLISTED: nothing, its owner sees to it. */
enum anyc__group_on_error {
	ANYC__GROUP_CANCELS,
	ANYC__GROUP_KEEPS_GOING,
	ANYC__GROUP_UNLISTED
};

/* A task has ended with this result, its own scope's rule applied; wakes the host. */
void anyc__group_task_ended(struct anyc_group *g, struct anyc_task *t, int rc);
void anyc__group_add(struct anyc_group *g, struct anyc_task *t);
/* Makes a task and links it into an open group, ready to run; the group is left alone. */
int anyc__group_spawn(struct anyc_group *g, const struct anyc__task_spec *spec,
		      struct anyc_handle *handle);

/* -------------------------------------------------------------------------- group_errors.c */

/* Lists an error of a task of the group, or of its host. */
void anyc__errors_add(struct anyc_group *g, const struct anyc_task *t, int rc);
/* Gives the list of a group that is left to its host task. */
void anyc__errors_keep(struct anyc_group *g, struct anyc_task *host);
/* Frees the list that a group at this address has left with the task. */
void anyc__errors_drop(const struct anyc_group *g, struct anyc_task *host);
/* Frees all lists that a task has kept. */
void anyc__errors_forget(struct anyc_task *t);
/* The group's first error is what its host, the current task, is about to return; `sentence`: it
 * gets the sentence too. */
void anyc__errors_tell(const struct anyc_group *g, struct anyc_task *host, bool sentence);

/* -------------------------------------------------------------------------------- gather.c */

/* ANYC_EINVAL, with its sentence, for calls that cannot be made. */
int anyc__calls_check(const struct anyc_call *calls, size_t count, const char *what);

/* --------------------------------------------------------------------------------- local.c */

/* A new task has what its spawner, the current task, has, if both are of one engine. */
void anyc__locals_inherit(struct anyc_task *t);
/* The task has ended; destructors run outside of tasks. */
void anyc__locals_end(struct anyc_task *t);
/* The run has ended. */
void anyc__runvars_end(struct anyc__engine *e);

/* ------------------------------------------------------------------------------- inspect.c */

/* The tasks of an engine, each before those in its groups; *depth counts from 0. */
struct anyc_task *anyc__tasks_first(struct anyc__engine *e);
struct anyc_task *anyc__tasks_next(const struct anyc_task *t, int *depth);
/* The engine that a public function is to look at (loop NULL: the current one), or its error. */
int anyc__inspected(struct anyc__engine **out, struct anyc_loop *loop, const char *what);
/* Shows all tasks, outside of them; returns their number. */
typedef void anyc__visit_fn(void *arg, const struct anyc_task *t,
			    const struct anyc_task_info *info);
int anyc__tasks_visit(struct anyc__engine *e, anyc__visit_fn *visit, void *arg);
/* Calls the probe of one ANYC__PROBE_... bit that is set, outside of tasks. */
void anyc__probe(struct anyc__engine *e, unsigned which, const struct anyc_task *t, int rc);
void anyc__probe_wait(struct anyc__engine *e, bool before);
/* ANYC_EMISUSE inside a probe. */
int anyc__refuse_in_probe(const struct anyc__engine *e, const char *what);
/* Runs code of the user's outside of tasks; restores what was. */
struct anyc__aside {
	struct anyc_task *task;
	struct anyc__names *names;
	struct anyc_task *aside;
	bool in_probe;
};
void anyc__step_aside(struct anyc__engine *e, struct anyc__aside *was);
void anyc__step_back(struct anyc__engine *e, const struct anyc__aside *was);

/* -------------------------------------------------------------------------------- handle.c */

/* The task has ended: its handle says so, and its joiners wake. */
void anyc__handle_ended(struct anyc_handle *h, int rc, bool cancelled);


/* --------------------------------------------------------------------------------- scope.c */

/* scope->state_ */
enum anyc__scope_state {
	ANYC__SCOPE_NONE,
	ANYC__SCOPE_INIT,
	ANYC__SCOPE_OPEN,
	ANYC__SCOPE_LEFT,
	ANYC__SCOPE_POISONED
};

static inline uintptr_t anyc__scope_magic(const struct anyc_scope *s, const struct anyc_task *t)
{
	return (uintptr_t)s ^ (uintptr_t)t->id;
}
/* A scope to which nothing has been done is as what encloses it. */
static inline void anyc__scope_open(struct anyc_scope *s, struct anyc_task *t,
				    struct anyc_scope *outer)
{
	s->magic_ = anyc__scope_magic(s, t);
	s->effective_deadline_ = outer != NULL ? outer->effective_deadline_ : ANYC_FOREVER;
	s->deadline_scope_ = outer != NULL ? outer->deadline_scope_ : NULL;
	s->effective_ = outer != NULL && outer->effective_;
	s->state_ = ANYC__SCOPE_OPEN;
	s->outer_ = outer;
	s->task_ = t;
	t->scope = s;
}
/* A task's own scope, under that of its group. */
static inline void anyc__scope_init_base(struct anyc_scope *s, struct anyc_task *t,
					 struct anyc_scope *outer)
{
	s->cause_ = ANYC_CAUSE_NONE;
	s->shield_ = s->move_on_ = s->caught_ = false;
	s->inner_ = NULL;
	s->group_ = NULL;
	s->deadline_ = ANYC_FOREVER;
	s->timer_.place_ = 0;
	s->poison_ = 0;
	s->returns_ = 0;
	s->reason_ = s->canceller_ = NULL;
	s->site_ = NULL;
	anyc__scope_open(s, t, outer);
}
/* A checkpoint has to look closer: anyc__cancelled(). */
static inline bool anyc__scope_may_be_cancelled(const struct anyc_task *t)
{
	return t->scope->effective_ || t->scope->effective_deadline_ != ANYC_FOREVER;
}
/* Moves a task's own scope under another one. */
void anyc__scope_reparent(struct anyc_scope *base, struct anyc_scope *outer);
void anyc__scope_cancel(struct anyc_scope *s, enum anyc_cause cause, const char *reason);
/* 0, or ANYC_ECANCELED (or a poisoned scope's error), having looked at the deadline. */
int anyc__cancelled(struct anyc_task *t);
/*
 * The innermost scope, if it lies on the task's stack, lies above the frame that runs, and is
 * itself: it was not left by return (rule 6).
 */
static inline bool anyc__scope_is_sound(const struct anyc_task *t, const void *frame)
{
	uintptr_t s = (uintptr_t)t->scope;

	return t->scope->magic_ == anyc__scope_magic(t->scope, t) &&
	       (s > (uintptr_t)frame || s < t->stack_low || s >= t->stack_high);
}
_Noreturn void anyc__scope_unsound(const struct anyc_task *t);
/* Arms the deadline that a parking task has to fear.  -ENOMEM */
int anyc__scope_arm(struct anyc_task *t);
/* The outermost scope whose cancellation reaches the task, or that a shield keeps off it; NULL:
 * there is none. */
const struct anyc_scope *anyc__scope_canceller(const struct anyc_task *t);
/* Rule 2, without leaving: what the result of a body becomes. */
int anyc__scope_resolve(struct anyc_scope *s, int rc);

/* --------------------------------------------------------------------------------- timer.c */

/* Enters or moves a timer.  -ENOMEM, nothing changed. */
int anyc__timer_set(struct anyc__engine *e, struct anyc_timer_ *t, int64_t when);
void anyc__timer_unset(struct anyc__engine *e, struct anyc_timer_ *t);
/* Fires all that are due. */
void anyc__timers_run(struct anyc__engine *e);
static inline int64_t anyc__timers_next(const struct anyc__timers *t)
{
	int64_t first, last;

	if (t->count == 0)
		return ANYC_FOREVER;
	first = t->entry[0].when;
	last = t->entry[t->count - 1].when;
	return first < last ? first : last;
}

/* ----------------------------------------------------------------------------------- fd.c */

/* What the poller saw on a descriptor; wakes who waits. */
void anyc__fd_event(struct anyc__engine *e, uint64_t data, uint32_t events);
/* The single descriptor's ppoll result. */
void anyc__fd_single_event(struct anyc__engine *e, uint32_t events);
void anyc__fds_fini(struct anyc__engine *e);
/* borrowed.c: the record of a descriptor of the caller's, or NULL. */
static inline struct anyc__fd *anyc__fd_borrowed(const struct anyc__fds *t, int fd)
{
	return (size_t)fd < t->borrowed_capacity ? t->borrowed[fd] : NULL;
}
void anyc__fds_fini_borrowed(struct anyc__fds *t);
/* Something waits for a descriptor. */
bool anyc__fds_waiting(const struct anyc__engine *e);

/* --------------------------------------------------------------------------- poll_epoll.c */

/* data of the engine's own descriptors; those of slots are (generation << 32 | slot) */
#define ANYC__DATA_TIMER UINT64_MAX
#define ANYC__DATA_EVENT (UINT64_MAX - 1)

int anyc__poller_init(struct anyc__engine *e, bool open_epoll); /* -errno */
int anyc__poller_open(struct anyc__engine *e); /* epoll and timerfd; 0 at once if open */
void anyc__poller_fini(struct anyc__engine *e, bool forked);
int anyc__poller_add(struct anyc__engine *e, int fd, uint32_t events, uint64_t data); /* -errno */
int anyc__poller_modify(struct anyc__engine *e, int fd, uint32_t events, uint64_t data);
void anyc__poller_remove(struct anyc__engine *e, int fd);
/*
 * Takes one batch of events and applies it: descriptors through anyc__fd_event(), the eventfd
 * through anyc__wake_event().  block: waits for the first, or the next timer; interrupted by a
 * signal it returns without one.  Without an epoll set it is ppoll on the single descriptor.
 */
void anyc__poller_wait(struct anyc__engine *e, bool block);
/* Has the timerfd fire at the earliest timer, if it is armed for later. */
void anyc__poller_arm(struct anyc__engine *e);

/* ---------------------------------------------------------------------------------- wake.c */

/* Queued posts become local callbacks; a signal's cancellation is applied. */
void anyc__wake_event(struct anyc__engine *e);
void anyc__wake_check(struct anyc__engine *e); /* the same, if something is queued; no syscall */
bool anyc__wake_queued(const struct anyc__engine *e); /* something is queued for it */
/* The token, made on demand; the engine's thread.  -ENOMEM, -EMFILE: *out is NULL. */
int anyc__token_of(struct anyc__engine *e, struct anyc_token **out);
/* The same from any thread, with a reference; NULL: no such engine lives any more. */
int anyc__engine_token(const struct anyc__engine *e, struct anyc_token **out);
void anyc__token_close(struct anyc__engine *e); /* posts get ANYC_EGONE */
/* From any thread; the token keeps p until run.  ANYC_EGONE: refused. */
int anyc__token_post(struct anyc_token *token, struct anyc__post *p);
/* In the engine's thread: p, posted by its token before this call, does not run any more. */
void anyc__token_unpost(struct anyc_token *token, struct anyc__post *p);
/* Cancels all root tasks, or what a plain thread's root is in. */
void anyc__engine_cancel(struct anyc__engine *e, const char *reason);

/* --------------------------------------------------------------------------------- plain.c */

/* What core keeps for a thread, at anyc__thread_block()->core. */
struct anyc__thread_core {
	struct anyc__slot slot;    /* error.c: sentences stored outside tasks */
	struct anyc__plain *plain; /* NULL until the first wait in a thread without a loop */
	struct anyc__engine *turning; /* whose turn is under way; for signal handlers */
};
/* Sets it for this thread; what it was. */
struct anyc__engine *anyc__turning(struct anyc__engine *e);
/* error.c: made on demand; NULL: no memory. */
struct anyc__thread_core *anyc__thread_core(void);
/* plain.c: frees it with its plain engine.  error.c puts it into anyc__thread_core_free. */
void anyc__thread_core_end(void *core);

struct anyc__plain {
	struct anyc__engine engine;
	struct anyc_task root;
	bool signalled; /* a cancellation for the next wait, no scope being open */
};
/* The root task of a thread without a loop, made on first use; ANYC_ENOTASK on a loop's thread. */
int anyc__plain_root(struct anyc_task **t);
/* Runs the thread's turns until the root was woken; root->wake says by what. */
void anyc__plain_block(struct anyc_task *root);
/* Cancels the root's outermost open scope, or its wait. */
void anyc__plain_cancel(struct anyc__engine *e, const char *reason);
/* This thread's plain engine, or NULL; never inherited by a fork. */
struct anyc__plain *anyc__plain(void);
/* Closes an idle plain engine before a loop takes over; ANYC_EMISUSE if it is in use. */
int anyc__plain_close(void);

/* ---------------------------------------------------------------------------------- loop.c */

struct anyc_loop {
	struct anyc__engine engine; /* first: a backend's pointer is the loop's */
	struct anyc__entry entry;
	const struct anyc_backend *backend; /* NULL: alone */
	void *self;                         /* the backend's */
	unsigned attached;                  /* counted */
	bool provisional;                   /* attached, and has had no turn yet */
	bool runs;                          /* inside anyc_run() */
};
static inline struct anyc_loop *anyc__loop_of(struct anyc__engine *e)
{
	return ANYC__CONTAINER(e, struct anyc_loop, engine);
}
/* Nothing could ever wake a task: its waits end with ANYC_EDEADLK; whether there were any. */
bool anyc__loop_deadlocked(struct anyc_loop *loop);
/* Binds a loop that has had no turn to this thread.  ANYC_ETHREAD: it has had one elsewhere. */
int anyc__loop_take(struct anyc_loop *loop);
/* A loop without a native one: detach ends it. */
int anyc__loop_alone(struct anyc_loop **out);

/* ----------------------------------------------------------------------------------- run.c */

/* No task is left that keeps the loop alive: stops it, once background tasks have ended too. */
void anyc__loop_idle(struct anyc_loop *loop);

#endif
