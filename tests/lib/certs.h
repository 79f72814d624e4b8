/* SPDX-License-Identifier: MIT */
/*
 * Certificates for tests, made when they are needed, in a temporary directory: nothing in the
 * tree expires.  What fails here ends the process.
 */
#ifndef ANYC_TEST_CERTS_H
#define ANYC_TEST_CERTS_H

#include <stdbool.h>

/* CERTS_BY_MIDDLE: by one that the CA has signed, whose certificate is in the file, too. */
enum certs_issuer { CERTS_BY_CA, CERTS_BY_OTHER_CA, CERTS_BY_MIDDLE, CERTS_BY_ITSELF };

struct certs_spec {
	const char *common_name; /* or NULL */
	const char *names;       /* as OpenSSL writes them, "DNS:a.test,IP:127.0.0.1", or NULL */
	const char *usage;       /* extended, "clientAuth", or NULL: any */
	enum certs_issuer issuer;
	int from_days, to_days; /* from now; both 0: yesterday to tomorrow */
	bool passphrase;        /* its key is encrypted */
};

struct certs {
	char directory[64];
	char ca[96], other_ca[96]; /* files */
	char last[96];
	void *ca_private[3][2];    /* certificate and key, by the issuer's number */
	unsigned files;
};

void certs_make(struct certs *c);
/* A PEM file with the certificate and its key; the name is valid until the next call. */
const char *certs_add(struct certs *c, const struct certs_spec *spec);
/* What stands in a file, to be freed. */
char *certs_read(const char *path);
/* Removes the files and the directory. */
void certs_remove(struct certs *c);

#endif
