/* SPDX-License-Identifier: MIT */
/* A batch of datagrams is sent to oneself and received, within one process. */
#include "net_udp.h"

#include <anyc/anyc.h>
#include <anyc/udp.h>

#include "bench.h"

#define BATCH 64 /* also what fits into a socket's buffer */
#define SIZE 64

static struct anyc_datagram *sender, *receiver;
static struct anyc_message messages[BATCH];
static char data[BATCH][SIZE];
static int64_t spent[2]; /* CPU time of sending, receiving */

static void must(int rc)
{
	if (rc < 0)
		bench_die("UDP: %s", anyc_error_detail(rc));
}

static void send_batch(bool many)
{
	size_t i = 0;
	int n = 0;

	while (i < BATCH) {
		n = many ? anyc_datagram_send_many(sender, messages + i, BATCH - i, 0)
			 : anyc_datagram_send(sender, data[i], SIZE);
		must(n);
		i += many ? (size_t)n : 1;
	}
}

static void receive_batch(bool many)
{
	size_t i = 0;
	int n;

	while (i < BATCH) {
		n = many ? anyc_datagram_receive_many(receiver, messages, BATCH, 0)
			 : anyc_datagram_receive(receiver, data[i], SIZE);
		must(n);
		i += many ? (size_t)n : 1;
	}
}

/* One batch there; CPU time of both is added up. */
static void exchange_batch(bool many)
{
	int64_t begun = bench_cpu(), sent, received;
	size_t i;

	for (i = 0; i < BATCH; i++)
		messages[i] = (struct anyc_message){.data = data[i], .size = SIZE};
	send_batch(many);
	sent = bench_cpu();
	receive_batch(many);
	received = bench_cpu();
	spent[0] += sent - begun;
	spent[1] += received - sent;
}

#define BOTH 2

struct part {
	bool many;
	unsigned which; /* of spent; BOTH: the sum */
	size_t batches;
};

static int exchange(void *arg)
{
	const struct part *part = arg;
	struct anyc_address address;
	char port[8];
	size_t i;

	must(anyc_udp_bind(&receiver, "127.0.0.1", "0", NULL));
	must(anyc_datagram_attribute(receiver, &anyc_attribute_local_address, &address,
				     sizeof address));
	snprintf(port, sizeof port, "%u", anyc_address_port(&address));
	must(anyc_udp_connect(&sender, "127.0.0.1", port, NULL));
	spent[0] = spent[1] = 0;
	for (i = 0; i < part->batches; i++)
		exchange_batch(part->many);
	anyc_datagram_free(sender);
	anyc_datagram_free(receiver);
	return 0;
}

static bool sample(void *arg, size_t n, double *ns)
{
	struct part *part = arg;
	long away = bench_preemptions();

	part->batches = (n + BATCH - 1) / BATCH;
	must(anyc_run(NULL, exchange, part));
	*ns = (double)(part->which == BOTH ? spent[0] + spent[1] : spent[part->which]) /
	      (double)(part->batches * BATCH);
	return bench_preemptions() == away;
}

void net_udp(void)
{
	static struct part parts[] = {{false, BOTH, 0}, {true, BOTH, 0}, {false, 0, 0},
				      {true, 0, 0},	{false, 1, 0},	 {true, 1, 0}};
	static const struct bench_case cases[] = {
		{.name = "UDP, 64 bytes: one by one", .sample = sample, .arg = &parts[0]},
		{.name = "64 in a call", .sample = sample, .arg = &parts[1], .goal = 0.5},
		{.name = "of that: send, one by one", .sample = sample, .arg = &parts[2],
		 .base = 2},
		{.name = "send, 64 in a call", .sample = sample, .arg = &parts[3], .base = 2,
		 .goal = 0.5},
		{.name = "receive, one by one", .sample = sample, .arg = &parts[4], .base = 4},
		{.name = "receive, 64 in a call", .sample = sample, .arg = &parts[5], .base = 4,
		 .goal = 0.5},
	};

	bench_compare("net-udp", cases, sizeof cases / sizeof *cases);
}
