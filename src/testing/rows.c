/* SPDX-License-Identifier: MIT */
/*
 * The rows of a test: hosts that the program added, backends that are available here, the engine
 * alone, and none.
 *
 * Rules
 *  - The rows are settled when the first is asked for, in a constructor of the program, it may be:
 *    nothing that is added later could reach all tests.
 *  - A backend is available if its module loads, so asking loads all loops.  Only the first process
 *    asks; those that it starts, one for each test, find the answer in the environment, and load
 *    no loop but their own.
 *  - A row that was asked for by ANYC_TEST_BACKENDS and is not there is a row whose tests fail.
 */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <anyc/error.h>
#include <anyc/loop.h>
#include <anyc/sim.h>

#define ADDED_MAX 16
#define ROWS_MAX 24
#define KEPT "ANYC_TEST_ROWS_" /* "PID:row,row": what that process found */

static struct {
	struct anyc_test_host added[ADDED_MAX];
	size_t added_count;
	struct anyc_test_host row[ROWS_MAX];
	size_t count;
	bool settled;
	char missing[8][64]; /* names from the environment */
	size_t missing_count;
} rows;

/* Looks for a word in a list with commas. */
static bool in_list(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; p != NULL && *p != '\0'; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, word, length) == 0 && (p[length] == ',' || p[length] == '\0'))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------------------- the kit's own */

static int run_none(const struct anyc_test_host *host, anyc_task_fn *fn, void *arg,
		    const char *name)
{
	int rc = fn(arg), rc2;

	(void)host;
	(void)name;
	rc2 = anyc_thread_done();
	return rc2 != 0 ? rc2 : rc;
}

static int run_backend(const struct anyc_test_host *host, anyc_task_fn *fn, void *arg,
		       const char *name)
{
	struct anyc_run_options options = { .backend = host->row, .name = name };

	return anyc_run(&options, fn, arg);
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int warm_up_backend(const struct anyc_test_host *host)
{
	return run_backend(host, do_nothing, NULL, "warm-up");
}

/* -------------------------------------------------------------------------------- settling */

static const struct anyc_test_host *find(const struct anyc_test_host *list, size_t count,
					 const char *row)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].row, row) == 0)
			return &list[i];
	}
	return NULL;
}

static bool wanted(const char *row)
{
	const char *only = getenv("ANYC_TEST_BACKENDS");

	return only == NULL || only[0] == '\0' || in_list(only, row);
}

static void put(const struct anyc_test_host *host)
{
	if (rows.count < ROWS_MAX && find(rows.row, rows.count, host->row) == NULL)
		rows.row[rows.count++] = *host;
}

/* What the process that started this one has found; NULL: it is the first. */
static const char *kept_rows(void)
{
	const char *kept = getenv(KEPT);
	char *end = NULL;

	if (kept == NULL || strtol(kept, &end, 10) != (long)getppid() || *end != ':')
		return NULL;
	return end + 1;
}

static void keep_rows(void)
{
	char buf[ROWS_MAX * 64];
	struct anyc__text t = { buf, sizeof buf };

	anyc__text_add(&t, "%ld:", (long)getpid());
	for (size_t i = 0; i < rows.count; i++) {
		if (rows.row[i].run != NULL)
			anyc__text_add(&t, "%s,", rows.row[i].row);
	}
	setenv(KEPT, buf, 1);
}

static void put_backend(const char *name, enum anyc_test_kind kind, const char *kept)
{
	struct anyc_test_host host = {
		.size = sizeof host,
		.row = name,
		.kind = kind,
		.run = run_backend,
		.warm_up = warm_up_backend,
	};

	if (!wanted(name) || find(rows.row, rows.count, name) != NULL)
		return;
	if (kept != NULL ? in_list(kept, name) : anyc_backend_available(name) == 0)
		put(&host);
}

/* Those that the environment names and that are not there have no run. */
static void put_missing(void)
{
	const char *only = getenv("ANYC_TEST_BACKENDS");
	struct anyc_test_host host = { .size = sizeof host };

	while (only != NULL && *only != '\0' && rows.missing_count < 8) {
		size_t length = strcspn(only, ",");
		char *name = rows.missing[rows.missing_count];

		if (length > 0 && length < sizeof rows.missing[0]) {
			memcpy(name, only, length);
			name[length] = '\0';
			host.row = name;
			if (find(rows.row, rows.count, name) == NULL) {
				rows.missing_count++;
				put(&host);
			}
		}
		only += length + (only[length] == ',');
	}
}

static void settle(void)
{
	static const struct anyc_test_host none = {
		.size = sizeof none, .row = "none", .run = run_none,
	};
	const char *kept = kept_rows(), *name;

	if (rows.settled)
		return;
	rows.settled = true;
	anyc__test_session();
	for (size_t i = 0; i < rows.added_count; i++) {
		if (wanted(rows.added[i].row))
			put(&rows.added[i]);
	}
	/* In a static program nothing could load it; here it is at hand. */
	if (wanted("sim") && find(rows.row, rows.count, "sim") == NULL)
		ANYC_IGNORE(anyc_backend_register(anyc_sim_backend()));
	for (size_t i = 1; (name = anyc_backend_known(i)) != NULL; i++) {
		bool own = strcmp(name, "sim") == 0;

		put_backend(name, own ? ANYC_TEST_ROW_LOOP : ANYC_TEST_ROW_NATIVE, kept);
	}
	put_backend("anyc", ANYC_TEST_ROW_LOOP, kept);
	if (wanted(none.row))
		put(&none);
	put_missing();
	if (kept == NULL)
		keep_rows();
}

/* --------------------------------------------------------------------------------- offers */

int anyc_test_add_host(const struct anyc_test_host *host)
{
	struct anyc_test_host copy = { 0 };

	if (host == NULL || host->row == NULL || host->size < offsetof(struct anyc_test_host, run))
		return anyc__kit_misuse(ANYC_EINVAL,
					"anyc_test_add_host needs a host with a row");
	if (rows.settled)
		return anyc__kit_misuse(ANYC_EMISUSE,
					"anyc_test_add_host: the row %s comes too late; add it in "
					"a constructor with a priority, or before the runner",
					host->row);
	memcpy(&copy, host, host->size < sizeof copy ? host->size : sizeof copy);
	if (find(rows.added, rows.added_count, host->row) != NULL)
		return 0;
	if (rows.added_count == ADDED_MAX)
		return anyc__kit_misuse(ANYC_EOVERFLOW,
					"anyc_test_add_host: no room for the row %s", host->row);
	rows.added[rows.added_count++] = copy;
	return 0;
}

static bool takes(const struct anyc_test *t, const struct anyc_test_host *host)
{
	const char *list = t->rows != NULL ? t->rows : "all";

	if (host->chosen_by != ANYC_TEST_BY_KIND && in_list(list, host->row))
		return true;
	if (host->chosen_by == ANYC_TEST_BY_NAME)
		return false;
	if (host->kind != ANYC_TEST_ROW_NONE && in_list(list, "loop"))
		return true;
	if (host->kind == ANYC_TEST_ROW_NATIVE && in_list(list, "native"))
		return true;
	return in_list(list, "all");
}

const char *anyc_test_row_at(const struct anyc_test *t, unsigned i)
{
	settle();
	for (size_t n = 0; n < rows.count; n++) {
		if (takes(t, &rows.row[n]) && i-- == 0)
			return rows.row[n].row;
	}
	return NULL;
}

const struct anyc_test_host *anyc__test_host(const char *row)
{
	settle();
	return find(rows.row, rows.count, row);
}

int anyc__test_warm_up(const struct anyc_test_host *host)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows.added_count; i++) {
		if (rows.added[i].warm_up != NULL)
			rc = rows.added[i].warm_up(&rows.added[i]);
	}
	if (rc == 0 && host->warm_up != NULL &&
	    find(rows.added, rows.added_count, host->row) == NULL)
		rc = host->warm_up(host);
	return rc == 0 ? anyc_thread_done() : rc;
}
