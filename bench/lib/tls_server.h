/* SPDX-License-Identifier: MIT */
/* The context of the TLS servers written by hand. */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <openssl/ssl.h>

/* TLS 1.3, with the certificate that the environment names. */
SSL_CTX *tls_server_context(void);

#endif
