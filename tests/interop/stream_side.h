/*
 * Inside stream_side: commands and what they share. A command does one thing, waits as long as it
 * says at most, and answers with one line.
 */
#ifndef RINGSOCK_TESTS_INTEROP_STREAM_SIDE_H
#define RINGSOCK_TESTS_INTEROP_STREAM_SIDE_H

#include <stdint.h>

#include "tests/interop/stream_net.h"

#define SIDE_SOCKETS 32u /* that have a number; many_* have their own */

struct side_socket {
    struct net_socket *socket;
    uint64_t sent_bytes, received_bytes; /* places in the two streams */
};

/* The line that answers; a command says it once. */
__attribute__((format(printf, 1, 2))) void side_say(const char *format, ...);
/* Says "error", what failed and the error's name. */
void side_say_failed(const char *what);

uint64_t side_now_ms(void);
/* Bytes are what the pattern has at that place; says "error" otherwise. */
bool side_check(const uint8_t *data, uint64_t place, uint32_t bytes);

struct side_many {
    uint32_t ip_be32;
    uint16_t port;
    uint32_t count, at_once;
    bool we_close_first, all_open_first;
    uint64_t deadline_ms;
};

/* stream_side_many.c: connections opened, used once and closed. */
void side_many_connect(const struct side_many *many);
void side_many_accept(struct net_socket *listener, const struct side_many *many);

#endif
