/* SPDX-License-Identifier: MIT */
/* The driver itself: what it must find, name and refuse.  What leaks does so in a child. */
#include "faults.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int run_nothing(void *arg)
{
	return anyc_run(NULL, return_at_once, arg);
}

/* ------------------------------------------------------------------------------ what it does */

ANYC_TEST_MAIN(driver, r14_it_ends_by_itself_on_every_axis, "none")
{
	struct anyc_fault_report report;

	CHECK_INT(anyc_fault_sweep(&report, run_nothing, NULL, NULL), ==, 0);
	for (unsigned i = 0; i < ANYC_FAULT_AXES; i++) {
		unsigned axis = 1U << i;
		bool some = (ANYC_FAULT_ALL & axis) != 0 && axis != ANYC_FAULT_CANCEL_SCOPE;

		CHECK((report.points[i] > 0) == some);
	}
	CHECK_INT(report.points[0], ==, report.points[1]);
	CHECK_INT(report.left_out, ==, 0);
	CHECK_STR(report.point, "");
	CHECK_STR(report.text, "");
	CHECK(anyc_fault_point() == NULL);
}

ANYC_TEST_MAIN(driver, r14_a_sample_leaves_out_points, "none")
{
	struct anyc_fault_options options = { .points = 2 };
	struct anyc_fault_report report;

	CHECK_INT(unsetenv("ANYC_FAULT_POINTS"), ==, 0);
	CHECK_INT(anyc_fault_sweep(&report, run_nothing, NULL, &options), ==, 0);
	CHECK_INT(report.points[0], <=, 2);
	CHECK_INT(report.points[0], >, 0);
	CHECK_INT(report.left_out, >, 0);
}

/* ------------------------------------------------------------------------------- what it finds */

static struct anyc_fault_options options;
static anyc_fault_scenario *scenario;

static void sweep_and_tell(void)
{
	struct anyc_fault_report report;
	int rc = anyc_fault_sweep(&report, scenario, NULL, &options);

	fprintf(stderr, "%d, %s, %s\n", rc, report.point, report.text);
}

static struct corpse sweep_in_child(anyc_fault_scenario *fn, unsigned axes)
{
	struct corpse c;

	scenario = fn;
	options = (struct anyc_fault_options){ .name = "planted", .row = "none", .axes = axes };
	corpse_make(&c, sweep_and_tell);
	return c;
}

static void ignore_post(void *arg, int status)
{
	(void)arg;
	(void)status;
}

/* Keeps its token when the post finds no memory; where a leak checker sees no leak. */
static int leak_block(void *arg)
{
	static struct anyc_token *kept[4];
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	int rc = token != NULL ? anyc_token_post(token, ignore_post, arg) : -ENOMEM;
	size_t i = 0;

	if (rc == 0 || token == NULL) {
		anyc_token_unref(token);
		return rc;
	}
	while (kept[i] != NULL)
		CHECK_INT(++i, <, 4);
	kept[i] = token;
	return rc;
}

static int run_leak_block(void *arg)
{
	return anyc_run(NULL, leak_block, arg);
}

ANYC_TEST_MAIN(driver, r14_a_leak_on_an_error_path_is_named, "none")
{
	struct corpse c = sweep_in_child(run_leak_block, ANYC_FAULT_ALLOC);

	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "1, alloc:");
	CHECK_HAS(c.text, "planted[none]: alloc:");
	CHECK_HAS(c.text, "-12 ENOMEM");
	CHECK_HAS(c.text, "1 blocks left");
	CHECK_HAS(c.text, "bytes from "); /* the site */
	CHECK_HAS(c.text, "again: ANYC_FAULT_ONLY=alloc:");
}

/* Keeps a descriptor when it is cancelled. */
static int leak_descriptor(void *arg)
{
	int ends[2], rc;

	(void)arg;
	CHECK_INT(pipe(ends), ==, 0);
	close(ends[1]);
	rc = anyc_sleep(ANYC_MICROSECOND);
	if (rc == 0)
		close(ends[0]);
	return rc;
}

ANYC_TEST_MAIN(driver, r15_a_descriptor_that_is_left_is_named, "none")
{
	struct corpse c = sweep_in_child(leak_descriptor, ANYC_FAULT_CANCEL);

	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "1, cancel:0, planted[none]: cancel:0 (task 'main' at a checkpoint)");
	CHECK_HAS(c.text, "is left (pipe:[");
}

/* Says ENXIO for what was ENFILE. */
static int say_something_else(void *arg)
{
	static const int errors[] = { EINTR, ENFILE, 0 };

	(void)arg;
	return anyc_fault_call("open", errors, NULL) && errno != EINTR ? -ENXIO : 0;
}

/* Lets an errno out that no caller may see. */
static int see_interrupts(void *arg)
{
	static const int errors[] = { EINTR, 0 };

	(void)arg;
	return anyc_fault_call("open", errors, NULL) ? -errno : 0;
}

ANYC_TEST_MAIN(driver, r16_an_interrupt_that_comes_out_is_named, "none")
{
	struct corpse c = sweep_in_child(see_interrupts, ANYC_FAULT_SYSCALL);

	CHECK_HAS(c.text, "1, syscall:0:EINTR, ");
	CHECK_HAS(c.text, "EINTR of open, called from ");
	c = sweep_in_child(say_something_else, ANYC_FAULT_SYSCALL);
	CHECK_HAS(c.text, "1, syscall:0:ENFILE, ");
	CHECK_HAS(c.text, "ENXIO");
}

static int fail_always(void *arg)
{
	(void)arg;
	return anyc_fail(-EIO, EIO, "a sentence");
}

ANYC_TEST_MAIN(driver, r16_a_scenario_that_fails_anyway, "none")
{
	struct corpse c = sweep_in_child(fail_always, ANYC_FAULT_ALLOC);

	CHECK_HAS(c.text, "1, none, planted[none]: none: result -5 EIO: a sentence");
}

/* Never lets go once an allocation has failed. */
static int hang(void *arg)
{
	if (anyc_run(NULL, return_at_once, arg) != 0)
		for (;;)
			pause();
	return 0;
}

static int crash(void *arg)
{
	if (anyc_run(NULL, return_at_once, arg) != 0)
		raise(SIGSEGV);
	return 0;
}

ANYC_TEST_MAIN(driver, r12_hangs_and_crashes_are_named, "none")
{
	struct corpse c;

	scenario = hang;
	options = (struct anyc_fault_options){
		.name = "hangs", .axes = ANYC_FAULT_ALLOC_FOREVER, .patience = ANYC_MILLISECOND,
	};
	corpse_make(&c, sweep_and_tell);
	CHECK_DIED(&c, SIGABRT, "# fault: hangs: alloc-forever:0 (seed 1): it hangs");
	c = sweep_in_child(crash, ANYC_FAULT_ALLOC);
	CHECK_DIED(&c, SIGSEGV, "# fault: planted[none]: alloc:0 (seed 1): the process dies");
}

/* ------------------------------------------------------------------------------ one point */

static void only_and_tell(void)
{
	setenv("ANYC_FAULT_ONLY", "alloc:1", 1);
	sweep_and_tell();
	setenv("ANYC_FAULT_ONLY", "cancel-twice:1+2", 1);
	sweep_and_tell();
	setenv("ANYC_FAULT_ONLY", "syscall:1:EMFILE", 1);
	sweep_and_tell();
	setenv("ANYC_FAULT_ONLY", "alloc:x", 1);
	sweep_and_tell();
	fprintf(stderr, "%s\n", anyc_error_detail(ANYC_EINVAL));
}

ANYC_TEST_MAIN(driver, r12_one_point_alone, "none")
{
	struct corpse c;

	scenario = run_nothing;
	options = (struct anyc_fault_options){ .name = "one" };
	corpse_make(&c, only_and_tell);
	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "0, , \n0, , \n0, , \n-10008, , ANYC_FAULT_ONLY is no point");
	CHECK_HAS(c.text, "anyc_fault_sweep: ANYC_FAULT_ONLY is no point");
}

/* --------------------------------------------------------------------------------- misuse */

static int sweep_again(void *arg)
{
	struct anyc_fault_report report;

	(void)arg;
	CHECK_RC(anyc_fault_sweep(&report, run_nothing, NULL, NULL), ANYC_EMISUSE);
	return 0;
}

ANYC_TEST_MAIN(driver, r12_misuse, "none")
{
	struct anyc_fault_options bad = { .axes = 1U << ANYC_FAULT_AXES };
	struct anyc_fault_report report;
	struct anyc_scope s;

	CHECK_RC(anyc_fault_sweep(NULL, run_nothing, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_fault_sweep(&report, NULL, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_fault_sweep(&report, run_nothing, NULL, &bad), ANYC_EINVAL);
	bad = (struct anyc_fault_options){ .patience = -1 };
	CHECK_RC(anyc_fault_sweep(&report, run_nothing, NULL, &bad), ANYC_EINVAL);
	bad = (struct anyc_fault_options){ .axes = ANYC_FAULT_ALLOC };
	CHECK_INT(anyc_fault_sweep(&report, sweep_again, NULL, &bad), ==, 0);
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_fault_sweep(&report, run_nothing, NULL, NULL), ANYC_EMISUSE);
	CHECK_OK(anyc_scope_leave(&s, 0));
	reports_forget();
}
