/* SPDX-License-Identifier: MIT */
/*
 * From a backend's name to its table: registered by the program, or loaded from a module.
 *
 * Rules
 *  - A module is looked for where libanyc itself lies, else in the configured directory, always by
 *    absolute path; ANYC_MODULE_DIR takes the place of both.  One that the program already has
 *    is taken as it is.
 *  - A static libanyc contains no dlopen: its programs register.
 *  - The dynamic loader is never called under our lock: constructors may call anyc.
 *  - Names are compared whole, and what was found once stays.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <anyc/backend.h>
#include <anyc/error.h>

#include "detect/detect.h"

#ifndef ANYC_LIBDIR
#define ANYC_LIBDIR "/usr/lib"
#endif
#ifndef ANYC_MODULE_SOVERSION
#define ANYC_MODULE_SOVERSION 0
#endif
#define STRING_(x) #x
#define STRING(x) STRING_(x)

#define BUILTIN 5
#define REGISTERED_MAX 16

static struct slot {
	const char *name;
	const char *module; /* NULL: it has none */
	const struct anyc_backend *backend;
} slots[BUILTIN + REGISTERED_MAX] = {
	{"anyc", NULL, NULL}, /* the engine alone */
	{"libuv", "libanyc-uv", NULL},
	{"libevent", "libanyc-event", NULL},
	{"libev", "libanyc-ev", NULL},
	{"sim", "libanyc-test", NULL},
};
/* Grows when the slot is filled: a forked child may find the lock's holder gone. */
static _Atomic(size_t) slot_count = BUILTIN;
static struct anyc__lock lock;

/* Under the lock. */
static struct slot *find_slot(const char *name)
{
	size_t i;

	for (i = 0; i < slot_count; i++) {
		if (strcmp(slots[i].name, name) == 0)
			return &slots[i];
	}
	return NULL;
}

const char *anyc__module_known(size_t i)
{
	const char *name;

	anyc__lock(&lock);
	name = i < slot_count ? slots[i].name : NULL;
	anyc__unlock(&lock);
	return name;
}

/* -------------------------------------------------------------------------- what is valid */

static const char *missing_member(const struct anyc_backend *b)
{
	if (b->attach == NULL)
		return "attach";
	if (b->detach == NULL)
		return "detach";
	if (b->soon == NULL)
		return "soon";
	if (b->keepalive == NULL)
		return "keepalive";
	if (b->create == NULL && b->destroy == NULL && b->run == NULL && b->stop == NULL)
		return NULL;
	if (b->create == NULL || b->destroy == NULL || b->run == NULL || b->stop == NULL)
		return "create, destroy, run and stop (all of them, or none)";
	return NULL;
}

/* whose: "libuv's module /x.so.0", "the backend 'libuv'". */
static int check_backend(const struct anyc_backend *b, const char *whose, char *why, size_t size)
{
	const char *missing;

	if (b->abi != ANYC_BACKEND_ABI) {
		snprintf(why, size, "%s has backend ABI %u, and this libanyc %u; install both from "
			 "one version", whose, (unsigned)b->abi, (unsigned)ANYC_BACKEND_ABI);
		return ANYC_EABI;
	}
	if (b->size < sizeof *b) {
		snprintf(why, size, "%s has a table of %u bytes, and this libanyc needs %u; "
			 "install both from one version", whose, (unsigned)b->size,
			 (unsigned)sizeof *b);
		return ANYC_EABI;
	}
	missing = missing_member(b);
	if (missing != NULL) {
		snprintf(why, size, "%s lacks the member %s", whose, missing);
		return ANYC_EABI;
	}
	return 0;
}

/* ------------------------------------------------------------------------------- modules */

#ifdef PIC
/* Two directories at most; empty: none. */
struct places {
	char dir[2][PATH_MAX];
};

/* Where libanyc lies.  Only if it was loaded by an absolute path: a relative one says nothing
 * once the program has changed its directory. */
static void own_directory(char dir[PATH_MAX])
{
	Dl_info info;
	char *slash;

	dir[0] = '\0';
	if (dladdr(&lock, &info) == 0 || info.dli_fname == NULL || info.dli_fname[0] != '/')
		return;
	if (realpath(info.dli_fname, dir) == NULL) {
		dir[0] = '\0';
		return;
	}
	slash = strrchr(dir, '/');
	slash[slash == dir ? 1 : 0] = '\0';
}

/* Whether the environment names the one directory to look in. */
static bool find_places(struct places *p)
{
	const char *only = secure_getenv("ANYC_MODULE_DIR");

	if (only != NULL && only[0] == '/') {
		snprintf(p->dir[0], sizeof p->dir[0], "%s", only);
		p->dir[1][0] = '\0';
		return true;
	}
	own_directory(p->dir[0]);
	snprintf(p->dir[1], sizeof p->dir[1], "%s", ANYC_LIBDIR);
	if (strcmp(p->dir[0], p->dir[1]) == 0)
		p->dir[1][0] = '\0';
	return false;
}

/* The table a loaded module offers; path is for the sentence. */
static int open_table(const struct slot *slot, void *handle, const char *path,
		      const struct anyc_backend **backend, char *why, size_t size)
{
	const struct anyc_backend *(*module)(void);
	char whose[PATH_MAX + 64];
	void *symbol = dlsym(handle, "anyc_module_backend");
	int rc;

	snprintf(whose, sizeof whose, "%s's module %s", slot->name, path);
	if (symbol == NULL) {
		snprintf(why, size, "%s is not one: it has no anyc_module_backend", whose);
		return ANYC_EABI;
	}
	memcpy(&module, &symbol, sizeof module);
	*backend = module();
	if (*backend == NULL) {
		snprintf(why, size, "%s gives no backend", whose);
		return ANYC_EABI;
	}
	rc = check_backend(*backend, whose, why, size);
	if (rc == 0 && ((*backend)->name == NULL || strcmp((*backend)->name, slot->name) != 0)) {
		snprintf(why, size, "%s holds another backend", whose);
		rc = ANYC_EABI;
	}
	return rc;
}

/* Errors of what is there win over where nothing is. */
static int load_from(const struct slot *slot, const char *dir, const struct anyc_backend **backend,
		     char *why, size_t size)
{
	char path[PATH_MAX + 64];
	void *handle;
	int rc;

	snprintf(path, sizeof path, "%s/%s.so." STRING(ANYC_MODULE_SOVERSION), dir, slot->module);
	if (access(path, F_OK) != 0)
		return ANYC_ENOTINSTALLED;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		snprintf(why, size, "%s's module cannot be loaded: %s", slot->name, dlerror());
		return ANYC_ENOTINSTALLED;
	}
	rc = open_table(slot, handle, path, backend, why, size);
	if (rc != 0)
		dlclose(handle);
	return rc;
}

/* The program was linked to the module, or loaded it by itself. */
static bool take_loaded(const struct slot *slot, const struct anyc_backend **backend, char *why,
			size_t size, int *rc)
{
	char name[64];
	void *handle;

	snprintf(name, sizeof name, "%s.so." STRING(ANYC_MODULE_SOVERSION), slot->module);
	handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
	if (handle == NULL)
		return false;
	*rc = open_table(slot, handle, name, backend, why, size);
	if (*rc != 0)
		dlclose(handle);
	return true;
}

static int load(const struct slot *slot, const struct anyc_backend **backend, char *why,
		size_t size)
{
	struct places p;
	bool only = find_places(&p);
	int rc = ANYC_ENOTINSTALLED;
	int i;

	if (!only && take_loaded(slot, backend, why, size, &rc))
		return rc;
	snprintf(why, size, "%s's module %s.so." STRING(ANYC_MODULE_SOVERSION)
		 " is not installed: it is not in %s%s%s; install %s", slot->name, slot->module,
		 p.dir[0], p.dir[0][0] != '\0' && p.dir[1][0] != '\0' ? " or " : "", p.dir[1],
		 slot->module);
	for (i = 0; i < 2 && rc == ANYC_ENOTINSTALLED; i++) {
		if (p.dir[i][0] != '\0')
			rc = load_from(slot, p.dir[i], backend, why, size);
	}
	return rc;
}
#else
static int load(const struct slot *slot, const struct anyc_backend **backend, char *why,
		size_t size)
{
	(void)backend;
	snprintf(why, size, "this program has anyc linked in, which loads no modules: link %s and "
		 "call anyc_backend_register() for %s", slot->module, slot->name);
	return ANYC_ENOTINSTALLED;
}
#endif

/* ---------------------------------------------------------------------- get and register */

static int unknown_name(const char *name, char *why, size_t size)
{
	size_t i, used;
	const char *known;
	int n = snprintf(why, size, "no backend is called '%.64s'; known are:", name);

	for (i = 0; (known = anyc__module_known(i)) != NULL; i++) {
		used = n > 0 ? (size_t)n : 0;
		if (used >= size)
			break;
		n += snprintf(why + used, size - used, "%s %s", i == 0 ? "" : ",", known);
	}
	return ANYC_ENOBACKEND;
}

int anyc__module_get(const char *name, const struct anyc_backend **backend, char *why, size_t size)
{
	const struct anyc_backend *found = NULL;
	struct slot *slot;
	int rc;

	*backend = NULL;
	if (name == NULL)
		name = "";
	anyc__lock(&lock);
	slot = find_slot(name);
	if (slot != NULL)
		*backend = slot->backend;
	anyc__unlock(&lock);
	if (slot == NULL)
		return unknown_name(name, why, size);
	if (*backend != NULL || slot->module == NULL)
		return 0;
	rc = load(slot, &found, why, size);
	if (rc != 0)
		return rc;
	anyc__lock(&lock);
	if (slot->backend == NULL)
		slot->backend = found;
	*backend = slot->backend;
	anyc__unlock(&lock);
	return 0;
}

/* Under the lock. */
static int put(const struct anyc_backend *backend, char *why, size_t size)
{
	struct slot *slot = find_slot(backend->name);

	if (slot != NULL && slot->backend == backend)
		return 0;
	if (slot == slots || (slot != NULL && slot->backend != NULL)) {
		snprintf(why, size, "another backend is called '%.64s'", backend->name);
		return ANYC_EINVAL;
	}
	if (slot == NULL) {
		if (slot_count == BUILTIN + REGISTERED_MAX) {
			snprintf(why, size, "no room for the backend '%.64s': %d are registered",
				 backend->name, REGISTERED_MAX);
			return ANYC_EOVERFLOW;
		}
		slots[slot_count].name = backend->name;
		slots[slot_count].backend = backend;
		slot_count++;
		return 0;
	}
	slot->backend = backend;
	return 0;
}

int anyc__module_register(const struct anyc_backend *backend, char *why, size_t size)
{
	char whose[96];
	int rc;

	if (backend == NULL || backend->name == NULL || backend->name[0] == '\0') {
		snprintf(why, size, "a backend needs a name");
		return ANYC_EINVAL;
	}
	snprintf(whose, sizeof whose, "the backend '%.64s'", backend->name);
	rc = check_backend(backend, whose, why, size);
	if (rc != 0)
		return rc;
	anyc__lock(&lock);
	rc = put(backend, why, size);
	anyc__unlock(&lock);
	if (rc == 0)
		anyc__unwind_know(backend->name, backend->run_symbol);
	return rc;
}
