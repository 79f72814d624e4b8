/* SPDX-License-Identifier: MIT */
/*
 * Loops and their hosts: rules 10, 24, 25, 27, 35 and 36: attach, detach, keep-alive, root tasks,
 * tokens, forks, and loops that go.  Signals are in test_signal.c.
 */
#include "conform_thread.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void no_tick(void *arg)
{
	(void)arg;
}

/* Turns the loop, kept alive by a timer of the application's, until *number has the value. */
static void turn_until(struct host *h, const int *number, int value)
{
	h->ops->tick(h, no_tick, NULL);
	for (int i = 0; i < 1000 && *number != value; i++)
		h->ops->pass(h, true);
	h->ops->untick(h);
	CHECK_INT(*number, ==, value);
}

/* A loop of the test's row, attached. */
static void make_attached(struct host *h)
{
	CHECK_OK(host_make(h, anyc_test_row()));
	CHECK_OK(host_attach(h));
	CHECK(h->loop != NULL);
}

static void end_attached(struct host *h)
{
	CHECK_INT(anyc_loop_tasks(h->loop), ==, 0);
	CHECK_OK(host_detach(h));
	CHECK_INT(host_destroy(h), ==, 0);
}

struct ending {
	int count, rc;
	uint64_t in_task;
	void *copy;
	struct anyc_loop *loop;
};

static void note_end(void *arg, int rc, void *copy)
{
	struct ending *e = arg;

	e->count++;
	e->rc = rc;
	e->in_task = anyc_task_id();
	e->copy = copy;
	e->loop = anyc_current_loop();
}

static int sleep_a_little(void *arg)
{
	int rc = anyc_sleep(MS(3));

	if (arg != NULL && rc == 0)
		++*(int *)arg;
	return rc;
}

/* ----------------------------------------------------------------------------------- rule 24 */

ANYC_TEST_MAIN(loop, r24_attaching_counts, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct anyc_loop *again = NULL;
	int n = 0;

	make_attached(&h);
	CHECK_STR(anyc_current_library(), anyc_test_row());
	CHECK(anyc_current_loop() == h.loop);
	CHECK_STR(anyc_loop_library(h.loop), anyc_test_row());
	CHECK(anyc_loop_native(h.loop) == h.native);
	CHECK_OK(anyc_loop_attach(&again, h.ops->backend(), h.native));
	CHECK(again == h.loop);
	CHECK_OK(anyc_loop_attach_named(&again, anyc_test_row(), h.native));
	CHECK(again == h.loop);
	CHECK_OK(anyc_loop_detach(again));
	CHECK_OK(anyc_loop_detach(again));
	CHECK_STR(anyc_current_library(), anyc_test_row());
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
	host_run(&h);
	CHECK_INT(n, ==, 1);
	end_attached(&h);
	CHECK(anyc_current_library() == NULL);
}

struct posts {
	int order[8], count, gone;
};
struct one_post {
	struct posts *posts;
	int number;
};

static void on_post(void *arg, int status)
{
	struct one_post *p = arg;

	if (status == ANYC_EGONE)
		p->posts->gone++;
	else
		p->posts->order[p->posts->count++] = p->number;
}

static void *run_in_thread(void *arg)
{
	struct host *h = arg;

	host_run(h);
	anyc_thread_done();
	return NULL;
}

/* Made and attached in main, run elsewhere: the first turn binds it. */
ANYC_TEST_MAIN(loop, r24_the_first_turn_binds, ANYC_ROWS_NATIVE)
{
	struct host h;
	pthread_t thread;
	struct ending e = { 0 };
	struct posts posts = { 0 };
	struct one_post p = { &posts, 5 };
	struct anyc_token *token;
	int n = 0;

	make_attached(&h);
	token = anyc_loop_token(h.loop);
	CHECK(token != NULL);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, note_end, &e));
	CHECK_INT(pthread_create(&thread, NULL, run_in_thread, &h), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_INT(n, ==, 1);
	CHECK_INT(e.count, ==, 1);
	CHECK(e.loop == h.loop);
	CHECK(anyc_current_loop() == NULL);
	/* It is that thread's now; a turn here brings it back. */
	CHECK_RC(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL), ANYC_ETHREAD);
	CHECK_RC(anyc_loop_detach(h.loop), ANYC_ETHREAD);
	CHECK_OK(anyc_token_post(token, on_post, &p));
	turn_until(&h, &posts.count, 1);
	CHECK(anyc_current_loop() == h.loop);
	anyc_token_unref(token);
	end_attached(&h);
}

static struct host moved;

static void move_with_tasks(void)
{
	pthread_t thread;

	make_attached(&moved);
	CHECK_OK(anyc_loop_spawn(moved.loop, sleeper, NULL, NULL, NULL));
	moved.ops->pass(&moved, false);
	moved.ops->pass(&moved, false);
	if (anyc_loop_cancel(moved.loop, NULL) != 0)
		_exit(7);
	pthread_create(&thread, NULL, run_in_thread, &moved);
	pthread_join(thread, NULL);
}

ANYC_TEST_MAIN(loop, r24_a_loop_with_tasks_stays, ANYC_ROWS_NATIVE, .deadline = 30)
{
	struct corpse c;

	corpse_make(&c, move_with_tasks);
	CHECK_DIED(&c, SIGABRT, "thread");
}

ANYC_TEST_MAIN(loop, r24_posts_in_order, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct posts posts = { 0 };
	struct one_post p[6];
	struct anyc_token *token;

	make_attached(&h);
	token = anyc_loop_token(h.loop);
	CHECK(token != NULL);
	CHECK(anyc_token_ref(token) == token);
	anyc_token_unref(token);
	for (int i = 0; i < 4; i++) {
		p[i] = (struct one_post){ &posts, i };
		CHECK_OK(anyc_token_post(token, on_post, &p[i]));
	}
	CHECK_INT(posts.count, ==, 0);
	turn_until(&h, &posts.count, 4);
	for (int i = 0; i < 4; i++)
		CHECK_INT(posts.order[i], ==, i);
	/* Accepted, and the loop goes first: told so, once. */
	for (int i = 4; i < 6; i++) {
		p[i] = (struct one_post){ &posts, i };
		CHECK_OK(anyc_token_post(token, on_post, &p[i]));
	}
	end_attached(&h);
	CHECK_INT(posts.gone, ==, 2);
	CHECK_RC(anyc_token_post(token, on_post, &p[0]), ANYC_EGONE);
	CHECK_INT(posts.gone, ==, 2);
	CHECK_INT(posts.count, ==, 4);
	anyc_token_unref(token);
	anyc_token_unref(NULL);
}

#define POSTERS 4
#define POSTS_EACH 500

struct poster {
	struct anyc_token *token;
	int *count;
	struct anyc_event *all;
	int failed;
};

static void count_post(void *arg, int status)
{
	struct poster *p = arg;

	CHECK_OK(status);
	if (++*p->count == POSTERS * POSTS_EACH)
		CHECK_OK(anyc_event_set(p->all));
}

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < POSTS_EACH; i++)
		p->failed += anyc_token_post(p->token, count_post, p) != 0;
	anyc_token_unref(p->token);
	anyc_thread_done();
	return NULL;
}

ANYC_TEST_ON(loop, r24_posts_of_many_threads, ANYC_ROWS_LOOP, .deadline = 30)
{
	struct anyc_event all = { 0 };
	struct poster p[POSTERS];
	pthread_t thread[POSTERS];
	int count = 0;

	for (int i = 0; i < POSTERS; i++) {
		p[i] = (struct poster){ anyc_loop_token(anyc_current_loop()), &count, &all, 0 };
		CHECK_INT(pthread_create(&thread[i], NULL, post_many, &p[i]), ==, 0);
	}
	CHECK_OK(anyc_event_wait(&all));
	for (int i = 0; i < POSTERS; i++) {
		CHECK_INT(pthread_join(thread[i], NULL), ==, 0);
		CHECK_INT(p[i].failed, ==, 0);
	}
	CHECK_INT(count, ==, POSTERS * POSTS_EACH);
}

/* ----------------------------------------------------------------------------------- rule 25 */

ANYC_TEST_MAIN(loop, r25_detach_with_tasks, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct ending e[2] = { 0 };

	make_attached(&h);
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_loop_spawn(h.loop, sleeper, NULL, note_end, &e[i]));
	CHECK_INT(anyc_loop_tasks(h.loop), ==, 2);
	CHECK_RC(anyc_loop_detach(h.loop), ANYC_EBUSY);
	CHECK_HAS(anyc_error_detail(ANYC_EBUSY), "2 tasks");
	h.ops->pass(&h, false);
	CHECK_RC(anyc_loop_detach(h.loop), ANYC_EBUSY);
	CHECK_OK(anyc_loop_cancel(h.loop, "the end"));
	CHECK_INT(e[0].count, ==, 0);
	host_run(&h);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(e[i].count, ==, 1);
		CHECK_RC(e[i].rc, ANYC_ETASKCANCELED);
		CHECK_INT(e[i].in_task, ==, 0);
	}
	end_attached(&h);
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

ANYC_TEST_MAIN(loop, r25_detach_then_tells, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct anyc_loop *again;
	int gone = 0;

	make_attached(&h);
	CHECK_OK(anyc_loop_attach(&again, h.ops->backend(), h.native));
	CHECK_OK(anyc_loop_detach_then(h.loop, count_call, &gone));
	CHECK_INT(gone, ==, 0);
	CHECK_OK(anyc_loop_detach_then(h.loop, count_call, &gone));
	CHECK(anyc_current_library() == NULL);
	if (gone == 0)
		turn_until(&h, &gone, 1);
	CHECK_INT(host_destroy(&h), ==, 0);
	CHECK_INT(gone, ==, 1);
}

static int detach_own(void *arg)
{
	struct host *h = arg;

	CHECK_RC(anyc_loop_detach(h->loop), ANYC_EBUSY);
	CHECK_RC(anyc_loop_close(h->loop), ANYC_EMISUSE);
	return anyc_sleep(MS(1));
}

ANYC_TEST_MAIN(loop, r25_a_task_cannot_detach_its_loop, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct ending e = { 0 };

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, detach_own, &h, note_end, &e));
	host_run(&h);
	CHECK_INT(e.count, ==, 1);
	CHECK_OK(e.rc);
	end_attached(&h);
}

static void detach_in_callback(void *arg)
{
	struct host *h = arg;

	CHECK_OK(host_detach(h));
	CHECK(anyc_current_library() == NULL);
}

static void detach_when_done(void *arg, int rc, void *copy)
{
	(void)rc;
	(void)copy;
	detach_in_callback(arg);
}

/* From a callback of the host, and from on_done inside of a turn. */
ANYC_TEST_MAIN(loop, r25_detach_from_callbacks, ANYC_ROWS_NATIVE)
{
	struct host h;

	for (int i = 0; i < 2; i++) {
		make_attached(&h);
		if (i == 0)
			CHECK_OK(h.ops->soon(&h, detach_in_callback, &h));
		else
			CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, NULL, detach_when_done,
						 &h));
		host_run(&h);
		CHECK(h.loop == NULL);
		CHECK_INT(host_destroy(&h), ==, 0);
	}
}

struct detach_and_note {
	struct host h;
	int first, second;
};

static void detach_first(void *arg, int status)
{
	struct detach_and_note *d = arg;

	d->first = status;
	CHECK_OK(host_detach(&d->h));
}

static void note_second(void *arg, int status)
{
	((struct detach_and_note *)arg)->second = status;
}

/* Both were accepted; for the second the loop ended first. */
ANYC_TEST_MAIN(loop, r24_a_post_behind_a_detach, ANYC_ROWS_NATIVE)
{
	struct detach_and_note d = { .first = 1, .second = 1 };
	struct anyc_token *token;

	make_attached(&d.h);
	token = anyc_loop_token(d.h.loop);
	CHECK_OK(anyc_token_post(token, detach_first, &d));
	CHECK_OK(anyc_token_post(token, note_second, &d));
	turn_until(&d.h, &d.second, ANYC_EGONE);
	CHECK_OK(d.first);
	anyc_token_unref(token);
	CHECK_INT(host_destroy(&d.h), ==, 0);
}

static int run_attached(void *arg)
{
	const struct host *h = arg;
	struct anyc_run_options o = { .backend = anyc_test_row(), .native = h->native };
	int n = 0, rc = anyc_run(&o, sleep_a_little, &n);

	CHECK_INT(n, ==, rc == 0);
	return rc;
}

static int run_in_another_thread(struct host *h)
{
	struct thread t;

	thread_start(&t, run_attached, h, false);
	return thread_join(&t);
}

/* A loop attached here may be run there; one that has run there is refused here, and stays. */
ANYC_TEST_MAIN(loop, r24_running_an_attached_loop, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct posts posts = { 0 };
	struct one_post p = { &posts, 5 };
	struct anyc_token *token;

	make_attached(&h);
	token = anyc_loop_token(h.loop);
	CHECK_OK(run_in_another_thread(&h));
	/* A turn here brings it back. */
	CHECK_OK(anyc_token_post(token, on_post, &p));
	turn_until(&h, &posts.count, 1);
	anyc_token_unref(token);
	CHECK_RC(run_in_another_thread(&h), ANYC_ETHREAD);
	end_attached(&h);
}

struct many {
	struct host h;
	struct anyc_token *token;
	int left;
};

static void detach_in_post(void *arg, int status)
{
	CHECK_OK(status);
	detach_in_callback(arg);
}

static void detach_after_the_last(void *arg, int rc, void *copy)
{
	struct many *m = arg;

	(void)copy;
	CHECK_OK(rc);
	if (--m->left != 0)
		return;
	CHECK_OK(anyc_token_post(m->token, detach_in_post, &m->h));
	for (int i = 0; i < 4; i++)
		m->h.ops->pass(&m->h, false);
	CHECK(m->h.loop == NULL);
}

static int yield_once(void *arg)
{
	(void)arg;
	return anyc_checkpoint();
}

/* The inner turn has stacks to give back, and no loop any more that it could ask for time.
 * libevent refuses nested runs. */
ANYC_TEST_MAIN(loop, r25_detach_in_a_nested_turn, "libuv,libev")
{
	struct many m = { .left = 4000 };

	make_attached(&m.h);
	m.token = anyc_loop_token(m.h.loop);
	for (int i = 0; i < 4000; i++)
		CHECK_OK(anyc_loop_spawn(m.h.loop, yield_once, NULL, detach_after_the_last, &m));
	host_run(&m.h);
	CHECK_INT(m.left, ==, 0);
	anyc_token_unref(m.token);
	CHECK_INT(host_destroy(&m.h), ==, 0);
}

ANYC_TEST_MAIN(loop, r25_attach_again_and_again, ANYC_ROWS_NATIVE)
{
	struct host h;
	int n = 0;

	CHECK_OK(host_make(&h, anyc_test_row()));
	for (int i = 1; i <= 5; i++) {
		CHECK_OK(host_attach(&h));
		CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
		host_run(&h);
		CHECK_INT(n, ==, i);
		CHECK_OK(host_detach(&h));
	}
	CHECK_INT(host_destroy(&h), ==, 0);
}

/* The one call that runs the host's loop: after it uv_loop_close() has returned 0. */
ANYC_TEST_MAIN(loop, r25_closing_a_loop, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct anyc_loop *again;

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleeper, NULL, NULL, NULL));
	CHECK_RC(anyc_loop_close(h.loop), ANYC_EBUSY);
	CHECK_OK(anyc_loop_cancel(h.loop, NULL));
	host_run(&h);
	CHECK_OK(anyc_loop_attach(&again, h.ops->backend(), h.native));
	CHECK_RC(anyc_loop_close(h.loop), ANYC_EBUSY);
	CHECK_OK(anyc_loop_detach(again));
	CHECK_OK(anyc_loop_close(h.loop));
	CHECK(anyc_current_library() == NULL);
	if (anyc_test_row_is("libuv"))
		free(h.native);
}

/* Handles of the application's are in the way. */
ANYC_TEST_MAIN(loop, r25_closing_a_loop_in_use, "libuv")
{
	struct host h;
	int ticks = 0;

	make_attached(&h);
	h.ops->tick(&h, count_call, &ticks);
	CHECK_RC(anyc_loop_close(h.loop), -EBUSY);
	CHECK_INT(host_destroy(&h), ==, 0);
}

struct ended_wait {
	struct anyc_event *event;
	int rc;
	bool parked;
};

static int wait_until_gone(void *arg)
{
	struct ended_wait *w = arg;

	w->parked = true;
	w->rc = anyc_event_wait(w->event);
	return w->rc;
}

static void free_under_a_task(struct anyc_token *token, struct host *h, struct ended_wait *w)
{
	struct posts posts = { 0 };
	struct one_post p = { &posts, 0 };
	struct ending e = { 0 };

	CHECK_OK(anyc_loop_spawn(h->loop, wait_until_gone, w, note_end, &e));
	for (int i = 0; i < 10 && !w->parked; i++)
		h->ops->pass(h, false);
	CHECK(w->parked);
	CHECK_OK(anyc_token_post(token, on_post, &p));
	h->ops->free_under(h);
	/* The next call that needs the loop finds out. */
	if (e.count == 0)
		ANYC_IGNORE(anyc_loop_spawn(h->loop, count_up, &posts.order[7], NULL, NULL));
	CHECK_INT(e.count, ==, 1);
	CHECK_RC(w->rc, ANYC_EGONE);
	CHECK_RC(e.rc, ANYC_EGONE);
	CHECK_RC(anyc_loop_spawn(h->loop, sleeper, NULL, NULL, NULL), ANYC_EGONE);
	CHECK_OK(anyc_loop_detach(h->loop));
	CHECK_INT(posts.gone + posts.count, ==, 1);
	CHECK_RC(anyc_token_post(token, on_post, &p), ANYC_EGONE);
	anyc_token_unref(token);
}

struct host_of_group {
	struct anyc_event *never;
	struct ended_wait child;
	int body, left;
	bool parked;
};

static int host_group(void *arg)
{
	struct host_of_group *w = arg;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_until_gone, &w->child));
	w->parked = true;
	w->body = anyc_event_wait(w->never);
	w->left = anyc_group_leave(&g, w->body);
	return w->left;
}

/* The group's host is woken before its task, and waits for it nevertheless. */
ANYC_TEST_MAIN(loop, r25_a_loop_freed_under_a_group, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct anyc_event never = { 0 };
	struct host_of_group w = { .never = &never, .child = { .event = &never } };
	struct ending e = { 0 };

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, host_group, &w, note_end, &e));
	for (int i = 0; i < 10 && !w.child.parked; i++)
		h.ops->pass(&h, false);
	CHECK(w.parked && w.child.parked);
	h.ops->free_under(&h);
	/* The next call that needs the loop finds out. */
	CHECK_OK(anyc_loop_cancel(h.loop, NULL));
	CHECK_RC(w.child.rc, ANYC_EGONE);
	CHECK_RC(w.body, ANYC_EGONE);
	CHECK_RC(w.left, ANYC_EGONE);
	CHECK_INT(e.count, ==, 1);
	CHECK_OK(anyc_loop_detach(h.loop));
}

/* The application frees its loop as if anyc were not there; for libuv rule 36. */
ANYC_TEST_MAIN(loop, r25_a_loop_freed_under_its_tasks, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct anyc_event never = { 0 };
	struct ended_wait w = { .event = &never, .rc = 1 };

	make_attached(&h);
	free_under_a_task(anyc_loop_token(h.loop), &h, &w);
	CHECK(anyc_current_library() == NULL);
	CHECK_OK(anyc_sleep(MS(1)));
}

ANYC_TEST_MAIN(loop, r36_a_loop_freed_without_tasks, ANYC_ROWS_NATIVE)
{
	struct host h;
	int n = 0;

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
	host_run(&h);
	h.ops->free_under(&h);
	CHECK_OK(anyc_loop_detach(h.loop));
	CHECK(anyc_current_library() == NULL);
}

/* ----------------------------------------------------------------------------------- rule 35 */

/* The loop ends when its last task has, and not before. */
ANYC_TEST_MAIN(loop, r35_tasks_keep_the_loop_alive, ANYC_ROWS_NATIVE)
{
	struct host h;
	int n = 0;

	make_attached(&h);
	host_run(&h);
	for (int i = 1; i <= 3; i++) {
		CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
		host_run(&h);
		CHECK_INT(n, ==, i);
	}
	end_attached(&h);
}

struct later {
	struct host *host;
	int ticks, ended, spawned;
};

static void spawn_later(void *arg)
{
	struct later *l = arg;

	l->ticks++;
	if (l->ticks % 5 == 0 && l->spawned < 3) {
		CHECK_OK(anyc_loop_spawn(l->host->loop, sleep_a_little, &l->ended, NULL, NULL));
		l->spawned++;
	}
	if (l->ended == 3 || l->ticks > 3000)
		l->host->ops->untick(l->host);
}

/* Without a task the engine is not deaf while the application's timer runs. */
ANYC_TEST_MAIN(loop, r35_tasks_come_and_go_beside_a_timer, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct later l = { .host = &h };

	make_attached(&h);
	h.ops->tick(&h, spawn_later, &l);
	host_run(&h);
	CHECK_INT(l.ended, ==, 3);
	end_attached(&h);
}

static void *post_once(void *arg)
{
	struct poster *p = arg;

	p->failed = anyc_token_post(p->token, count_post, p);
	anyc_token_unref(p->token);
	anyc_thread_done();
	return NULL;
}

static void stop_after_post(void *arg)
{
	struct later *l = arg;

	l->ticks++;
	if (l->ended > 0 || l->ticks > 3000)
		l->host->ops->untick(l->host);
}

ANYC_TEST_MAIN(loop, r35_a_post_arrives_without_tasks, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct later l = { .host = &h };
	struct poster p = { .count = &l.ended };
	pthread_t thread;

	make_attached(&h);
	p.token = anyc_loop_token(h.loop);
	h.ops->tick(&h, stop_after_post, &l);
	CHECK_INT(pthread_create(&thread, NULL, post_once, &p), ==, 0);
	host_run(&h);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_INT(l.ended, ==, 1);
	CHECK_OK(p.failed);
	end_attached(&h);
}

/* The host's stop leaves tasks where they are; another run goes on with them. */
static void stop_the_host(void *arg)
{
	struct host *h = arg;

	h->ops->stop(h);
}

ANYC_TEST_MAIN(loop, r35_stop_and_run_again, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct ending e = { 0 };
	int n = 0;

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, note_end, &e));
	CHECK_OK(h.ops->soon(&h, stop_the_host, &h));
	host_run(&h);
	CHECK_INT(e.count, ==, 0);
	host_run(&h);
	CHECK_INT(e.count, ==, 1);
	CHECK_INT(n, ==, 1);
	end_attached(&h);
}

/* ----------------------------------------------------------------------------------- rule 10 */

struct copied {
	int values[4];
	int *sum;
};

static int sum_copy(void *arg)
{
	struct copied *c = arg;

	CHECK_INT((uintptr_t)c % 64, ==, 0);
	for (int i = 0; i < 4; i++)
		*c->sum += c->values[i];
	c->values[0] = 77;
	return anyc_sleep(MS(1));
}

static void check_copy(void *arg, int rc, void *copy)
{
	struct ending *e = arg;

	note_end(arg, rc, copy);
	e->in_task = copy != NULL && ((struct copied *)copy)->values[0] == 77 ? 0 : 99;
}

ANYC_TEST_ON(loop, r10_on_done_gets_the_copy, ANYC_ROWS_LOOP)
{
	struct anyc_loop *loop = anyc_current_loop();
	struct ending e = { 0 };
	int sum = 0;

	{
		struct copied c = { .values = { 1, 2, 3, 4 }, .sum = &sum };

		CHECK_OK(anyc_loop_spawn_copy(loop, sum_copy, &c, sizeof c, check_copy, &e));
		memset(&c, 0x5a, sizeof c);
	}
	while (e.count == 0)
		CHECK_OK(anyc_sleep(MS(1)));
	CHECK_INT(e.count, ==, 1);
	CHECK_OK(e.rc);
	CHECK_INT(sum, ==, 10);
	CHECK_INT(e.in_task, ==, 0);
	CHECK(e.loop == loop);
	CHECK_RC(anyc_loop_spawn_copy(loop, sum_copy, NULL, 4, check_copy, &e), ANYC_EINVAL);
	CHECK_RC(anyc_loop_spawn(loop, NULL, NULL, note_end, &e), ANYC_EINVAL);
	CHECK_INT(e.count, ==, 1);
}

ANYC_TEST_ON(loop, r10_root_tasks_by_id, ANYC_ROWS_LOOP)
{
	struct anyc_loop *loop = anyc_current_loop();
	struct ending e[2] = { 0 };
	uint64_t id[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		struct anyc_loop_spawn_options o = {
			.name = "sleeping root",
			.on_done = note_end,
			.done_arg = &e[i],
			.id = &id[i],
		};

		CHECK_OK(anyc_loop_spawn_opts(loop, sleeper, NULL, &o));
		CHECK_INT(id[i], !=, 0);
	}
	CHECK(id[0] != id[1]);
	SETTLE();
	CHECK_OK(anyc_loop_cancel_task(loop, id[0], "that one"));
	SETTLE();
	CHECK_INT(e[0].count, ==, 1);
	CHECK_RC(e[0].rc, ANYC_ETASKCANCELED);
	CHECK_INT(e[1].count, ==, 0);
	CHECK_RC(anyc_loop_cancel_task(loop, id[0], NULL), ANYC_EINVAL);
	CHECK_OK(anyc_loop_cancel_task(loop, id[1], NULL));
	SETTLE();
	CHECK_INT(e[1].count, ==, 1);
	CHECK_INT(e[0].count, ==, 1);
}

static int note_name(void *arg)
{
	*(const char **)arg = anyc_task_name();
	return 0;
}

ANYC_TEST_ON(loop, r10_root_tasks_have_names, ANYC_ROWS_LOOP)
{
	struct anyc_loop_spawn_options o = { .name = "by option" };
	const char *a = NULL, *b = NULL;

	CHECK_OK(anyc_loop_spawn(anyc_current_loop(), note_name, &a, NULL, NULL));
	CHECK_OK(anyc_loop_spawn_opts(anyc_current_loop(), note_name, &b, &o));
	SETTLE();
	CHECK_STR(a, "note_name");
	CHECK_STR(b, "by option");
}

static int spawn_background(void *arg)
{
	struct anyc_loop_spawn_options o = { .on_done = note_end,
					     .done_arg = arg,
					     .background = true };
	int rc = anyc_loop_spawn_opts(anyc_current_loop(), sleeper, NULL, &o);

	return rc != 0 ? rc : anyc_sleep(MS(1));
}

/* fn leaves a task in the background; native may be NULL. */
static void run_to_the_end(anyc_task_fn *fn, void *native)
{
	struct anyc_run_options options = { .backend = anyc_test_row(), .native = native };
	struct ending e = { 0 };

	CHECK_OK(anyc_run(&options, fn, &e));
	CHECK_INT(e.count, ==, 1);
	CHECK_RC(e.rc, ANYC_ETASKCANCELED);
}

/* Under anyc_run() they are cancelled when only such remain. */
ANYC_TEST_MAIN(loop, r10_background_tasks_end_with_the_run, ANYC_ROWS_LOOP)
{
	run_to_the_end(spawn_background, NULL);
}

static int spawn_at_the_end(void *arg)
{
	struct anyc_loop_spawn_options o = { .on_done = note_end,
					     .done_arg = arg,
					     .background = true };

	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	return anyc_loop_spawn_opts(anyc_current_loop(), sleeper, NULL, &o);
}

static int spawn_one_that_spawns(void *arg)
{
	struct anyc_loop_spawn_options o = { .background = true };
	int rc = anyc_loop_spawn_opts(anyc_current_loop(), spawn_at_the_end, arg, &o);

	return rc != 0 ? rc : anyc_sleep(MS(1));
}

/* One that another one's clean-up spawned is cancelled as well. */
ANYC_TEST_MAIN(loop, r10_a_background_task_spawned_late, ANYC_ROWS_LOOP)
{
	run_to_the_end(spawn_one_that_spawns, NULL);
}

/* The application's own timer keeps its loop going: the run ends all the same. */
ANYC_TEST_MAIN(loop, r10_background_tasks_in_a_busy_loop, ANYC_ROWS_NATIVE)
{
	struct host h;

	CHECK_OK(host_make(&h, anyc_test_row()));
	h.ops->tick(&h, no_tick, NULL);
	run_to_the_end(spawn_background, h.native);
	h.ops->untick(&h);
	CHECK_INT(host_destroy(&h), ==, 0);
}

/* On a host's loop they just do not keep it alive. */
ANYC_TEST_MAIN(loop, r10_background_tasks_keep_nothing_alive, ANYC_ROWS_NATIVE)
{
	struct host h;
	struct ending e = { 0 };
	struct anyc_loop_spawn_options o = { .on_done = note_end,
					     .done_arg = &e,
					     .background = true };

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn_opts(h.loop, sleeper, NULL, &o));
	host_run(&h);
	CHECK_INT(e.count, ==, 0);
	CHECK_INT(anyc_loop_tasks(h.loop), ==, 1);
	CHECK_RC(anyc_loop_detach(h.loop), ANYC_EBUSY);
	CHECK_OK(anyc_loop_cancel(h.loop, NULL));
	turn_until(&h, &e.count, 1);
	end_attached(&h);
}

/* ----------------------------------------------------------------------------------- rule 27 */

/* The exit status of a child in which fn() returned; a failed check there is status 1. */
static int status_of_child(void (*fn)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	CHECK_INT(pid, >=, 0);
	if (pid == 0) {
		anyc_set_report_hook(NULL, NULL);
		alarm(20);
		fn(arg);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	return status;
}

static void use_inherited_task(void *arg)
{
	struct anyc_event *e = arg;

	CHECK_RC(anyc_checkpoint(), ANYC_EFORKED);
	CHECK_RC(anyc_sleep(MS(1)), ANYC_EFORKED);
	CHECK_RC(anyc_event_wait(e), ANYC_EFORKED);
	CHECK_RC(anyc_wait_all_blocked(), ANYC_EFORKED);
	CHECK_HAS(anyc_error_detail(ANYC_EFORKED), "child");
	if (!anyc_test_row_is("none"))
		CHECK(anyc_current_library() == NULL);
}

ANYC_TEST(loop, r27_a_child_forked_in_a_task)
{
	struct anyc_event e = { 0 };
	struct anyc_group g;
	int n = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_a_little, &n));
	CHECK_INT(status_of_child(use_inherited_task, &e), ==, 0);
	/* The parent has noticed nothing. */
	CHECK_OK(anyc_sleep(MS(2)));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, 1);
}

static void leave_in_child(void *arg)
{
	CHECK_RC(anyc_group_leave(arg, 0), ANYC_EFORKED);
	CHECK_HAS(anyc_error_detail(ANYC_EFORKED), "child");
}

/* The group's tasks do not run in the child, and are not waited for. */
ANYC_TEST(loop, r27_a_child_leaves_a_group)
{
	struct anyc_group g;
	int n = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_a_little, &n));
	CHECK_INT(status_of_child(leave_in_child, &g), ==, 0);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, 1);
}

static int wait_for_byte(void *arg)
{
	return anyc_wait_readable(*(int *)arg);
}

static void cancel_in_child(void *arg)
{
	CHECK_OK(anyc_group_cancel(arg, "the child does something else"));
}

/* The kernel's set is shared: the child must take nothing out of it. */
ANYC_TEST(loop, r27_a_child_cancels_a_group)
{
	struct anyc_group g;
	struct anyc_scope limit;
	int fd[2];

	CHECK_INT(pipe(fd), ==, 0);
	anyc_scope_enter_timeout(&limit, 5 * ANYC_SECOND);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_byte, &fd[0]));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_INT(status_of_child(cancel_in_child, &g), ==, 0);
	CHECK_INT(write(fd[1], "x", 1), ==, 1);
	CHECK_OK(anyc_scope_leave(&limit, anyc_group_leave(&g, 0)));
	close(fd[0]);
	close(fd[1]);
}

struct event_and_host {
	struct anyc_event event;
	struct host h;
	int woken;
};

static int wait_for_it(void *arg)
{
	struct event_and_host *w = arg;
	struct anyc_scope limit;

	anyc_scope_enter_timeout(&limit, 5 * ANYC_SECOND);
	w->woken = anyc_scope_leave(&limit, anyc_event_wait(&w->event));
	return 0;
}

static void set_it(void *arg)
{
	struct event_and_host *w = arg;

	CHECK_INT(anyc_task_id(), ==, 0);
	CHECK_OK(anyc_event_set(&w->event));
}

static void run_a_new_loop(void *arg)
{
	struct event_and_host *w = arg;

	make_attached(&w->h);
	w->woken = 1;
	CHECK_OK(anyc_loop_spawn(w->h.loop, wait_for_it, w, NULL, NULL));
	w->h.ops->pass(&w->h, false);
	CHECK_OK(w->h.ops->soon(&w->h, set_it, w));
	host_run(&w->h);
	CHECK_OK(w->woken);
	end_attached(&w->h);
}

/* A plain thread that has waited forks; in the child its callbacks are not its root task. */
ANYC_TEST_MAIN(loop, r27_callbacks_in_a_plain_threads_child, ANYC_ROWS_NATIVE)
{
	struct event_and_host w = { .woken = 1 };

	CHECK_OK(anyc_sleep(1));
	CHECK_INT(status_of_child(run_a_new_loop, &w), ==, 0);
	CHECK_OK(anyc_sleep(1));
}

static void attach_in_a_turn(void *arg)
{
	struct host *h = arg;

	CHECK_INT(h->ops->after_fork(h), ==, 0);
	CHECK_RC(anyc_loop_attach(&h->loop, h->ops->backend(), h->native), ANYC_EMISUSE);
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "forked in a turn");
	CHECK(h->loop == NULL);
}

static int fork_in_a_task(void *arg)
{
	return status_of_child(attach_in_a_turn, arg);
}

static void fork_in_a_post(void *arg, int status)
{
	CHECK_OK(status);
	CHECK_INT(status_of_child(attach_in_a_turn, arg), ==, 0);
}

/* It would return into a turn of an engine that is no more. */
ANYC_TEST_MAIN(loop, r27_a_child_of_a_turn_does_not_attach, ANYC_ROWS_NATIVE)
{
	struct anyc_token *token;
	struct ending e = { 0 };
	struct host h;

	make_attached(&h);
	token = anyc_loop_token(h.loop);
	CHECK_OK(anyc_token_post(token, fork_in_a_post, &h));
	CHECK_OK(anyc_loop_spawn(h.loop, fork_in_a_task, &h, note_end, &e));
	host_run(&h);
	CHECK_INT(e.count, ==, 1);
	CHECK_OK(e.rc);
	anyc_token_unref(token);
	end_attached(&h);
}

static void count_tasks_of_both(void *arg)
{
	struct host *h = arg, second;
	struct anyc_memory_stats stats;

	make_attached(&second);
	CHECK_OK(anyc_loop_spawn(second.loop, sleep_a_little, NULL, NULL, NULL));
	CHECK_INT(h->ops->after_fork(h), ==, 0);
	CHECK_OK(host_attach(h));
	anyc_memory_stats(&stats);
	CHECK_INT(stats.tasks, ==, 1);
	host_run(&second);
	anyc_memory_stats(&stats);
	CHECK_INT(stats.tasks, ==, 0);
	end_attached(&second);
	end_attached(h);
}

/* The engine in the old one's place does not cut the list of engines off. */
ANYC_TEST_MAIN(loop, r27_a_child_of_two_loops, ANYC_ROWS_NATIVE)
{
	struct host h;

	make_attached(&h);
	CHECK_INT(status_of_child(count_tasks_of_both, &h), ==, 0);
	end_attached(&h);
}

static void attach_anew(void *arg)
{
	struct host *h = arg;
	int n = 0;

	CHECK_RC(anyc_loop_spawn(h->loop, sleep_a_little, &n, NULL, NULL), ANYC_EFORKED);
	CHECK_RC(anyc_loop_detach(h->loop), ANYC_EFORKED);
	CHECK_INT(h->ops->after_fork(h), ==, 0);
	CHECK_OK(host_attach(h));
	CHECK_STR(anyc_current_library(), anyc_test_row());
	CHECK_OK(anyc_loop_spawn(h->loop, sleep_a_little, &n, NULL, NULL));
	host_run(h);
	CHECK_INT(n, ==, 1);
	CHECK_OK(host_detach(h));
	CHECK_INT(host_destroy(h), ==, 0);
}

/* The parent's tasks keep the parent's loop alive, not the child's. */
static void attach_without_tasks(void *arg)
{
	struct host *h = arg;

	CHECK_INT(h->ops->after_fork(h), ==, 0);
	CHECK_OK(host_attach(h));
	host_run(h);
	CHECK_OK(host_detach(h));
	CHECK_INT(host_destroy(h), ==, 0);
}

ANYC_TEST_MAIN(loop, r27_a_child_of_a_loop_with_tasks, ANYC_ROWS_NATIVE)
{
	struct host h;
	int n = 0;

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
	CHECK_INT(status_of_child(attach_without_tasks, &h), ==, 0);
	host_run(&h);
	CHECK_INT(n, ==, 1);
	end_attached(&h);
}

ANYC_TEST_MAIN(loop, r27_a_child_attaches_anew, ANYC_ROWS_NATIVE)
{
	struct host h;
	int n = 0;

	make_attached(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
	host_run(&h);
	CHECK_INT(status_of_child(attach_anew, &h), ==, 0);
	/* The parent's registration is alive. */
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_a_little, &n, NULL, NULL));
	host_run(&h);
	CHECK_INT(n, ==, 2);
	end_attached(&h);
}

static void block_in_child(void *arg)
{
	struct anyc_scope s;
	struct anyc_group g;
	int n = 0;

	(void)arg;
	CHECK(anyc_current_library() == NULL);
	anyc_scope_enter_timeout(&s, 5 * ANYC_SECOND);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_a_little, &n));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_INT(n, ==, 1);
}

ANYC_TEST_MAIN(loop, r27_a_child_blocks_as_a_plain_thread, ANYC_ROWS_ALL)
{
	const struct host_ops *ops = host_find(anyc_test_row())->ops;
	struct host h;

	if (ops->make == NULL) {
		CHECK_OK(anyc_sleep(MS(1)));
		CHECK_INT(status_of_child(block_in_child, NULL), ==, 0);
		CHECK_OK(anyc_sleep(MS(1)));
		return;
	}
	make_attached(&h);
	CHECK_INT(status_of_child(block_in_child, NULL), ==, 0);
	end_attached(&h);
}

static void run_in_child(void *arg)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	int n = 0;

	(void)arg;
	CHECK_OK(anyc_run(&options, sleep_a_little, &n));
	CHECK_INT(n, ==, 1);
}

ANYC_TEST_MAIN(loop, r27_a_child_runs_a_loop, ANYC_ROWS_LOOP)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	int n = 0;

	CHECK_OK(anyc_run(&options, sleep_a_little, &n));
	CHECK_INT(status_of_child(run_in_child, NULL), ==, 0);
	CHECK_OK(anyc_run(&options, sleep_a_little, &n));
	CHECK_INT(n, ==, 2);
}

ANYC_TEST_ON(loop, r27_the_parents_tokens_in_a_child, ANYC_ROWS_LOOP)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	int status;
	pid_t pid;

	CHECK(token != NULL);
	pid = fork();
	if (pid == 0) {
		struct posts posts = { 0 };
		struct one_post p = { &posts, 0 };

		CHECK_RC(anyc_token_post(token, on_post, &p), ANYC_EFORKED);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK_INT(status, ==, 0);
	CHECK_OK(anyc_sleep(MS(2)));
	anyc_token_unref(token);
}
