/*
 * One order session: whole messages over a TCP connection that gives and takes bytes. Used by the
 * feed handler and by the exchange. One thread.
 */
#ifndef RINGSOCK_BENCH_TRADING_SESSION_H
#define RINGSOCK_BENCH_TRADING_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trading/trade_net.h"
#include "bench/trading/trade_wire.h"

enum { SESSION_IN_BYTES = 16 * sizeof(struct trade_order) };

struct session {
    struct trade_socket *socket;
    uint32_t in_at_bytes, in_bytes; /* not yet taken: in[in_at_bytes, in_bytes) */
    uint32_t out_bytes;             /* of the last message, not yet written */
    bool shut;                      /* our side has ended */
    bool end;                       /* the peer's side has ended, between two messages */
    uint8_t in[SESSION_IN_BYTES];
    uint8_t out[sizeof(struct trade_order)];
};

void session_init(struct session *session, struct trade_socket *socket);
/* 0: the message is on its way, the last bytes maybe with session_flush. TRADE_NET_NOTHING: there
 * is no room, nothing of it was taken. TRADE_NET_FAILED. */
int session_put(struct session *session, const struct trade_order *message);
/* Writes what session_put left. False: failed. */
bool session_flush(struct session *session);
/* 0 and the next message; TRADE_NET_NOTHING: none yet, or the peer has ended its side (`end`);
 * TRADE_NET_FAILED, also when the stream ends inside a message. */
int session_take(struct session *session, struct trade_order *message);
/* Ends our side once the last message is written; to be called again until `shut`. False: failed.
 */
bool session_finish(struct session *session);
/* Why a session failed, for people. */
const char *session_error(void);

#endif
