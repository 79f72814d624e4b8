/* SPDX-License-Identifier: MIT */
/*
 * Two copies of anyc in one process, such as a static one in a plugin beside the shared one, know
 * nothing of each other's loops and tasks.  Each carries an ELF note; the copy that was loaded
 * first works, every other one refuses.
 *
 * The note's owner and type are for ever: they are what tells copies of different versions.
 */
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <anyc/error.h>

#include "detect/detect.h"

#define NOTE_OWNER "anyc"
#define NOTE_TYPE 1

/* In assembly, because compilers disagree on the section's type. */
__asm__(".pushsection .note.anyc, \"a\", %note\n"
	".balign 4\n"
	".long 5, 4, 1\n" /* sizes of owner and content, type */
	".asciz \"anyc\"\n"
	".balign 4\n"
	".long 1\n" /* content: reserved */
	".popsection\n");

/* Lies in the object that this copy is part of. */
static const char anchor;

static _Atomic(uint64_t) good_version; /* of the loaded objects: checked, and we were first */

/* The file of the program itself, which the dynamic loader gives no name. */
static void name_of(const char *loader_name, char *buf, size_t size)
{
	ssize_t n;

	if (loader_name != NULL && loader_name[0] != '\0') {
		snprintf(buf, size, "%s", loader_name);
		return;
	}
	n = readlink("/proc/self/exe", buf, size - 1);
	if (n > 0)
		buf[n] = '\0';
	else
		snprintf(buf, size, "the program");
}

static bool notes_have_ours(const char *at, size_t size, size_t align)
{
	while (size >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		size_t content, next;

		memcpy(&note, at, sizeof note);
		content = (sizeof note + note.n_namesz + align - 1) & ~(align - 1);
		next = (content + note.n_descsz + align - 1) & ~(align - 1);
		if (next > size)
			return false;
		if (note.n_type == NOTE_TYPE && note.n_namesz == sizeof NOTE_OWNER &&
		    memcmp(at + sizeof note, NOTE_OWNER, sizeof NOTE_OWNER) == 0)
			return true;
		at += next;
		size -= next;
	}
	return false;
}

static bool has_note(const struct dl_phdr_info *object)
{
	int i;

	for (i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_NOTE &&
		    notes_have_ours((const char *)(uintptr_t)(object->dlpi_addr + p->p_vaddr),
				    p->p_memsz, p->p_align == 8 ? 8 : 4))
			return true;
	}
	return false;
}

static bool is_ours(const struct dl_phdr_info *object)
{
	uintptr_t at = (uintptr_t)&anchor - (uintptr_t)object->dlpi_addr;
	int i;

	for (i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && at - p->p_vaddr < p->p_memsz)
			return true;
	}
	return false;
}

struct search {
	bool other;      /* another copy comes before ours */
	char first[256]; /* its file */
	char ours[256];
};

/* Ends at our own copy: what comes later is not our affair. */
static int look(struct dl_phdr_info *object, size_t size, void *arg)
{
	struct search *s = arg;

	(void)size;
	if (is_ours(object)) {
		name_of(object->dlpi_name, s->ours, sizeof s->ours);
		return 1;
	}
	if (!s->other && has_note(object)) {
		s->other = true;
		name_of(object->dlpi_name, s->first, sizeof s->first);
	}
	return 0;
}

int anyc__copies_check(char *why, size_t size)
{
	uint64_t version = anyc__objects_version();
	struct search s = {.other = false};

	if (atomic_load_explicit(&good_version, memory_order_relaxed) == version)
		return 0;
	dl_iterate_phdr(look, &s);
	if (!s.other) {
		atomic_store_explicit(&good_version, version, memory_order_relaxed);
		return 0;
	}
	snprintf(why, size,
		 "two copies of anyc are in this process: %s came first, so the one in %s does not "
		 "work; link both to the shared libanyc", s.first, s.ours);
	return ANYC_ECONFLICT;
}
