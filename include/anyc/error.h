/* SPDX-License-Identifier: MIT */
/*
 * Errors.  Functions return 0 (or a count) or a negative code.  A failed system call is -errno;
 * anyc's own codes are at or below -10000, so the two never meet.  errno itself means nothing here.
 */
#ifndef ANYC_ERROR_H
#define ANYC_ERROR_H

#include <stdarg.h>

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* X(name, number, sentence): the one table from which names, strings and manual are checked. */
#define ANYC_ERROR_MAP(X) \
	X(ECANCELED, 10000, "a cancel scope of this task was cancelled") \
	X(ETIMEDOUT, 10001, "the scope's deadline passed") \
	X(ECLOSED, 10002, "this side has closed it") \
	X(EBROKEN, 10003, "the peer or the kernel broke the connection") \
	X(EBUSY, 10004, "another task is using it") \
	X(EEOF, 10005, "the other side has finished") \
	X(EWOULDBLOCK, 10006, "it would have to wait") \
	X(EMISUSE, 10007, "called in a state that does not allow it") \
	X(EINVAL, 10008, "an argument is not valid") \
	X(ENOTASK, 10009, "this call waits, so it must be made inside a task") \
	X(EBLOCKED, 10010, "an event loop is running further up this thread's stack") \
	X(EGONE, 10011, "its event loop has gone") \
	X(EFORKED, 10012, "it belongs to the parent process") \
	X(ETHREAD, 10013, "it belongs to another thread or event loop") \
	X(EDEADLK, 10014, "nothing is left that could end this wait") \
	X(ENOBACKEND, 10015, "no backend has this name") \
	X(ENOTINSTALLED, 10016, "the backend's module is not installed") \
	X(EABI, 10017, "a module or program was built for another version") \
	X(ETASKCANCELED, 10018, "the other task was cancelled") \
	X(ENOTFINISHED, 10019, "the other task has not finished") \
	X(EFINISHED, 10020, "it has its result already") \
	X(ENOTSTARTED, 10021, "the task ended before it called anyc_started") \
	X(EOVERFLOW, 10022, "the count would pass its maximum") \
	X(ENOATTR, 10023, "it has no such attribute") \
	X(ENOTSUP, 10024, "it cannot do this") \
	X(EINCOMPLETE, 10025, "the stream ended inside the requested data") \
	X(ENODELIM, 10026, "no delimiter within the limit") \
	X(ETLS, 10027, "the TLS protocol failed") \
	X(EVERIFY, 10028, "the peer's certificate is not to be trusted") \
	X(ECONFLICT, 10029, "two copies of one library are in this process") \
	X(EAI_NONAME, 10101, "the name is not known") \
	X(EAI_AGAIN, 10102, "the name server failed for now") \
	X(EAI_FAIL, 10103, "the name server failed for good") \
	X(EAI_SERVICE, 10104, "the service is not known") \
	X(EAI_FAMILY, 10105, "the name has no address of this family")

enum anyc_error {
#define ANYC_ERROR_ENUM_(name, number, sentence) ANYC_##name = -(number),
	ANYC_ERROR_MAP(ANYC_ERROR_ENUM_)
#undef ANYC_ERROR_ENUM_
	ANYC_OK = 0
};

/* What a code means: a sentence that never changes.  Never NULL. */
ANYC_API const char *anyc_strerror(int rc);
/* The code's name, such as "ANYC_EBROKEN" or "ECONNREFUSED"; "unknown" for any other number. */
ANYC_API const char *anyc_err_name(int rc);

/*
 * What happened, in one sentence: "connect 127.0.0.1:81: connection refused (2 addresses tried)".
 * The sentence that the current task (outside tasks: this thread) stored last, if it was stored
 * for rc; otherwise anyc_strerror(rc).  Valid until the task's next failing call.
 * Of ANYC_ECANCELED it is why, while the task is cancelled: "cancelled by task 'ui': closed".
 * close, free, leave, cancel and release never change it, nor errno.
 */
ANYC_API const char *anyc_error_detail(int rc);
/* The errno behind rc: of a system error itself, of ANYC_EBROKEN the kernel's; 0 if there is none.
 */
ANYC_API int anyc_error_errno(int rc);

/*
 * Stores a sentence for rc in the current task, for authors of streams and libraries, and
 * returns rc.  os_errno may be 0.  The text is cut at 200 bytes.
 */
ANYC_API int anyc_fail(int rc, int os_errno, const char *format, ...) ANYC_PRINTF(3, 4);

/*
 * Called with one line (no newline) when there is nobody to return an error to, and for every
 * misuse: what was wrong and what to do.  rc is the code, or 0.  The hook must not wait and must
 * not call back into anyc.  The default writes the line to stderr.
 */
typedef void anyc_report_fn(void *arg, int rc, const char *line);
/* Sets the process's report hook (NULL: the default).  Any thread. */
ANYC_API void anyc_set_report_hook(anyc_report_fn *hook, void *arg);
/* Sends a line to the report hook. */
ANYC_API void anyc_report(int rc, const char *format, ...) ANYC_PRINTF(2, 3);

ANYC_END_DECLS
#endif
