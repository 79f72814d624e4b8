/* SPDX-License-Identifier: MIT */
/*
 * The event module in a program that is linked to libev first: there event_add() and 23 other
 * names are libev's, which abort on what libevent made.  The program is linked with
 * -lev -levent_core, in this order; its argument is the module's path.  It exits 0 if tasks would
 * run: on a base that the module made, on one of the application's, and if what libev's
 * event_base_new() returns is refused.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <event2/event.h>

#include <anyc/backend.h>
#include <anyc/error.h>

struct fake {
	struct anyc_engine engine;
	const struct anyc_backend *be;
	void *self;
	int turns;
};

static char sentence[400];

static void turn(struct anyc_engine *engine, unsigned why)
{
	struct fake *f = (struct fake *)engine;

	f->turns += why == ANYC_TURN_READABLE ? 1 : 100;
	if (f->turns < 300)
		f->be->soon(f->self);
	else
		f->be->stop(f->self);
}

static void gone(struct anyc_engine *engine)
{
	(void)engine;
	abort();
}

static int ANYC_PRINTF(3, 4) fail(int rc, int os_errno, const char *format, ...)
{
	va_list args;

	(void)os_errno;
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	return rc;
}

static void *get_block(size_t size)
{
	return calloc(1, size);
}

static const struct anyc_engine_ops ops = {
	.size = sizeof ops,
	.turn = turn,
	.gone = gone,
	.fail = fail,
	.alloc = get_block,
	.free = free,
};

static void check(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "event_beside_ev: %s (%s)\n", what, sentence);
	exit(1);
}

static void run_on(const struct anyc_backend *be, void *native)
{
	struct fake f = {.engine = {.ops = &ops}, .be = be};
	int fd = eventfd(1, EFD_CLOEXEC);

	check(be->attach(native, fd, &f.engine, &f.self) == 0, "attach");
	be->keepalive(f.self, true);
	check(be->run(f.self) == 0, "run");
	check(f.turns > 300, "turns of both kinds");
	be->keepalive(f.self, false);
	be->detach(f.self, NULL, NULL);
}

static void refuse(const struct anyc_backend *be, void *native)
{
	struct fake f = {.engine = {.ops = &ops}, .be = be};

	check(be->attach(native, 0, &f.engine, &f.self) == ANYC_ECONFLICT, "libev's base refused");
	check(strstr(sentence, "libevent") != NULL, "the sentence says why");
	(void)printf("%s\n", sentence);
}

int main(int argc, char **argv)
{
	const struct anyc_backend *(*door)(void);
	const struct anyc_backend *be;
	void *module, *symbol, *native;

	check(argc == 2, "usage: event_beside_ev module.so");
	check(strcmp(event_base_get_method(NULL), "libev") == 0, "linked with -lev first");
	module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	check(module != NULL, "dlopen");
	symbol = dlsym(module, "anyc_module_backend");
	check(symbol != NULL, "anyc_module_backend");
	memcpy(&door, &symbol, sizeof door);
	be = door();
	check(be->create(&native, &ops) == 0, "create");
	run_on(be, native);
	be->destroy(native);
	native = event_base_new_with_config(NULL);
	run_on(be, native);
	check(be->close(native) == 0, "close");
	native = event_base_new();
	refuse(be, native);
	event_base_free(native);
	return 0;
}
