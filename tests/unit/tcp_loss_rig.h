/*
 * A bare connection for the tests of TCP's sending side: the stand-ins for the files that send and
 * set timers (output does what tcp_output.c does), and the peer's ACKs. Sequence numbers are given
 * in segments from the first byte of data. One thread; used by test_tcp_loss.c, test_tcp_recovery.c
 * and test_tcp_scoreboard.c.
 */
#ifndef RINGSOCK_TESTS_UNIT_TCP_LOSS_RIG_H
#define RINGSOCK_TESTS_UNIT_TCP_LOSS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/tcp_loss.h"

#define MSS      1000u
#define CONNS    3u
#define RECORDS  400u
#define RTT_MS   100u
#define RING     (1u << 20)
#define SENT_LOG 512u

struct rig {
    uint32_t unsent; /* bytes */
    uint32_t ready;
    uint32_t sent_new, sent_again; /* segments since the last look */
    uint32_t again[SENT_LOG];      /* which, in segments */
    uint32_t tsecr;
    uint16_t window;
    uint8_t flags;
    uint32_t peer_seq;
};

extern struct stack stack;
extern struct tcp_conn conns[CONNS];
extern struct tcp_conn *const conn; /* the first */
extern struct tcp_sent pool[CONNS + RECORDS];
extern rs_atomic_u32 head_word;
extern struct rig rig;

uint32_t base(void);
void send_new(struct tcp_conn *c, uint32_t bytes);
void output(void);
void start(uint32_t features);
int setup_sack(void **state);
int setup_plain(void **state);
void pass_ms(uint32_t ms);
void write_segments(uint32_t count);
uint32_t seg(uint32_t segments);
void ack_bytes(uint32_t ack_seq, const uint32_t *pairs);
void warm(uint32_t segments);

#define ACK(segments, ...)  ack_bytes(seg(segments), (const uint32_t[]){__VA_ARGS__, 0, 0})
#define ACK_PLAIN(segments) ack_bytes(seg(segments), NULL)

#define SACK(name)  cmocka_unit_test_setup(name, setup_sack)
#define PLAIN(name) cmocka_unit_test_setup(name, setup_plain)

#endif
