/* SPDX-License-Identifier: MIT */
/*
 * A host made of a backend's own members: create and destroy, attach and detach, run and stop.
 *
 * Rule: the table that anyc sees is a copy, whose attach, detach and create note what they are
 * given and call the backend's own.  run and stop need what attach gave out, and create what anyc
 * gives.
 */
#include "lib/anyc_test.h"
#include "conformance.h"

#include <anyc/backend.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct anyc_backend *inner; /* the backend's own table; NULL: it has none */
static struct anyc_backend outer;
static const struct anyc_engine_ops *engine_ops;

/* The backend's, and those that tests have beside it. */
static struct host_row rows[3] = {
	{ .chosen_by = ANYC_TEST_BY_KIND },
	{ .name = "anyc", .ops = &host_alone, .chosen_by = ANYC_TEST_BY_KIND },
	{ .name = "none", .ops = &host_none, .chosen_by = ANYC_TEST_BY_KIND },
};
static unsigned rows_from = 1; /* 0, once there is a backend */

/* Loops that are attached; several threads may have some. */
#define LOOPS_MAX 64
static struct {
	void *native, *self;
} attached[LOOPS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ------------------------------------------------------------------------- the copied table */

/* Takes the place of a loop, or a free one. */
static void note_attached(void *native, void *self)
{
	size_t free_place = LOOPS_MAX, i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < LOOPS_MAX && attached[i].native != native; i++) {
		if (attached[i].native == NULL && free_place == LOOPS_MAX)
			free_place = i;
	}
	if (i == LOOPS_MAX)
		i = free_place;
	if (i < LOOPS_MAX) {
		attached[i].native = native;
		attached[i].self = self;
	}
	pthread_mutex_unlock(&lock);
	CHECK(i < LOOPS_MAX);
}

static void forget_attached(const void *self)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < LOOPS_MAX; i++) {
		if (attached[i].self == self)
			attached[i].native = attached[i].self = NULL;
	}
	pthread_mutex_unlock(&lock);
}

static void *self_of(const void *native)
{
	void *self = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < LOOPS_MAX; i++) {
		if (attached[i].native == native)
			self = attached[i].self;
	}
	pthread_mutex_unlock(&lock);
	return self;
}

static int outer_attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	int rc = inner->attach(native, pollfd, engine, self);

	if (rc == 0)
		note_attached(native, *self);
	return rc;
}

static void outer_detach(void *self, anyc_detached_fn *done, void *arg)
{
	forget_attached(self);
	inner->detach(self, done, arg);
}

static int outer_create(void **native, const struct anyc_engine_ops *ops)
{
	engine_ops = ops;
	return inner->create(native, ops);
}

/* -------------------------------------------------------------------------------- the host */

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* The first loop is made by anyc, which so shows what it gives to create. */
static int loop_make(struct host *h)
{
	struct anyc_run_options options = { .backend = outer.name };
	int rc = engine_ops == NULL ? anyc_run(&options, do_nothing, NULL) : 0;

	return rc != 0 ? rc : inner->create(&h->native, engine_ops);
}

static const struct anyc_backend *loop_backend(void)
{
	return &outer;
}

static void loop_run(struct host *h)
{
	CHECK_OK(inner->run(self_of(h->native)));
}

static void loop_stop(struct host *h)
{
	inner->stop(self_of(h->native));
}

static int loop_destroy(struct host *h)
{
	inner->destroy(h->native);
	h->native = NULL;
	return 0;
}

struct call {
	host_fn *fn;
	void *arg;
};

static void on_call(void *arg, int status)
{
	struct call c = *(struct call *)arg;

	free(arg);
	if (status == 0)
		c.fn(c.arg);
}

/* A callback outside of tasks: what a backend can give is a post's. */
static int loop_soon(struct host *h, host_fn *fn, void *arg)
{
	struct anyc_token *token = anyc_loop_token(h->loop);
	struct call *c = malloc(sizeof *c);
	int rc;

	CHECK(token != NULL && c != NULL);
	c->fn = fn;
	c->arg = arg;
	rc = anyc_token_post(token, on_call, c);
	if (rc != 0)
		free(c);
	anyc_token_unref(token);
	return rc;
}

static struct host_ops loop_ops = {
	.kind = ANYC_TEST_ROW_NATIVE,
	.make = loop_make,
	.backend = loop_backend,
	.run = loop_run,
	.stop = loop_stop,
	.destroy = loop_destroy,
	.soon = loop_soon,
};

const struct host_row *host_row(unsigned i)
{
	return i + rows_from < 3 ? &rows[i + rows_from] : NULL;
}

/* ---------------------------------------------------------------------------- opening one */

/* Where libanyc lies, or what the environment says instead. */
static bool find_module(const char *file, char path[PATH_MAX])
{
	const char *directory = getenv("ANYC_MODULE_DIR");
	char library[PATH_MAX];
	char *slash;
	Dl_info info;

	if (directory == NULL) {
		if (dladdr(dlsym(RTLD_DEFAULT, "anyc_version"), &info) == 0 ||
		    realpath(info.dli_fname, library) == NULL)
			return false;
		slash = strrchr(library, '/');
		*slash = '\0';
		directory = library;
	}
	return snprintf(path, PATH_MAX, "%s/%s.so.%d", directory, file, ANYC_VERSION_MAJOR) <
	       PATH_MAX;
}

static const struct anyc_backend *load(const char *path, char *why, size_t size)
{
	const struct anyc_backend *(*function)(void);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;

	if (module == NULL) {
		snprintf(why, size, "%s", dlerror());
		return NULL;
	}
	symbol = dlsym(module, "anyc_module_backend");
	if (symbol == NULL) {
		snprintf(why, size, "%s has no anyc_module_backend()", path);
		return NULL;
	}
	memcpy(&function, &symbol, sizeof function);
	return function();
}

static const struct anyc_backend *load_named(const char *name, char *why, size_t size)
{
	static const struct {
		const char *name, *file;
	} modules[] = {
		{ "libuv", "libanyc-uv" }, { "libevent", "libanyc-event" },
		{ "libev", "libanyc-ev" }, { "sim", "libanyc-test" },
	};
	char path[PATH_MAX];

	if (strchr(name, '/') != NULL)
		return load(name, why, size);
	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
		if (strcmp(modules[i].name, name) == 0 && find_module(modules[i].file, path))
			return load(path, why, size);
	}
	snprintf(why, size, "no backend is called '%s'; the file of a module has a slash in it",
		 name);
	return NULL;
}

/* Whether the table can be used, and made known to anyc. */
static bool take_table(const struct anyc_backend *table, char *why, size_t size)
{
	int rc;

	inner = table;
	outer = *table;
	outer.attach = outer_attach;
	outer.detach = outer_detach;
	outer.create = table->create != NULL ? outer_create : NULL;
	rc = anyc_backend_register(&outer);
	if (rc != 0) {
		snprintf(why, size, "%s", anyc_error_detail(rc));
		return false;
	}
	if (outer.create == NULL) {
		snprintf(why, size, "the backend '%s' has no create, destroy, run and stop, by "
				    "which the tests make and run loops", outer.name);
		return false;
	}
	if (table->now != NULL)
		loop_ops.kind = ANYC_TEST_ROW_LOOP; /* its time is not everybody's */
	loop_ops.row = loop_ops.library = rows[0].name = outer.name;
	rows[0].ops = &loop_ops;
	rows_from = 0;
	return true;
}

const char *conformance_open(const char *backend, char *why, size_t size)
{
	const struct anyc_backend *table;

	if (strcmp(backend, "anyc") != 0 && strcmp(backend, "none") != 0) {
		table = load_named(backend, why, size);
		if (table == NULL || !take_table(table, why, size))
			return NULL;
		backend = outer.name;
	}
	host_add_all();
	return backend;
}
