/* SPDX-License-Identifier: MIT */
/* Datagrams one by one and many in a call. */
#ifndef NET_UDP_H
#define NET_UDP_H

/* Prints a table, and writes net-udp.csv. */
void net_udp(void);

#endif
