/* SPDX-License-Identifier: MIT */
/* pkg-config: anyc */
/* A C++17 program that runs a task on each backend by name: modules load from where libanyc lies. */
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include <anyc/anyc.h>

static int work(void *name)
{
	const char *library = anyc_current_library();

	if (library == nullptr || std::strcmp(library, static_cast<const char *>(name)) != 0)
		return 1;
	return anyc_sleep(ANYC_MILLISECOND);
}

int main()
{
	for (const char *name : {"anyc", "libuv", "libevent", "libev", "sim"}) {
		struct anyc_run_options options = {};

		options.backend = name;
		int rc = anyc_run(&options, work, const_cast<char *>(name));
		if (rc == ANYC_ENOTINSTALLED || rc == ANYC_ENOBACKEND)
			continue; /* a static program registers backends itself */
		if (rc != 0) {
			std::fprintf(stderr, "%s: %d %s\n", name, rc, anyc_error_detail(rc));
			return 1;
		}
	}
	return 0;
}
