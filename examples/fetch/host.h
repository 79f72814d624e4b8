/* SPDX-License-Identifier: MIT */
/*
 * What the four host programs share: the list of files from the command line, the hash that each
 * file's sink computes, and the report.  Each host adds its own loop and a native timer of 10 ms.
 */
#ifndef HOST_H
#define HOST_H

/* Reads the command line; 0, or the exit status after having said what is wrong. */
int host_setup(int argc, char **argv);
/* A task: fetches all files at once through libfetch. */
int host_task(void *unused);
/* A tick of the host's own timer. */
void host_tick(void);
/* Prints the report; the exit status. */
int host_report(int rc, const char *library);
/* SIGINT and SIGTERM cancel what this thread runs. */
void host_catch_signals(void);

#endif
