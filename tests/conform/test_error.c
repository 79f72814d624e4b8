/* SPDX-License-Identifier: MIT */
/* Error codes and sentences: rules 13, 14 and 45. */
#include "conform.h"

#include <pthread.h>
#include <stdio.h>

ANYC_TEST(error, r13_the_sentence_is_stored_for_its_code)
{
	CHECK_RC(anyc_fail(-EIO, EIO, "disk %d is %s", 3, "gone"), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), "disk 3 is gone");
	CHECK_INT(anyc_error_errno(-EIO), ==, EIO);
	CHECK_STR(anyc_error_detail(-EPERM), anyc_strerror(-EPERM));
	CHECK_STR(anyc_error_detail(ANYC_EBROKEN), anyc_strerror(ANYC_EBROKEN));
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, 0);
	CHECK_RC(anyc_fail(ANYC_EBROKEN, ECONNRESET, "reset"), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	CHECK_INT(anyc_error_errno(-ENOENT), ==, ENOENT);
	CHECK_INT(anyc_error_errno(ANYC_EMISUSE), ==, 0);
}

ANYC_TEST(error, r13_long_sentences_are_cut)
{
	char big[600];

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	CHECK_RC(anyc_fail(-EIO, 0, "%s", big), -EIO);
	CHECK_INT(strlen(anyc_error_detail(-EIO)), >=, 100);
	CHECK_INT(strlen(anyc_error_detail(-EIO)), <=, 200);
}

static int fail_here(void *arg)
{
	return anyc_fail(-EIO, EIO, "%s", (const char *)arg);
}

struct two_sentences {
	struct anyc_event *go;
	const char *text;
	bool kept;
};

static int keep_own_sentence(void *arg)
{
	struct two_sentences *s = arg;
	int rc;

	anyc_fail(-EIO, 0, "%s", s->text);
	rc = anyc_event_wait(s->go);
	s->kept = strcmp(anyc_error_detail(-EIO), s->text) == 0;
	return rc;
}

ANYC_TEST(error, r13_each_task_has_its_own)
{
	struct anyc_event go = { 0 };
	struct two_sentences a = { &go, "one", false }, b = { &go, "two", false };
	struct anyc_group g;

	anyc_fail(-EIO, 0, "mine");
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, keep_own_sentence, &a));
	CHECK_OK(anyc_spawn(&g, keep_own_sentence, &b));
	SETTLE();
	CHECK_STR(anyc_error_detail(-EIO), "mine");
	CHECK_OK(anyc_event_set(&go));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(a.kept && b.kept);
}

ANYC_TEST(error, r13_a_groups_error_brings_its_sentence)
{
	struct anyc_group g;
	char text[] = "the disk is on fire";

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_here, text));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), text);
	CHECK_INT(anyc_error_errno(-EIO), ==, EIO);
}

ANYC_TEST(error, r13_cleaning_up_keeps_it)
{
	struct anyc_scope s;
	struct anyc_group g;
	struct anyc_lock l = { 0 };
	struct anyc_handle h = { 0 };

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_lock_acquire(&l));
	anyc_fail(-EIO, 0, "the first failure");
	errno = ENOTTY;
	CHECK_OK(anyc_lock_release(&l));
	CHECK_OK(anyc_scope_cancel(&s, "r"));
	ANYC_IGNORE(anyc_scope_leave(&s, -EIO));
	anyc_group_free(NULL);
	(void)anyc_handle_status(&h);
	CHECK_INT(errno, ==, ENOTTY);
	CHECK_STR(anyc_error_detail(-EIO), "the first failure");
	anyc_group_enter(&g, NULL);
	CHECK_RC(anyc_group_leave(&g, -EIO), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), "the first failure");
}

static int run_that_fails(void *arg)
{
	return anyc_fail(ANYC_EBROKEN, EPIPE, "%s", (const char *)arg);
}

ANYC_TEST_MAIN(error, r13_the_sentence_leaves_anyc_run, "anyc")
{
	char text[] = "broke inside";

	CHECK_RC(anyc_run(NULL, run_that_fails, text), ANYC_EBROKEN);
	CHECK_STR(anyc_error_detail(ANYC_EBROKEN), text);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EPIPE);
}

struct ending {
	int rc;
	char detail[100];
	int os_errno;
};

static void note_end(void *arg, int rc, void *copy)
{
	struct ending *e = arg;

	(void)copy;
	e->rc = rc;
	e->os_errno = anyc_error_errno(rc);
	snprintf(e->detail, sizeof e->detail, "%s", anyc_error_detail(rc));
}

ANYC_TEST_ON(error, r13_the_sentence_reaches_on_done, ANYC_ROWS_LOOP)
{
	struct ending e = { 0 };
	char text[] = "root task failed";
	struct anyc_loop *loop = anyc_current_loop();

	CHECK(loop != NULL);
	CHECK_OK(anyc_loop_spawn(loop, run_that_fails, text, note_end, &e));
	SETTLE();
	CHECK_RC(e.rc, ANYC_EBROKEN);
	CHECK_STR(e.detail, text);
	CHECK_INT(e.os_errno, ==, EPIPE);
}

static void *fail_in_thread(void *arg)
{
	anyc_fail(-EIO, 0, "in a thread");
	*(bool *)arg = strcmp(anyc_error_detail(-EIO), "in a thread") == 0;
	anyc_thread_done();
	return NULL;
}

static void fail_outside(void *arg)
{
	anyc_fail(-EIO, 0, "in a callback");
	*(bool *)arg = strcmp(anyc_error_detail(-EIO), "in a callback") == 0;
}

ANYC_TEST(error, r13_outside_tasks_it_is_the_threads)
{
	pthread_t thread;
	bool in_thread = false, outside = false;

	anyc_fail(-EIO, 0, "in the task");
	CHECK_INT(pthread_create(&thread, NULL, fail_in_thread, &in_thread), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK(in_thread);
	if (!anyc_test_row_is("none")) {
		host_call(anyc_test_host(), fail_outside, &outside);
		CHECK(outside);
	}
	CHECK_STR(anyc_error_detail(-EIO), "in the task");
}

/* ------------------------------------------------------------------------------------ table */

ANYC_TEST_MAIN(error, r14_names_and_sentences, "none")
{
	CHECK_STR(anyc_err_name(-ECONNREFUSED), "ECONNREFUSED");
	CHECK_STR(anyc_err_name(-ENOENT), "ENOENT");
	CHECK_STR(anyc_err_name(ANYC_EBROKEN), "ANYC_EBROKEN");
	CHECK_STR(anyc_err_name(-99999), "unknown");
	CHECK_STR(anyc_err_name(5), "unknown");
	CHECK(anyc_strerror(-99999) != NULL && anyc_strerror(-99999)[0] != '\0');
	CHECK(anyc_strerror(0) != NULL);
	CHECK_HAS(anyc_strerror(-ENOENT), "o such file");
	/* A resolver's code is not an errno: EAI_NONAME is -2, as ENOENT is. */
	CHECK_INT(ANYC_EAI_NONAME, !=, -ENOENT);
	ANYC_IGNORE(anyc_version_check(ANYC_VERSION_MAJOR, ANYC_VERSION_MINOR));
}

ANYC_TEST_MAIN(error, r14_the_version, "none")
{
	CHECK_STR(anyc_version(), ANYC_VERSION);
	CHECK_OK(anyc_version_check(ANYC_VERSION_MAJOR, ANYC_VERSION_MINOR));
	CHECK_RC(anyc_version_check(ANYC_VERSION_MAJOR + 1, 0), ANYC_EABI);
	CHECK_HAS(anyc_error_detail(ANYC_EABI), ANYC_VERSION);
	CHECK_RC(anyc_version_check(ANYC_VERSION_MAJOR, ANYC_VERSION_MINOR + 1), ANYC_EABI);
}

static void report_to_stderr(void)
{
	anyc_report(ANYC_EBROKEN, "number %d", 5);
}

/* One line, ended by the default hook. */
ANYC_TEST_MAIN(error, r45_the_default_hook_writes_a_line, "none")
{
	struct corpse c;
	const char *line;

	corpse_make(&c, report_to_stderr);
	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "number 5");
	line = strchr(c.text, '\n');
	CHECK(line != NULL && line[1] == '\0');
	anyc_report(0, "kept");
	CHECK_REPORT("kept");
}

/* The root task of nobody: the error goes to the report hook. */
ANYC_TEST_ON(error, r10_a_root_tasks_error_is_reported, ANYC_ROWS_LOOP)
{
	char text[] = "nobody listens";

	CHECK_OK(anyc_loop_spawn(anyc_current_loop(), run_that_fails, text, NULL, NULL));
	SETTLE();
	CHECK_REPORT("nobody listens");
}
