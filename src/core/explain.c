/* SPDX-License-Identifier: MIT */
/* anyc_explain(): what was detected in this thread, and why; and the public calls of detection. */
#include "engine.h"
#include "text.h"

static void say_entry(void *arg, const struct anyc__entry *e)
{
	anyc__say(arg, "  attached: %s loop %p, native %p, %zu tasks\n", e->library,
		  (void *)e->loop, e->native, e->loop->engine.tasks);
}

static void say_current(struct anyc__text *t)
{
	const struct anyc_task *task = anyc__current();
	const char *name = anyc__current_name();
	const struct anyc__entry *entry = anyc__current_entry();

	anyc__say(t, "library: %s\n", name != NULL ? name : "none");
	if (task != NULL)
		anyc__say(t, "  in task '%s' (%llu)%s\n", task->name, (unsigned long long)task->id,
			  task->is_root_of_thread ? ", the root of a thread without a loop" : "");
	if (anyc__thread.frames != 0)
		anyc__say(t, "  because a turn of it is under way (%u nested)\n",
			  anyc__thread.frames);
	else if (entry != NULL)
		anyc__say(t, "  because it is attached and bound to this thread\n");
	else
		anyc__say(t, "  because no loop is attached in this thread\n");
	if (name != NULL && (entry == NULL || strcmp(entry->library, name) != 0))
		anyc__say(t, "  by anyc_detect_push()\n");
}

static void say_stack(struct anyc__text *t)
{
	const struct anyc_task *task = anyc__current();
	struct anyc__running running;

	if (task != NULL && !task->is_root_of_thread)
		anyc__say(t, "stack: a task's own, not searched\n");
	else if (anyc__unwind_running(&running))
		anyc__say(t, "stack: %s() of %s runs further up\n", running.symbol,
			  running.library);
	else
		anyc__say(t, "stack: no known run function further up\n");
	anyc__say(t, "  not seen: host fibers, frames without unwind data, "
		     "stripped static loops\n");
}

static void say_engine(struct anyc__text *t)
{
	const struct anyc__engine *e = anyc__current_engine();
	struct anyc__stack_stats stats;

	if (e == NULL)
		return;
	anyc__stack_pool_stats(&e->stacks, &stats);
	anyc__say(t, "stacks: %zu in use, %zu idle, guarded by %s\n", stats.in_use,
		  stats.hot + stats.cold,
		  stats.slabs_by_mprotect != 0 ? "mprotect (vm.max_map_count limits their number)"
					       : "MADV_GUARD_INSTALL");
}

size_t anyc_explain(char *buf, size_t size)
{
	struct anyc__text t = {buf, size, 0};
	const char *name;
	size_t i;

	if (size != 0)
		buf[0] = '\0';
	anyc__say(&t, "anyc %s\n", anyc_version());
	say_current(&t);
	anyc__registry_each_here(say_entry, &t);
	say_stack(&t);
	say_engine(&t);
	anyc__say(&t, "backends known:");
	for (i = 0; (name = anyc__module_known(i)) != NULL; i++)
		anyc__say(&t, " %s", name);
	anyc__say(&t, "\n");
	return t.length;
}

const char *anyc_current_library(void)
{
	return anyc__current_name();
}

int anyc_detect_push(const char *name)
{
	int rc = anyc__names_push(name);

	if (rc == -EOVERFLOW)
		return anyc__misuse(ANYC_EOVERFLOW, "anyc_detect_push: %d names nest at the most",
				    ANYC__NAMES);
	return rc;
}

int anyc_detect_pop(void)
{
	if (anyc__names_pop() != 0)
		return anyc__misuse(ANYC_EMISUSE, "anyc_detect_pop: nothing was pushed");
	return 0;
}
