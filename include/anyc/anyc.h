/* SPDX-License-Identifier: MIT */
/* Everything in libanyc.  The loops' own headers (uv.h, event.h, ev.h), tls.h and backend.h are
 * included by those who need them. */
#ifndef ANYC_ANYC_H
#define ANYC_ANYC_H

#include <anyc/base.h>
#include <anyc/error.h>
#include <anyc/time.h>
#include <anyc/memory.h>
#include <anyc/scope.h>
#include <anyc/task.h>
#include <anyc/local.h>
#include <anyc/loop.h>
#include <anyc/inspect.h>
#include <anyc/sync.h>
#include <anyc/queue.h>
#include <anyc/xsync.h>
#include <anyc/stream.h>
#include <anyc/net.h>
#include <anyc/streams.h>
#include <anyc/connect.h>
#include <anyc/udp.h>
#include <anyc/unix.h>
#include <anyc/object.h>
#include <anyc/signal.h>

#endif
