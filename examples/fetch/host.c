/* SPDX-License-Identifier: MIT */
/* The part of the hosts that knows no loop either. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <anyc/anyc.h>
#include <anyc/tls.h>

#include "fetch.h"
#include "host.h"

#define FILES_MAX 64

struct file {
	const char *host, *port;
	char path[128];
	EVP_MD_CTX *hash;
	unsigned long long bytes;
};

static struct file files[FILES_MAX];
static struct fetch_request requests[FILES_MAX];
static struct fetch_result results[FILES_MAX];
static size_t count;
static struct anyc_tls_context *trust;
static volatile sig_atomic_t ticks;
static const char *library = "none";

static void show_progress(void)
{
	unsigned long long bytes = 0;
	char line[80];
	int n;

	for (size_t i = 0; i < count; i++)
		bytes += files[i].bytes;
	n = snprintf(line, sizeof line, "\r  %-8s %6llu KiB, %4d ticks ", library, bytes >> 10,
		     (int)ticks);
	if (n > 0)
		ANYC_IGNORE(write(STDERR_FILENO, line, (size_t)n));
}

/* Ten times a second, on a terminal. */
static void progress(void)
{
	static int terminal = -1, shown = -1;

	if (terminal < 0)
		terminal = isatty(STDERR_FILENO);
	if (terminal && ticks / 10 != shown) {
		shown = ticks / 10;
		show_progress();
	}
}

/* Runs on the task's stack, on the loop's thread: the host sees each piece as it comes. */
static int sink(void *arg, const void *data, size_t size)
{
	struct file *f = arg;
	const char *broken = getenv("DEMO_BREAK");

	if (broken != NULL && strcmp(broken, "hash") == 0 && f->bytes == 0)
		EVP_DigestUpdate(f->hash, "x", 1);
	EVP_DigestUpdate(f->hash, data, size);
	f->bytes += size;
	progress();
	return 0;
}

static void add_file(char *url, const char *broken)
{
	struct file *f = &files[count];
	struct fetch_request *r = &requests[count++];

	f->host = strtok(url, ":");
	f->port = strtok(NULL, "/");
	snprintf(f->path, sizeof f->path, "/%s", strtok(NULL, ""));
	f->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL);
	*r = (struct fetch_request){.host = f->host, .port = f->port, .path = f->path, .tls = trust,
				    .timeout = 20 * ANYC_SECOND, .sink = sink, .arg = f};
	if (strstr(f->path, "stall") != NULL)
		r->timeout = strcmp(broken, "deadline") == 0 ? 10 * ANYC_SECOND : ANYC_SECOND;
	r->insecure = strcmp(broken, "verify") == 0;
}

int host_setup(int argc, char **argv)
{
	const char *broken = getenv("DEMO_BREAK");
	int rc;

	if (argc < 3 || argc - 2 > FILES_MAX) {
		fprintf(stderr, "usage: %s CA-FILE HOST:PORT/PATH ...\n", argv[0]);
		return 2;
	}
	rc = anyc_tls_client_context(&trust, argv[1]);
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", argv[0], anyc_error_detail(rc));
		return 1;
	}
	for (int i = 2; i < argc; i++)
		add_file(argv[i], broken != NULL ? broken : "");
	return 0;
}

int host_task(void *unused)
{
	const char *name = anyc_current_library();

	(void)unused;
	library = name != NULL ? name : "none";
	return fetch_all(requests, count, results);
}

/* May run in a signal handler. */
void host_tick(void)
{
	ticks++;
}

static void on_signal(int number)
{
	(void)number;
	anyc_cancel_from_signal();
}

void host_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void print_hash(EVP_MD_CTX *hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	EVP_DigestFinal_ex(hash, digest, &size);
	for (unsigned i = 0; i < size; i++)
		printf("%02x", digest[i]);
	EVP_MD_CTX_free(hash);
}

/* Lines for the demo's table: file PATH BYTES HASH CODE SENTENCE. */
int host_report(int rc, const char *native)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%*s\r", 60, "");
	printf("library %s %s\n", native, library);
	printf("ticks %d\n", (int)ticks);
	for (size_t i = 0; i < count; i++) {
		printf("file %s %llu ", files[i].path, files[i].bytes);
		print_hash(files[i].hash);
		printf(" %s %s\n", results[i].rc == 0 ? "ok" : anyc_err_name(results[i].rc),
		       results[i].error);
	}
	anyc_tls_context_unref(trust);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", native, anyc_error_detail(rc));
		return rc == ANYC_ECANCELED || rc == ANYC_ETASKCANCELED ? 130 : 1;
	}
	return 0;
}
