/* SPDX-License-Identifier: MIT */
/*
 * Known run functions further up the stack: tells the kind of a native loop that runs below this
 * call, in programs that never told anyc about it.
 *
 * Rules
 *  - The walk is glibc's backtrace(3), which loads the unwinder itself: libanyc links libc alone.
 *    Its first use allocates, and needs room: only on the thread's own stack.
 *  - Where the run functions lie is found once per change of the loaded objects, in each object's
 *    own symbol table: a copy that was renamed, linked into a program or loaded RTLD_LOCAL is
 *    found if it exports the function.  One that hides it is not, nor one without a size.
 *  - While no object has one, nothing is walked.
 */
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <string.h>

#include "detect/detect.h"

#define KNOWN_MAX 16
#define RANGE_MAX 16
#define DEPTH_MAX 256

/* Append-only; read without the lock up to the count.  libev exports an event_base_loop of its
 * own, but that calls its ev_run, which lies further in: the innermost counts. */
static struct anyc__running known[KNOWN_MAX] = {
	{"libuv", "uv_run"},
	{"libev", "ev_run"},
	{"libevent", "event_base_loop"},
};
static _Atomic(unsigned) known_count = 3;

struct range {
	uintptr_t start, end;
	struct anyc__running what;
};
/* What one scan of the loaded objects found. */
struct table {
	uint64_t version;
	uint64_t fork_generation; /* a child may find the table half written */
	unsigned known, count;
	struct range range[RANGE_MAX];
};
static struct anyc__lock lock;
static struct table table;

/* ------------------------------------------------------------- one object's symbol table */

struct symbols {
	const ElfW(Sym) *symbol;
	const char *string;
	const uint32_t *gnu_hash;
	const ElfW(Word) *hash;
};

/* glibc relocates these pointers in place, but not in an object whose table is read-only. */
static const void *pointer_of(const struct dl_phdr_info *object, ElfW(Addr) value)
{
	if (value < object->dlpi_addr)
		value += object->dlpi_addr;
	return (const void *)(uintptr_t)value;
}

static bool symbols_of(const struct dl_phdr_info *object, struct symbols *s)
{
	const ElfW(Dyn) *dyn = NULL;
	int i;

	for (i = 0; i < object->dlpi_phnum; i++) {
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(uintptr_t)(object->dlpi_addr +
							object->dlpi_phdr[i].p_vaddr);
	}
	memset(s, 0, sizeof *s);
	for (; dyn != NULL && dyn->d_tag != DT_NULL; dyn++) {
		const void *value = pointer_of(object, dyn->d_un.d_ptr);

		if (dyn->d_tag == DT_SYMTAB)
			s->symbol = value;
		else if (dyn->d_tag == DT_STRTAB)
			s->string = value;
		else if (dyn->d_tag == DT_GNU_HASH)
			s->gnu_hash = value;
		else if (dyn->d_tag == DT_HASH)
			s->hash = value;
	}
	return s->symbol != NULL && s->string != NULL;
}

static bool is_wanted(const struct symbols *s, uint32_t i, const char *name)
{
	return s->symbol[i].st_shndx != SHN_UNDEF && s->symbol[i].st_size != 0 &&
	       strcmp(s->string + s->symbol[i].st_name, name) == 0;
}

static const ElfW(Sym) *find_by_gnu_hash(const struct symbols *s, const char *name)
{
	const unsigned bits = sizeof(ElfW(Addr)) * 8;
	uint32_t buckets = s->gnu_hash[0], first = s->gnu_hash[1];
	uint32_t words = s->gnu_hash[2], shift = s->gnu_hash[3];
	const ElfW(Addr) *bloom = (const void *)(s->gnu_hash + 4);
	const uint32_t *bucket = (const void *)(bloom + words), *chain = bucket + buckets;
	const unsigned char *c = (const void *)name;
	ElfW(Addr) mask;
	uint32_t hash = 5381, i;

	while (*c != '\0')
		hash = hash * 33 + *c++;
	mask = (ElfW(Addr))1 << (hash % bits) | (ElfW(Addr))1 << ((hash >> shift) % bits);
	if (buckets == 0 || words == 0 || (bloom[hash / bits % words] & mask) != mask)
		return NULL;
	i = bucket[hash % buckets];
	if (i < first)
		return NULL;
	for (;; i++) {
		if ((chain[i - first] | 1) == (hash | 1) && is_wanted(s, i, name))
			return &s->symbol[i];
		if (chain[i - first] & 1)
			return NULL;
	}
}

/* Objects without the GNU table are few: all their symbols are looked at. */
static const ElfW(Sym) *find_by_count(const struct symbols *s, const char *name)
{
	uint32_t i, count = s->hash[1];

	for (i = 1; i < count; i++) {
		if (is_wanted(s, i, name))
			return &s->symbol[i];
	}
	return NULL;
}

static const ElfW(Sym) *find_symbol(const struct symbols *s, const char *name)
{
	if (s->gnu_hash != NULL)
		return find_by_gnu_hash(s, name);
	return s->hash != NULL ? find_by_count(s, name) : NULL;
}

/* ---------------------------------------------------------------------- all objects, cached */

static uint64_t version_of(const struct dl_phdr_info *object)
{
	/* Both only grow, so their sum tells each change. */
	return 1 + object->dlpi_adds + object->dlpi_subs;
}

static int first_version(struct dl_phdr_info *object, size_t size, void *arg)
{
	uint64_t *version = arg;

	(void)size;
	*version = version_of(object);
	return 1;
}

uint64_t anyc__objects_version(void)
{
	uint64_t version = 1;

	dl_iterate_phdr(first_version, &version);
	return version;
}

static int scan_object(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct table *t = arg;
	struct symbols s;
	unsigned i;

	(void)size;
	t->version = version_of(object);
	if (!symbols_of(object, &s))
		return 0;
	for (i = 0; i < t->known && t->count < RANGE_MAX; i++) {
		const ElfW(Sym) *symbol = find_symbol(&s, known[i].symbol);
		struct range *r = &t->range[t->count];

		if (symbol == NULL)
			continue;
		r->start = (uintptr_t)(object->dlpi_addr + symbol->st_value);
		r->end = r->start + symbol->st_size;
		r->what = known[i];
		t->count++;
	}
	return 0;
}

/* The table as the objects are now; the dynamic loader's lock is never taken under ours. */
static void current_table(struct table *t)
{
	uint64_t version = anyc__objects_version();
	uint64_t now = anyc__fork_generation();
	unsigned count = atomic_load_explicit(&known_count, memory_order_acquire);
	bool fresh;

	anyc__lock(&lock);
	fresh = table.version == version && table.known == count && table.fork_generation == now;
	t->count = 0;
	if (fresh && table.count != 0)
		*t = table;
	anyc__unlock(&lock);
	if (fresh)
		return;
	memset(t, 0, sizeof *t);
	t->known = count;
	t->fork_generation = now;
	dl_iterate_phdr(scan_object, t);
	anyc__lock(&lock);
	table = *t;
	anyc__unlock(&lock);
}

void anyc__unwind_know(const char *library, const char *symbol)
{
	unsigned i, count;

	if (symbol == NULL)
		return;
	anyc__lock(&lock);
	count = atomic_load_explicit(&known_count, memory_order_relaxed);
	for (i = 0; i < count && strcmp(known[i].symbol, symbol) != 0;)
		i++;
	if (i == count && count < KNOWN_MAX) {
		known[count].library = library;
		known[count].symbol = symbol;
		atomic_store_explicit(&known_count, count + 1, memory_order_release);
	}
	anyc__unlock(&lock);
}

/* ------------------------------------------------------------------------------- the walk */

static bool match(const struct table *t, void *const *frame, int depth, struct anyc__running *out)
{
	unsigned k;
	int i;

	for (i = 0; i < depth; i++) {
		/* The call, not what follows it: that may be another function already. */
		uintptr_t at = (uintptr_t)frame[i] - 1;

		for (k = 0; k < t->count; k++) {
			if (at < t->range[k].start || at >= t->range[k].end)
				continue;
			*out = t->range[k].what;
			return true;
		}
	}
	return false;
}

static __attribute__((noinline)) bool walk(const struct table *t, struct anyc__running *out)
{
	void *frame[DEPTH_MAX];
	int saved = errno;
	bool found = match(t, frame, backtrace(frame, DEPTH_MAX), out);

	errno = saved;
	return found;
}

bool anyc__unwind_running(struct anyc__running *out)
{
	struct table t;

	current_table(&t);
	if (t.count == 0)
		return false;
	return walk(&t, out);
}
