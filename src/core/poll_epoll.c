/* SPDX-License-Identifier: MIT */
/*
 * What an engine asks of the kernel: an epoll set with a timerfd and an eventfd in it, or, as long
 * as a plain thread waits for one descriptor at a time, ppoll(2).  Decides nothing.
 *
 * Rules
 *  - In the epoll set timerfd and eventfd are edge-triggered and never read.  For ppoll the
 *    eventfd is level-triggered, so there it is read.
 *  - armed is the time the timerfd is set to, or ANYC_FOREVER once its event was seen.  It is set
 *    again only for an earlier time: 1 ns for the past, since 0 would disarm it.
 *  - The whole batch is applied before anything runs (anyc__fd_event, anyc__wake_event only mark).
 *  - Closing leaves the set of a parent process alone: it only gives back descriptors.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

#define BATCH 256

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR &&
		       POLLHUP == EPOLLHUP && POLLRDHUP == EPOLLRDHUP && POLLPRI == EPOLLPRI,
	       "poll's bits are epoll's");

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int anyc__poller_init(struct anyc__engine *e, bool open_epoll)
{
	int rc;

	e->poller.epoll = -1;
	e->poller.timer = -1;
	e->timers.armed = ANYC_FOREVER;
	e->poller.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->poller.event < 0)
		return -errno;
	rc = open_epoll ? anyc__poller_open(e) : 0;
	if (rc != 0)
		close_one(&e->poller.event);
	return rc;
}

int anyc__poller_open(struct anyc__engine *e)
{
	int rc;

	if (e->poller.epoll >= 0)
		return 0;
	e->poller.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (e->poller.epoll < 0)
		return -errno;
	e->poller.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	e->timers.armed = ANYC_FOREVER;
	rc = e->poller.timer < 0 ? -errno : 0;
	if (rc == 0)
		rc = anyc__poller_add(e, e->poller.timer, EPOLLIN | EPOLLET, ANYC__DATA_TIMER);
	if (rc == 0)
		rc = anyc__poller_add(e, e->poller.event, EPOLLIN | EPOLLET, ANYC__DATA_EVENT);
	if (rc != 0) {
		close_one(&e->poller.timer);
		close_one(&e->poller.epoll);
	}
	return rc;
}

void anyc__poller_fini(struct anyc__engine *e, bool forked)
{
	(void)forked; /* it is the same: no epoll_ctl is made in either case */
	close_one(&e->poller.epoll);
	close_one(&e->poller.timer);
	close_one(&e->poller.event);
}

static int control(struct anyc__engine *e, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data = { .u64 = data } };

	return epoll_ctl(e->poller.epoll, op, fd, &event) == 0 ? 0 : -errno;
}

int anyc__poller_add(struct anyc__engine *e, int fd, uint32_t events, uint64_t data)
{
	return control(e, EPOLL_CTL_ADD, fd, events, data);
}

int anyc__poller_modify(struct anyc__engine *e, int fd, uint32_t events, uint64_t data)
{
	return control(e, EPOLL_CTL_MOD, fd, events, data);
}

void anyc__poller_remove(struct anyc__engine *e, int fd)
{
	int saved = errno;

	/* A number whose file was closed before has left the set already. */
	if (e->poller.epoll >= 0)
		ANYC_IGNORE(control(e, EPOLL_CTL_DEL, fd, 0, 0));
	errno = saved;
}

void anyc__poller_arm(struct anyc__engine *e)
{
	int64_t next = anyc__timers_next(&e->timers);
	struct itimerspec spec = { .it_value = { 0, 1 } };

	/* A loop with a clock of its own waits by that clock, not by the kernel's. */
	if (next >= e->timers.armed || e->poller.timer < 0 || e->host->now != NULL)
		return;
	if (next > 0) {
		spec.it_value.tv_sec = (time_t)(next / ANYC_SECOND);
		spec.it_value.tv_nsec = (long)(next % ANYC_SECOND);
	}
	if (timerfd_settime(e->poller.timer, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		e->timers.armed = next;
}

static void wait_epoll(struct anyc__engine *e, bool block)
{
	ANYC__UNINITIALIZED struct epoll_event event[BATCH];
	int i, n;

	if (block)
		anyc__poller_arm(e);
	n = epoll_wait(e->poller.epoll, event, BATCH, block ? -1 : 0);
	for (i = 0; i < n; i++) {
		uint64_t data = event[i].data.u64;

		if (data == ANYC__DATA_TIMER)
			e->timers.armed = ANYC_FOREVER;
		else if (data == ANYC__DATA_EVENT)
			anyc__wake_event(e);
		else
			anyc__fd_event(e, data, event[i].events);
	}
}

/* How long ppoll may wait; NULL: for ever. */
static const struct timespec *patience(const struct anyc__engine *e, bool block,
				       struct timespec *ts)
{
	int64_t next = block ? anyc__timers_next(&e->timers) : 0;
	int64_t left = 0;

	if (next == ANYC_FOREVER)
		return NULL;
	if (block)
		left = next - anyc__now(e);
	if (left < 0)
		left = 0;
	ts->tv_sec = (time_t)(left / ANYC_SECOND);
	ts->tv_nsec = (long)(left % ANYC_SECOND);
	return ts;
}

/*
 * No POLLPRI: ppoll is level-triggered, so it is not needed to find data behind an urgent byte,
 * and a pending urgent byte would make it return for ever.
 */
static short single_events(uint8_t directions)
{
	short events = 0;

	if ((directions & ANYC__READ) != 0)
		events |= POLLIN | POLLRDHUP;
	if ((directions & ANYC__WRITE) != 0)
		events |= POLLOUT;
	return events;
}

static void wait_single(struct anyc__engine *e, bool block)
{
	struct pollfd p[2] = { { .fd = e->poller.event, .events = POLLIN }, { .fd = -1 } };
	struct timespec ts;
	uint64_t posted;

	if (e->fds.single != NULL) {
		p[1].fd = e->fds.single->fd;
		p[1].events = single_events(e->fds.single_directions);
	}
	if (ppoll(p, 2, patience(e, block, &ts), NULL) <= 0)
		return;
	if (p[1].revents != 0)
		anyc__fd_single_event(e, (uint32_t)p[1].revents);
	if (p[0].revents != 0 && read(e->poller.event, &posted, sizeof posted) > 0)
		anyc__wake_event(e);
}

void anyc__poller_wait(struct anyc__engine *e, bool block)
{
	if (e->poller.epoll >= 0)
		wait_epoll(e, block);
	else
		wait_single(e, block);
}
