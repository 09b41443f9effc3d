/*
 * What the stack calls, for tcp_world.c; the functions are in tcp_world_sockets.c.
 */
#ifndef RINGSOCK_TESTS_INTEROP_TCP_WORLD_INTERNAL_H
#define RINGSOCK_TESTS_INTEROP_TCP_WORLD_INTERNAL_H

#include "tcp_world.h"

void world_tcp_event(void *context, struct tcp_conn *conn, uint32_t events);
bool world_tcp_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner);

#endif
