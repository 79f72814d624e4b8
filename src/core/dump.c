/* SPDX-License-Identifier: MIT */
/* The tree of tasks as text, a line for each task and for each scope that says something. */
#include <dlfcn.h>

#include "engine.h"
#include "text.h"

#define LINE 512
#define DEEPEST 40 /* levels that are shown by indenting */

struct dump {
	anyc_line_fn *fn;
	void *arg;
	int64_t now;
	char line[LINE];
	struct anyc__text text;
};

static void begin_line(struct dump *d, unsigned depth)
{
	d->text = (struct anyc__text){d->line, sizeof d->line, 0};
	anyc__say(&d->text, "%*s", (int)(2 * (depth < DEEPEST ? depth : DEEPEST)), "");
}

static void end_line(struct dump *d)
{
	d->fn(d->arg, d->line);
}

static void say_seconds(struct anyc__text *t, int64_t ns)
{
	anyc__say(t, "%lld.%03lld s", (long long)(ns / ANYC_SECOND),
		  (long long)(ns % ANYC_SECOND / ANYC_MILLISECOND));
}

/* A return address: the call lies before it. */
static void say_place(struct anyc__text *t, const char *what, const void *site)
{
	const char *at = site, *file;
	Dl_info info;

	if (site == NULL)
		return;
	if (dladdr(at - 1, &info) == 0 || info.dli_fname == NULL) {
		anyc__say(t, ", %s at %p", what, site);
		return;
	}
	file = strrchr(info.dli_fname, '/');
	file = file != NULL ? file + 1 : info.dli_fname;
	if (info.dli_sname != NULL)
		anyc__say(t, ", %s in %s() of %s", what, info.dli_sname, file);
	else
		anyc__say(t, ", %s at %s+%#zx", what, file,
			  (size_t)(at - (const char *)info.dli_fbase));
}

/* ---------------------------------------------------------------------------------- scopes */

static void say_cause(struct anyc__text *t, const struct anyc_scope *s)
{
	if (s->cause_ == ANYC_CAUSE_NONE)
		return;
	if (s->cause_ == ANYC_CAUSE_DEADLINE) {
		anyc__say(t, ", its deadline has passed");
		return;
	}
	anyc__say(t, ", cancelled");
	if (s->canceller_ != NULL)
		anyc__say(t, " by '%s'", s->canceller_);
	if (s->reason_ != NULL)
		anyc__say(t, ": %s", s->reason_);
}

static void say_scope(struct dump *d, const struct anyc_scope *s, unsigned depth, const char *what)
{
	struct anyc__text *t = &d->text;

	begin_line(d, depth);
	anyc__say(t, "- %s", what);
	if (s->group_ != NULL)
		anyc__say(t, " of %zu", s->group_->tasks_);
	if (s->deadline_ != ANYC_FOREVER && s->cause_ != ANYC_CAUSE_DEADLINE) {
		anyc__say(t, s->deadline_ > d->now ? ", ends in " : ", ended before ");
		say_seconds(t, s->deadline_ > d->now ? s->deadline_ - d->now
						     : d->now - s->deadline_);
	}
	if (s->shield_)
		anyc__say(t, ", shielded");
	say_cause(t, s);
	say_place(t, "entered", s->site_);
	end_line(d);
}

static void say_scopes(struct dump *d, const struct anyc_task *t, unsigned depth)
{
	const struct anyc_scope *s;

	/* A task's own scope says something only when it was cancelled. */
	if (t->base.cause_ != ANYC_CAUSE_NONE)
		say_scope(d, &t->base, depth, "task");
	for (s = t->base.inner_; s != NULL; s = s->inner_)
		say_scope(d, s, depth, s->group_ != NULL ? "group" : "scope");
}

/* ----------------------------------------------------------------------------------- tasks */

static void say_state(struct dump *d, const struct anyc_task_info *info)
{
	struct anyc__text *t = &d->text;

	if (info->state == ANYC_TASK_RUNNING)
		anyc__say(t, "runs");
	else if (info->state == ANYC_TASK_READY)
		anyc__say(t, "ready");
	else
		anyc__say(t, "waits for %s", info->waits_for != NULL ? info->waits_for : "nothing");
	if (info->since != 0) {
		anyc__say(t, " for ");
		say_seconds(t, d->now - info->since);
	}
	if (info->cancelled)
		anyc__say(t, ", cancelled");
	if (info->background)
		anyc__say(t, ", in the background");
}

static void say_task(void *arg, const struct anyc_task *t, const struct anyc_task_info *info)
{
	struct dump *d = arg;

	begin_line(d, info->depth);
	anyc__say(&d->text, "%s #%llu ", info->name, (unsigned long long)info->id);
	say_state(d, info);
	if (info->stack_used != 0)
		anyc__say(&d->text, ", %zu of %zu bytes of stack", info->stack_used,
			  info->stack_size);
	say_place(&d->text, "spawned", info->site);
	end_line(d);
	say_scopes(d, t, info->depth + 1);
}

static int dump(struct anyc__engine *e, anyc_line_fn *fn, void *arg)
{
	struct dump d = {.fn = fn, .arg = arg, .now = anyc__now(e)};

	return anyc__tasks_visit(e, say_task, &d);
}

int anyc_dump_tasks_lines(struct anyc_loop *loop, anyc_line_fn *fn, void *arg)
{
	struct anyc__engine *e;
	int rc;

	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_dump_tasks_lines needs a function");
	rc = anyc__inspected(&e, loop, "anyc_dump_tasks_lines");
	if (rc != 0)
		return rc;
	dump(e, fn, arg);
	return 0;
}

static void add_line(void *arg, const char *line)
{
	anyc__say(arg, "%s\n", line);
}

size_t anyc_dump_tasks(char *buf, size_t size)
{
	struct anyc__text t = {buf, size, 0};
	struct anyc__engine *e = anyc__current_engine();

	if (size != 0)
		buf[0] = '\0';
	if (e != NULL && anyc__inspected(&e, NULL, "anyc_dump_tasks") == 0)
		dump(e, add_line, &t);
	return t.length;
}
