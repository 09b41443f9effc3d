/*
 * The language of the TCP packet scripts, on top of script.h's. A script reads like a trace:
 *
 *   static void data_is_acknowledged(void **state)
 *   {
 *       (void)state;
 *       conn c = established();
 *       write_bytes(c, 100);
 *       expect_tcp("PA 1:101 ack 1");
 *       inject_tcp("A 1:1001 ack 101");
 *       expect_readable(c, 1000);
 *       expect_tcp_after(40, "A 101 ack 1001 <ts +40:*>");
 *       read_bytes(c, 1000);
 *       close_conn(c);
 *       expect_tcp("FA 101 ack 1001");
 *       inject_tcp("FA 1001 ack 102");
 *       expect_tcp("A 102 ack 1002");
 *       expect_gone(c);
 *   }
 *
 * A segment is FLAGS SEQ[:END] and then any of: ack N, win N, rawwin N, urg N, ect0 | ect1 | ce,
 * ttl N, tos N, nodf, <options>.
 *
 * FLAGS     letters of SFRPAUEC, "-" for none.
 * SEQ:END   relative to the sender's initial sequence number: the SYN is 0, the first byte 1; END
 *           is behind the last byte, not counting FIN and SYN (so "S 0:10" has bytes 1 to 10).
 * Negative ones are before. Our ISN is what the first SYN or SYN-ACK that came out had; before
 * that, our numbers are absolute. ack       the same, relative to the other side's ISN. win in
 * bytes, the window scale applied once both SYNs had one; rawwin: as in the header. An injected
 * segment without it has the last one that was given (at first 65535).
 * <...>     mss N, sackOK, ts VALUE:ECHO, wscale N, sack START:END START:END, raw 0102ff (other
 *           option bytes); <> no options. Always in this order, whatever that of the wire is.
 *           Timestamps are relative, too: ours to the first one that came out, the peer's to a base
 *           of the fixture; they are milliseconds. "ts" alone: injected, the time since the script
 *           began (or since the last explicit value, on top of it) and an echo of our newest;
 *           expected, any. An injected segment without <...> has "ts" once both SYNs had it.
 *
 * Expected: what is left out of ack, win, rawwin and <...> is not compared; P is compared when P or
 * "nopush" is said; all the rest always is. "*" is any number. Not shown and not to be said: DF,
 * TTL 128, no ECN codepoint. Checksums, every byte of payload, and that no segment is larger
 * than the MTU, are always checked: the streams are patterns.
 *
 * Injected only: badsum; junk (payload that differs from the pattern); offset N (words).
 *
 * A frame that comes in, or a program's call, ends an iteration: what it causes comes out at once.
 * in_one_iteration { ... } takes several as one.
 *
 * Lines speak of 10.0.0.1:7000 and 10.0.0.2:5000, or of the connection that was made last, or what
 * on_conn and on_flow say. Segments of others come out as "[own peer] ...", and do not match.
 *
 * Besides what script.h's teardown looks for, an ERROR or GONE that nobody expected fails a script.
 * Connections and listeners that are left are ended; then each pool of the stack must be full.
 */
#ifndef RINGSOCK_TESTS_SCENARIO_TCP_SCRIPT_H
#define RINGSOCK_TESTS_SCENARIO_TCP_SCRIPT_H

#include "script.h"

#include "dataplane/tcp.h"

/* A file that includes dataplane/stack_internal.h does that before this file. */
typedef struct script_conn *conn;
typedef struct script_server *server;

/* ---- fixtures: as script_setup, with TCP for 64 connections ---- */

int script_setup_tcp(void **state);           /* 10.0.0.1/24, router 10.0.0.254 for the rest */
int script_setup_tcp_wrap(void **state);      /* both ISNs, and timestamps, just before 2^32; ours
                                                 of 10.0.0.1:7000 and 10.0.0.2:5000, at the start */
int script_setup_tcp_small_mtu(void **state); /* 576 */
int script_setup_tcp_jumbo(void **state);     /* 9000 */
int script_setup_tcp_ecn(void **state);       /* ecn on */
int script_setup_tcp_no_ecn(void **state);    /* ecn off */
int script_setup_tcp_ack_now(void **state);   /* ack_immediate */
int script_setup_tcp_none(void **state);      /* congestion none */
int script_setup_tcp_few(void **state);       /* 4 connections, 4 half open, 2 TIME_WAITs */
int script_setup_tcp_many(void **state);      /* 4096 connections */
int script_setup_tcp_queues(void **state);    /* three queues; listen on each that is to have it */
int script_setup_tcp_offload(void **state);   /* the NIC fills in checksums and cuts segments */
int script_setup_tcp_off(void **state);       /* connections_max 0 */
int script_setup_tcp_addresses(void **state); /* as script_setup_addresses, three queues */
/* With any configuration; for a set-up function of a file's own. mtu_bytes 0: 1500. */
int script_setup_tcp_config(const struct tcp_config *config, uint32_t mtu_bytes);
struct tcp_config script_tcp_config(void); /* of script_setup_tcp */

#define TCP_SCRIPT(name) cmocka_unit_test_setup_teardown(name, script_setup_tcp, script_teardown)
#define TCP_SCRIPT_WITH(name, fixture) \
    cmocka_unit_test_setup_teardown(name, script_setup_tcp_##fixture, script_teardown)

/* ---- programs ---- */

struct conn_options {
    const char *local; /* "any:7000", "10.0.0.1:0"; NULL: any:7000. Port 0: the stack chooses */
    const char *peer;  /* NULL: 10.0.0.2:5000 */
    uint32_t send_bytes, recv_bytes; /* rings; 0: 65536 */
    uint32_t recv_limit_bytes;       /* 0: the ring */
    struct tcp_settings settings;
    enum rs_status fails; /* what tcp_connect shall return */
    /* of established(): how the peer behaves in the handshake */
    bool passive;        /* it connects to us */
    const char *options; /* in its SYN; NULL: mss 1460,sackOK,ts 0:0,wscale 7; "": none */
    uint32_t window;     /* 0: 65535 */
    uint32_t rtt_ms;     /* how long its answer takes */
    bool ecn;            /* it asks for, or agrees to, ECN */
    bool unused;
};

struct server_options {
    const char *local;
    uint32_t backlog;                /* 0: 16 */
    server part_of;                  /* on another queue: both have its backlog */
    uint32_t send_bytes, recv_bytes; /* of its connections' rings; 0: 65536 */
    bool reset_when_full;
    struct tcp_settings settings;
    enum rs_status fails; /* what tcp_listen shall return */
};

/* connecting(PEER ":5000", .recv_bytes = 4096): tcp_connect; the SYN is to be expected. */
#define connecting(...) (SCRIPT_AT, script_connecting(&(struct conn_options){.peer = __VA_ARGS__}))
/* connecting_fails(why, PEER ":5000") */
#define connecting_fails(why, ...) \
    (SCRIPT_AT,                    \
     (void)script_connecting(&(struct conn_options){.fails = (why), .peer = __VA_ARGS__}))
/* established(), established(.passive = true, .options = "mss 1000"): after the handshake, which is
 * checked; nothing is left to expect. */
#define established(...) \
    (SCRIPT_AT, script_established(&(struct conn_options){.unused = false, __VA_ARGS__}))
/* reached(TCP_FIN_WAIT_2, ...): the same, then brought to that state; SYN_RECEIVED by simultaneous
 * open. No data has flown: FINs have number 1. See script_reached for what was exchanged. */
#define reached(state, ...) \
    (SCRIPT_AT, script_reached(state, &(struct conn_options){.unused = false, __VA_ARGS__}))
/* listening("any:7000", .backlog = 2) */
#define listening(...) (SCRIPT_AT, script_listening(&(struct server_options){.local = __VA_ARGS__}))
#define listening_fails(why, ...) \
    (SCRIPT_AT,                   \
     (void)script_listening(&(struct server_options){.fails = (why), .local = __VA_ARGS__}))
#define close_server(s) (SCRIPT_AT, script_close_server(s))
/* The oldest connection that nobody accepted; its place in the backlog is free again. */
#define accepted(s)         (SCRIPT_AT, script_accepted(s))
#define expect_no_accept(s) (SCRIPT_AT, script_expect_no_accept(s))
/* Whether stack_upcalls.tcp_accept finds memory from now on; at first it does. */
#define accept_memory(s, is) (SCRIPT_AT, script_accept_memory(s, is))

/* Into the send ring, at once, as far as it fits; returns how much. */
#define write_bytes(c, bytes)      (SCRIPT_AT, script_write(c, bytes, false, RS_OK))
#define write_fails(c, bytes, why) (SCRIPT_AT, (void)script_write(c, bytes, false, why))
/* The same, the last one is urgent. */
#define send_urgent(c, bytes) (SCRIPT_AT, script_write(c, bytes, true, RS_OK))
/* Checks the bytes and consumes them. */
#define read_bytes(c, bytes)      (SCRIPT_AT, script_read(c, bytes))
#define expect_readable(c, bytes) (SCRIPT_AT, script_expect_readable(c, bytes))
/* Sent and acknowledged, as send_head says. */
#define expect_acked(c, bytes)      (SCRIPT_AT, script_expect_acked(c, bytes))
#define shutdown_send(c)            (SCRIPT_AT, script_shutdown_send(c, RS_OK))
#define shutdown_send_fails(c, why) (SCRIPT_AT, script_shutdown_send(c, why))
#define shutdown_recv(c)            (SCRIPT_AT, script_shutdown_recv(c))
#define close_conn(c)               (SCRIPT_AT, script_close_conn(c, 0))
#define close_linger(c, linger_ms)  (SCRIPT_AT, script_close_conn(c, linger_ms))
#define abort_conn(c)               (SCRIPT_AT, script_abort(c))
/* set_settings(c, .nodelay = true): the others become their defaults. */
#define set_settings(c, ...) \
    (SCRIPT_AT, script_set_settings(c, &(struct tcp_settings){__VA_ARGS__}))
#define set_recv_limit(c, bytes) (SCRIPT_AT, script_set_recv_limit(c, bytes))

/* names: "CONNECTED", "END URGENT"; all of them came since they were last expected. */
#define expect_event(c, names)    (SCRIPT_AT, script_expect_event(c, names))
#define expect_no_event(c, names) (SCRIPT_AT, script_expect_no_event(c, names))
#define expect_connected(c)       expect_event(c, "CONNECTED")
#define expect_end(c)             expect_event(c, "END")
#define expect_finished(c)        expect_event(c, "FINISHED")
#define expect_gone(c)            expect_event(c, "GONE")
/* Of a connection: it is over, with this status. Of a UDP socket: as in script.h. */
#undef expect_error
#define expect_error(who, status)                        \
    (SCRIPT_AT, _Generic((who), conn                     \
                         : script_tcp_expect_error, sock \
                         : script_expect_error)(who, status))
/* TCP_TIME_WAIT: the pair of a finished connection waits. */
#define expect_state(c, state) (SCRIPT_AT, script_expect_state(c, state))
/* Of the pair that lines speak of, also half open or waiting; TCP_CLOSED: unknown. */
#define expect_flow_state(state) (SCRIPT_AT, script_expect_flow_state(state))
/* expect_info(c, cwnd_bytes, 14480): any number of struct tcp_info */
#define expect_info(c, field, value) \
    (SCRIPT_AT, script_expect_number(#field, (uint64_t)script_info(c).field, (uint64_t)(value)))
#define expect_cwnd(c, bytes)     expect_info(c, cwnd_bytes, bytes)
#define expect_ssthresh(c, bytes) expect_info(c, ssthresh_bytes, bytes)
#define conn_info(c)              (SCRIPT_AT, script_info(c))
#define expect_number(what, got, want) \
    (SCRIPT_AT, script_expect_number(what, (uint64_t)(got), (uint64_t)(want)))

conn script_connecting(const struct conn_options *options);
conn script_established(const struct conn_options *options);
conn script_reached(enum tcp_state state, const struct conn_options *options);
server script_listening(const struct server_options *options);
void script_close_server(server s);
conn script_accepted(server s);
void script_expect_no_accept(server s);
void script_accept_memory(server s, bool is);
uint32_t script_write(conn c, uint32_t bytes, bool urgent, enum rs_status status);
void script_read(conn c, uint32_t bytes);
void script_expect_readable(conn c, uint32_t bytes);
void script_expect_acked(conn c, uint32_t bytes);
void script_shutdown_send(conn c, enum rs_status status);
void script_shutdown_recv(conn c);
void script_close_conn(conn c, uint64_t linger_ms);
void script_abort(conn c);
void script_set_settings(conn c, const struct tcp_settings *settings);
void script_set_recv_limit(conn c, uint32_t bytes);
void script_expect_event(conn c, const char *names);
void script_expect_no_event(conn c, const char *names);
void script_tcp_expect_error(conn c, enum rs_status status);
void script_expect_state(conn c, enum tcp_state state);
void script_expect_flow_state(enum tcp_state state);
struct tcp_info script_info(conn c);
void script_expect_number(const char *what, uint64_t got, uint64_t want);
struct tcp_conn *tcp_of(conn c); /* NULL when it is gone */

/* ---- which connection the lines speak of ---- */

#define on_conn(c)         (SCRIPT_AT, script_on_conn(c))
#define on_flow(own, peer) (SCRIPT_AT, script_on_flow(own, peer))
/* The pair is used again: our numbers are relative to the next SYN that comes out. */
#define new_incarnation() (SCRIPT_AT, script_new_incarnation())

void script_on_conn(conn c);
uint32_t own_isn(conn c); /* as it is, not relative */
void script_on_flow(const char *own, const char *peer);
void script_new_incarnation(void);

/* ---- the wire; texts are formats of printf ---- */

#define inject_tcp(...) (SCRIPT_AT, script_inject_tcp(__VA_ARGS__))
/* "A 1:14601 ack 1" in segments of so many bytes; F and P are in the last one. */
#define inject_tcp_each(bytes, ...) (SCRIPT_AT, script_inject_tcp_each(bytes, __VA_ARGS__))
#define expect_tcp(...)             (SCRIPT_AT, script_expect_tcp(__VA_ARGS__))
/* The same in segments of so many bytes; F and P must be in the last one, P may be in others. */
#define expect_tcp_each(bytes, ...) (SCRIPT_AT, script_expect_tcp_each(bytes, __VA_ARGS__))
/* What waits to be expected may be such segments, any number. */
#define allow_tcp(...) (SCRIPT_AT, script_allow_tcp(__VA_ARGS__))
/* Nothing comes out until ms have passed, then this does, within a millisecond; the time of the
 * script is then when it came out. */
#define expect_tcp_after(ms, ...) (SCRIPT_AT, script_expect_tcp_after(ms, __VA_ARGS__))
/* An ICMP error about a segment of ours that begins at seq. from: whose it is. */
#define inject_tcp_icmp(from, type, code, mtu, seq) \
    (SCRIPT_AT, script_inject_tcp_icmp(from, type, code, mtu, seq))
#define inject_tcp_unreachable(from, code, seq) inject_tcp_icmp(from, 3, code, 0, seq)
#define inject_frag_needed(from, mtu, seq)      inject_tcp_icmp(from, 3, 4, mtu, seq)
/* for (...) of one iteration: nothing is sent before its end */
#define in_one_iteration                                                        \
    for (bool script_more = (SCRIPT_AT, script_iteration_begin()); script_more; \
         script_more = script_iteration_end())

/* A right frame, to spoil and to inject(&frame). */
struct frame frame_tcp(const char *format, ...) __attribute__((format(printf, 1, 2)));
void script_inject_tcp(const char *format, ...) __attribute__((format(printf, 1, 2)));
void script_inject_tcp_each(uint32_t bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void script_expect_tcp(const char *format, ...) __attribute__((format(printf, 1, 2)));
void script_allow_tcp(const char *format, ...) __attribute__((format(printf, 1, 2)));
void script_expect_tcp_each(uint32_t bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void script_expect_tcp_after(uint64_t ms, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void script_inject_tcp_icmp(const char *from, uint8_t type, uint8_t code, uint16_t mtu,
                            int64_t seq);

#endif
