/* SPDX-License-Identifier: MIT */
/* Values of tasks and of runs: b178 of behaviours.md, O3 and O4 of semantics.md. */
#include "conform.h"
#include "lib/alloc_fault.h"

#include <pthread.h>
#include <unistd.h>

static int ten = 10, eleven = 11, twelve = 12;

static const struct anyc_local plain = { .name = "plain" };
static const struct anyc_local same_name = { .name = "plain", .initial = &ten };
static const struct anyc_local own = { .name = "own", .not_inherited = true, .initial = &ten };

/* --------------------------------------------------------------------------- of tasks: O3 */

struct seen {
	const struct anyc_local *key;
	void *first, *set, *last;
	struct anyc_event *go_on;
};

/* Notes its value, sets another, and notes again later. */
static int see_and_set(void *arg)
{
	struct seen *s = arg;
	int rc;

	s->first = anyc_local_get(s->key);
	if (s->set != NULL)
		CHECK_OK(anyc_local_set(s->key, s->set));
	rc = s->go_on != NULL ? anyc_event_wait(s->go_on) : anyc_checkpoint();
	s->last = anyc_local_get(s->key);
	return rc;
}

ANYC_TEST(local, o3_a_task_has_its_spawners_values)
{
	struct anyc_event go_on = { 0 };
	struct seen a = { .key = &plain, .set = &eleven, .go_on = &go_on };
	struct seen b = { .key = &plain, .go_on = &go_on }, c = b;
	struct anyc_group g;

	CHECK(anyc_local_get(&plain) == NULL);
	CHECK(anyc_local_get(&same_name) == &ten);
	CHECK_OK(anyc_local_set(&plain, &ten));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, see_and_set, &a));
	CHECK_OK(anyc_spawn(&g, see_and_set, &b));
	CHECK_OK(anyc_local_set(&plain, &twelve)); /* after the spawn: not theirs */
	CHECK_OK(anyc_spawn(&g, see_and_set, &c));
	SETTLE();
	CHECK_OK(anyc_event_set(&go_on));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(a.first == &ten && a.last == &eleven);
	CHECK(b.first == &ten && b.last == &ten);
	CHECK(c.first == &twelve && c.last == &twelve);
	CHECK(anyc_local_get(&plain) == &twelve);
	CHECK(anyc_local_get(&same_name) == &ten);
	CHECK_OK(anyc_local_set(&plain, NULL));
	CHECK(anyc_local_get(&plain) == NULL);
}

struct spawning {
	struct anyc_group *group;
	struct seen seen;
};

static int spawn_into(void *arg)
{
	struct spawning *s = arg;

	CHECK_OK(anyc_local_set(&plain, &eleven));
	return anyc_spawn(s->group, see_and_set, &s->seen);
}

static int start_and_see(void *arg)
{
	struct seen *s = arg;

	s->first = anyc_local_get(s->key);
	CHECK_OK(anyc_started(0));
	s->last = anyc_local_get(s->key);
	return 0;
}

/* The spawner, not the group's host. */
ANYC_TEST(local, o3_whoever_owns_the_group)
{
	struct anyc_group g;
	struct spawning s = { .group = &g, .seen = { .key = &plain } };
	struct seen started = { .key = &plain };

	CHECK_OK(anyc_local_set(&plain, &ten));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, spawn_into, &s));
	CHECK_OK(anyc_start(&g, start_and_see, &started, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(s.seen.first == &eleven);
	CHECK(started.first == &ten && started.last == &ten);
	CHECK(anyc_local_get(&plain) == &ten);
}

ANYC_TEST(local, o3_not_inherited)
{
	struct anyc_event go_on = { 0 };
	struct seen a = { .key = &own, .set = &eleven, .go_on = &go_on };
	struct seen b = { .key = &own, .go_on = &go_on };
	struct anyc_group g;

	CHECK_OK(anyc_local_set(&own, &twelve));
	CHECK_OK(anyc_local_set(&plain, &ten));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, see_and_set, &a));
	CHECK_OK(anyc_spawn(&g, see_and_set, &b));
	SETTLE();
	CHECK(anyc_local_get(&own) == &twelve);
	CHECK_OK(anyc_local_set(&plain, &twelve)); /* a table of its own: they go with it */
	CHECK(anyc_local_get(&own) == &twelve);
	CHECK_OK(anyc_event_set(&go_on));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(a.first == &ten && a.last == &eleven);
	CHECK(b.first == &ten && b.last == &ten);
	CHECK(anyc_local_get(&own) == &twelve);
}

ANYC_TEST(local, o3_many_keys)
{
	static struct anyc_local keys[50];
	int values[50];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 50; i++)
			CHECK_OK(anyc_local_set(&keys[i], &values[(i + round) % 50]));
		for (int i = 0; i < 50; i++)
			CHECK(anyc_local_get(&keys[i]) == &values[(i + round) % 50]);
	}
}

/* ------------------------------------------------------------------------------ destructors */

static int destroyed[3];
static int try_to_wait;
static int try_to_set;

static void destroy(void *value)
{
	++*(int *)value;
	CHECK_INT(anyc_task_id(), ==, 0);
	try_to_wait = anyc_checkpoint();
	try_to_set = anyc_local_set(&plain, NULL);
}

static const struct anyc_local resource = { .name = "resource", .destroy = destroy };
static const struct anyc_local own_resource = {
	.name = "own resource", .destroy = destroy, .not_inherited = true };

static int hold(void *arg)
{
	CHECK(anyc_local_get(&resource) == &destroyed[0]);
	CHECK(anyc_local_get(&own_resource) == NULL);
	return anyc_event_wait(arg);
}

/* Sets three, of which a task inherits one, and ends. */
static int set_and_spawn(void *arg)
{
	struct spawning *s = arg;

	CHECK_OK(anyc_local_set(&resource, &destroyed[0]));
	CHECK_OK(anyc_local_set(&resource, &destroyed[0])); /* the same: nothing */
	CHECK_OK(anyc_local_set(&own_resource, &destroyed[1]));
	CHECK_OK(anyc_spawn(s->group, hold, s->seen.go_on));
	CHECK_OK(anyc_local_set(&resource, &destroyed[2]));
	CHECK_INT(destroyed[0], ==, 0); /* the other task has it */
	return anyc_checkpoint();
}

ANYC_TEST(local, o3_the_last_one_destroys_it)
{
	struct anyc_event go_on = { 0 };
	struct anyc_group g;
	struct spawning s = { .group = &g, .seen = { .go_on = &go_on } };

	memset(destroyed, 0, sizeof destroyed);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_and_spawn, &s));
	SETTLE();
	CHECK_INT(destroyed[0], ==, 0);
	CHECK_INT(destroyed[1], ==, 1);
	CHECK_INT(destroyed[2], ==, 1);
	CHECK_RC(try_to_wait, ANYC_ENOTASK);
	CHECK_RC(try_to_set, ANYC_ENOTASK);
	CHECK_OK(anyc_event_set(&go_on));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(destroyed[0], ==, 1);
	reports_forget();
}

/* Shared, and its setter ends first, with a value of its own in the table. */
static int set_and_leave_behind(void *arg)
{
	struct spawning *s = arg;

	CHECK_OK(anyc_local_set(&resource, &destroyed[0]));
	CHECK_OK(anyc_local_set(&own_resource, &destroyed[1]));
	return anyc_spawn(s->group, hold, s->seen.go_on);
}

ANYC_TEST(local, o3_a_table_outlives_its_maker)
{
	struct anyc_event go_on = { 0 };
	struct anyc_group g;
	struct spawning s = { .group = &g, .seen = { .go_on = &go_on } };

	memset(destroyed, 0, sizeof destroyed);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_and_leave_behind, &s));
	SETTLE();
	CHECK_INT(destroyed[0], ==, 0);
	CHECK_INT(destroyed[1], ==, 1);
	CHECK_OK(anyc_event_set(&go_on));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(destroyed[0], ==, 1);
	CHECK_INT(destroyed[1], ==, 1);
	reports_forget();
}

static void end_quietly(void *value)
{
	++*(int *)value;
}
static const struct anyc_local roots = { .name = "root's", .destroy = end_quietly };
static const struct anyc_runvar runs = { .name = "run's", .destroy = end_quietly };

ANYC_TEST_MAIN(local, r22_a_threads_root_has_values, "none")
{
	static int values[2];

	CHECK(anyc_local_get(&roots) == NULL);
	CHECK_OK(anyc_local_set(&roots, &values[0]));
	CHECK_OK(anyc_runvar_set(NULL, &runs, &values[1]));
	CHECK_OK(anyc_checkpoint());
	CHECK(anyc_local_get(&roots) == &values[0]);
	CHECK(anyc_runvar_get(&runs) == &values[1]);
	CHECK_OK(anyc_thread_done());
	CHECK_INT(values[0], ==, 1);
	CHECK_INT(values[1], ==, 1);
	CHECK(anyc_local_get(&roots) == NULL);
	CHECK(anyc_runvar_get(&runs) == NULL);
}

static void *set_in_thread(void *value)
{
	CHECK(anyc_local_get(&roots) == NULL);
	CHECK_OK(anyc_local_set(&roots, value));
	CHECK_OK(anyc_runvar_set(NULL, &runs, value));
	return NULL;
}

/* Threads have their own, which end with them. */
ANYC_TEST(local, r22_of_another_thread)
{
	static int value;
	pthread_t thread;

	value = 0;
	CHECK_INT(pthread_create(&thread, NULL, set_in_thread, &value), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_INT(value, ==, 2);
	CHECK(anyc_local_get(&roots) == NULL);
	CHECK(anyc_runvar_get(&runs) == NULL);
}

static void in_a_callback(void *arg)
{
	CHECK(anyc_local_get(&plain) == NULL);
	CHECK(anyc_local_get(&own) == &ten);
	*(int *)arg = anyc_local_set(&plain, &ten);
}

/* Outside of tasks there are none to get, and none can be set. */
ANYC_TEST_ON(local, r11_outside_of_tasks, ANYC_ROWS_LOOP)
{
	int rc = 0;

	CHECK_OK(anyc_local_set(&plain, &ten));
	CHECK_OK(anyc_local_set(&own, &eleven));
	host_call(anyc_test_host(), in_a_callback, &rc);
	CHECK_RC(rc, ANYC_ENOTASK);
	CHECK(anyc_local_get(&plain) == &ten);
	reports_forget();
}

static void spawn_from_callback(void *arg)
{
	struct spawning *s = arg;

	CHECK_OK(anyc_spawn(s->group, see_and_set, &s->seen));
}

ANYC_TEST_ON(local, o3_spawned_by_a_callback, ANYC_ROWS_LOOP)
{
	struct anyc_group g;
	struct spawning s = { .group = &g, .seen = { .key = &own } };

	CHECK_OK(anyc_local_set(&own, &eleven));
	anyc_group_enter(&g, NULL);
	host_call(anyc_test_host(), spawn_from_callback, &s);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(s.seen.first == &ten);
}

/* The counts are one thread's, and the other loop may yet be run by another. */
ANYC_TEST_ON(local, o3_not_into_another_loop, ANYC_ROWS_NATIVE)
{
	struct seen s = { .key = &own }, t = { .key = &plain };
	struct host other;

	CHECK_OK(anyc_local_set(&plain, &eleven));
	CHECK_OK(host_make(&other, anyc_test_row()));
	CHECK_OK(host_attach(&other));
	CHECK_OK(anyc_loop_spawn(other.loop, see_and_set, &s, NULL, NULL));
	CHECK_OK(anyc_loop_spawn(other.loop, see_and_set, &t, NULL, NULL));
	CHECK_OK(host_run(&other));
	CHECK_OK(host_detach(&other));
	CHECK_OK(host_destroy(&other));
	CHECK(s.first == &ten);
	CHECK(t.first == NULL && t.last == NULL);
}

/* But to the same loop from one of its tasks. */
ANYC_TEST_ON(local, o3_root_tasks_inherit_too, ANYC_ROWS_LOOP)
{
	struct seen s = { .key = &plain };

	CHECK_OK(anyc_local_set(&plain, &eleven));
	CHECK_OK(anyc_loop_spawn(anyc_current_loop(), see_and_set, &s, NULL, NULL));
	SETTLE();
	CHECK(s.first == &eleven);
}

ANYC_TEST(local, r14_arguments)
{
	struct anyc_runvar_token token = { 0 };

	CHECK(anyc_local_get(NULL) == NULL);
	CHECK_RC(anyc_local_set(NULL, &ten), ANYC_EINVAL);
	CHECK(anyc_runvar_get(NULL) == NULL);
	CHECK_RC(anyc_runvar_set(&token, NULL, &ten), ANYC_EINVAL);
	CHECK_RC(anyc_runvar_reset(NULL, &token), ANYC_EMISUSE);
	CHECK_RC(anyc_runvar_reset(&runs, NULL), ANYC_EMISUSE);
	CHECK_RC(anyc_runvar_reset(&runs, &token), ANYC_EMISUSE);
	CHECK_INT(reports(), ==, 3);
	reports_forget();
}

/* ------------------------------------------------------------------------ of runs: b178, O4 */

static const struct anyc_runvar first = { .name = "var", .initial = &ten };
static const struct anyc_runvar second = { .name = "var" };

static int see_run(void *arg)
{
	*(void **)arg = anyc_runvar_get(&first);
	CHECK_OK(anyc_runvar_set(NULL, &first, &twelve));
	return 0;
}

ANYC_TEST(local, b178_all_tasks_of_a_run_see_it)
{
	void *seen = NULL;
	struct anyc_group g;

	CHECK(anyc_runvar_get(&first) == &ten);
	CHECK(anyc_runvar_get(&second) == NULL);
	CHECK_OK(anyc_runvar_set(NULL, &first, &eleven));
	CHECK(anyc_runvar_get(&second) == NULL); /* of the same name */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, see_run, &seen));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(seen == &eleven);
	CHECK(anyc_runvar_get(&first) == &twelve);
}

ANYC_TEST(local, b178_a_token_once_and_on_its_variable)
{
	struct anyc_runvar_token one, two;

	CHECK_OK(anyc_runvar_set(&one, &first, &eleven));
	CHECK_OK(anyc_runvar_set(&two, &first, &twelve));
	CHECK_RC(anyc_runvar_reset(&second, &two), ANYC_EMISUSE);
	CHECK_REPORT("another variable");
	CHECK(anyc_runvar_get(&first) == &twelve);
	CHECK_OK(anyc_runvar_reset(&first, &two));
	CHECK(anyc_runvar_get(&first) == &eleven);
	CHECK_RC(anyc_runvar_reset(&first, &two), ANYC_EMISUSE);
	CHECK_REPORT("used already");
	CHECK(anyc_runvar_get(&first) == &eleven);
	CHECK_OK(anyc_runvar_reset(&first, &one));
	CHECK(anyc_runvar_get(&first) == &ten);
	CHECK(anyc_runvar_get(&second) == NULL);
	/* Out of order as well: each brings back what it replaced. */
	CHECK_OK(anyc_runvar_set(&one, &second, &eleven));
	CHECK_OK(anyc_runvar_set(&two, &second, &twelve));
	CHECK_OK(anyc_runvar_reset(&second, &one));
	CHECK(anyc_runvar_get(&second) == NULL);
	CHECK_OK(anyc_runvar_reset(&second, &two));
	CHECK(anyc_runvar_get(&second) == &eleven);
}

struct run {
	struct anyc_runvar_token token;
	void *seen;
	int reset, value;
};

static int set_in_run(void *arg)
{
	struct run *r = arg;

	r->seen = anyc_runvar_get(&runs);
	r->reset = r->token.var_ != NULL ? anyc_runvar_reset(&runs, &r->token) : 0;
	return anyc_runvar_set(&r->token, &runs, &r->value);
}

ANYC_TEST_MAIN(local, b178_gone_in_the_next_run, ANYC_ROWS_LOOP)
{
	struct run r = { 0 };
	struct host h;

	CHECK_OK(host_run_task(&h, anyc_test_row(), set_in_run, &r, "first"));
	CHECK(r.seen == NULL);
	CHECK_INT(r.value, ==, 1);
	CHECK_OK(host_run_task(&h, anyc_test_row(), set_in_run, &r, "second"));
	CHECK(r.seen == NULL);
	CHECK_RC(r.reset, ANYC_EMISUSE);
	CHECK_REPORT("another run");
	CHECK_INT(r.value, ==, 2);
	/* Outside of every loop: this thread's own run. */
	CHECK(anyc_runvar_get(&runs) == NULL);
	CHECK_OK(anyc_thread_done());
}

static void set_from_callback(void *arg)
{
	(void)arg;
	CHECK_OK(anyc_runvar_set(NULL, &first, &twelve));
}

ANYC_TEST_ON(local, b178_callbacks_see_it_too, ANYC_ROWS_LOOP)
{
	host_call(anyc_test_host(), set_from_callback, NULL);
	CHECK(anyc_runvar_get(&first) == &twelve);
}

/* --------------------------------------------------------------------------- no memory */

static int inherit(void *arg)
{
	int rc = anyc_checkpoint();

	CHECK(anyc_local_get(&roots) == arg);
	return rc != 0 ? rc : anyc_local_set(&plain, arg);
}

static int set_some(void *arg)
{
	static int values[2];
	struct anyc_runvar_token token;
	struct anyc_group g;
	int rc = anyc_local_set(&roots, &values[0]);

	(void)arg;
	if (rc != 0) {
		CHECK(anyc_local_get(&roots) == NULL);
		return rc;
	}
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, inherit, &values[0]);
	if (rc == 0)
		rc = anyc_local_set(&roots, &values[1]);
	CHECK(anyc_local_get(&roots) == &values[rc == 0]);
	rc = anyc_group_leave(&g, rc);
	if (rc == 0)
		rc = anyc_runvar_set(&token, &runs, &values[0]);
	if (rc == 0)
		rc = anyc_runvar_reset(&runs, &token);
	return rc;
}

static int on_row(void *arg)
{
	struct host h;

	return host_run_task(&h, anyc_test_row(), set_some, arg, "scenario");
}

ANYC_TEST_MAIN(local, r14_no_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	check_alloc_sweep(on_row, NULL, 4);
}
