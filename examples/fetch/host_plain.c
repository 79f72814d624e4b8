/* SPDX-License-Identifier: MIT */
/* A plain program that uses libfetch: no loop, calls just block.  Its timer is a signal. */
#include <signal.h>
#include <sys/time.h>

#include <anyc/anyc.h>

#include "host.h"

static void on_alarm(int number)
{
	(void)number;
	host_tick();
}

int main(int argc, char **argv)
{
	static const struct itimerval interval = {{0, 10000}, {0, 10000}}, off;
	struct sigaction action = {.sa_handler = on_alarm};
	int rc = host_setup(argc, argv);

	if (rc != 0)
		return rc;
	host_catch_signals();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
	rc = host_task(NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	return host_report(rc, "none");
}
