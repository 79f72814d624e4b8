/* SPDX-License-Identifier: MIT */
/* The context of the TLS servers written by hand. */
#include "tls_server.h"

#include <stdlib.h>

#include "server.h"

SSL_CTX *tls_server_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	const char *pem = getenv(SERVER_PEM);

	server_must(ctx != NULL && pem != NULL, "SSL_CTX_new");
	server_must(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1, "TLS 1.3");
	server_must(SSL_CTX_use_certificate_chain_file(ctx, pem) == 1 &&
			  SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) == 1,
		  "certificate");
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}
