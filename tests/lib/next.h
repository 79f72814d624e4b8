/* SPDX-License-Identifier: MIT */
/* For tests that stand in front of a function of the C library: the one behind it. */
#ifndef ANYC_TEST_LIB_NEXT_H
#define ANYC_TEST_LIB_NEXT_H

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* function: where its address goes, of any type. */
__attribute__((unused)) static void next_function(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (symbol == NULL)
		abort();
	memcpy(function, &symbol, sizeof symbol);
}

#endif
