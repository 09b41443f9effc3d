/*
 * What each state makes of each segment: RFC 9293 section 3.10.7, with RFC 5961 against blind
 * attackers and RFC 1337 for TIME_WAIT. A table; each row, and each segment that all synchronised
 * states treat alike in each of them, is a test with a name of its own.
 */
#include "tcp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Half open by a peer's SYN, before there is a connection: SYN-RECEIVED of a passive open. */
#define HALF_OPEN TCP_STATE_COUNT

struct row {
    const char *name;
    int from; /* enum tcp_state, HALF_OPEN */
    const char *in;
    const char *out; /* NULL: nothing */
    enum tcp_state to;
    enum rs_status error; /* RS_OK: none */
    const char *events;   /* that must come; NULL: none of those that matter */
    uint32_t readable;
};

/* ---- segments that all synchronised states treat alike ---- */

/* What stands for the numbers of the state: the peer's next sequence number, our last one that is
 * acknowledged, our next one. */
struct numbers {
    enum tcp_state state;
    int peer_next, acked, own_next;
};

static const struct numbers synchronised[] = {
    {TCP_ESTABLISHED, 1, 1, 1}, {TCP_FIN_WAIT_1, 1, 1, 2}, {TCP_FIN_WAIT_2, 1, 2, 2},
    {TCP_CLOSE_WAIT, 2, 1, 1},  {TCP_CLOSING, 2, 1, 2},    {TCP_LAST_ACK, 2, 1, 2},
};

enum reaction {
    IGNORED,
    ANSWERED, /* with an ACK of what is true; nothing changes */
    RESET
};

/* seq and ack are added to peer_next and acked (own_next: from_next). */
struct common {
    const char *name;
    const char *flags;
    int seq, bytes;
    bool has_ack, from_next;
    int ack;
    const char *rest;
    enum reaction reaction;
};

static const struct common commons[] = {
    /* RFC 5961 3.2: a RST counts only with exactly the next number */
    {"RST, exactly next", "R", 0, 0, false, false, 0, "", RESET},
    {"RST with ACK, exactly next", "RA", 0, 0, true, false, 0, "", RESET},
    {"RST in the window", "R", 1000, 0, false, false, 0, "", ANSWERED},
    {"RST behind the window", "R", 200000, 0, false, false, 0, "", IGNORED},
    {"RST before the window", "R", -10, 0, false, false, 0, "", IGNORED},
    /* RFC 7323 5.2: PAWS is not for RST */
    {"RST with an old timestamp", "R", 0, 0, false, false, 0, "<ts -100:0>", RESET},
    {"RST with a wrong checksum", "R", 0, 0, false, false, 0, "badsum", IGNORED},
    /* RFC 5961 4.2: a SYN, wherever it is, is challenged */
    {"SYN in the window", "S", 1000, 0, false, false, 0, "<mss 1460>", ANSWERED},
    {"SYN, exactly next", "S", 0, 0, false, false, 0, "<mss 1460>", ANSWERED},
    {"SYN before the window", "S", -2000, 0, false, false, 0, "<mss 1460>", ANSWERED},
    {"SYN behind the window", "S", 200000, 0, false, false, 0, "<mss 1460>", ANSWERED},
    {"SYN-ACK in the window", "SA", 1000, 0, true, false, 0, "<mss 1460>", ANSWERED},
    /* 3.10.7.4, fifth step: without ACK, a segment is dropped */
    {"no flags", "-", 0, 0, false, false, 0, "", IGNORED},
    {"data without ACK", "P", 0, 10, false, false, 0, "", IGNORED},
    {"FIN without ACK", "F", 0, 0, false, false, 0, "", IGNORED},
    /* 3.10.7.4: what was never sent cannot be acknowledged */
    {"ACK of what was not sent", "A", 0, 0, true, true, 1, "", ANSWERED},
    {"ACK of far more than was sent", "A", 0, 0, true, true, 1000000, "", ANSWERED},
    {"data with an ACK of what was not sent", "A", 0, 10, true, true, 7, "", ANSWERED},
    {"FIN with an ACK of what was not sent", "FA", 0, 0, true, true, 7, "", ANSWERED},
    /* RFC 5961 5.2: older than the largest window */
    {"ACK that is too old", "A", 0, 0, true, false, -200000, "", ANSWERED},
    {"data with an ACK that is too old", "A", 0, 10, true, false, -200000, "", ANSWERED},
    {"duplicate ACK", "A", 0, 0, true, false, 0, "", IGNORED},
    {"old ACK", "A", 0, 0, true, false, -1, "", IGNORED},
    /* 3.10.7.4, first step */
    {"ACK behind the window", "A", 200000, 0, true, false, 0, "", ANSWERED},
    {"ACK before the window", "A", -1, 0, true, false, 0, "", ANSWERED},
    {"data behind the window", "A", 200000, 10, true, false, 0, "", ANSWERED},
    {"data before the window", "A", -2000, 10, true, false, 0, "", ANSWERED},
    {"data just before the window", "A", -10, 10, true, false, 0, "", ANSWERED},
    {"FIN behind the window", "FA", 200000, 0, true, false, 0, "", ANSWERED},
    {"data with a wrong checksum", "A", 0, 10, true, false, 0, "badsum", IGNORED},
    /* RFC 7323 5.3 R1 */
    {"ACK with an old timestamp", "A", 0, 0, true, false, 0, "<ts -100:0>", ANSWERED},
    {"data with an old timestamp", "A", 0, 10, true, false, 0, "<ts -100:0>", ANSWERED},
    {"FIN with an old timestamp", "FA", 0, 0, true, false, 0, "<ts -100:0>", ANSWERED},
};

/* ---- and those that each state treats in its own way ---- */

static const struct row rows[] = {
    /* 3.10.7.1: a reset that looks acceptable to whoever sent it */
    {"SYN", TCP_CLOSED, "S 0 <mss 1460>", "RA 0 ack 1 <>", TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with data", TCP_CLOSED, "S 0:10 <>", "RA 0 ack 11", TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with FIN", TCP_CLOSED, "SF 0 <>", "RA 0 ack 2", TCP_CLOSED, RS_OK, NULL, 0},
    {"ACK", TCP_CLOSED, "A 5 ack 9", "R 9 <>", TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN-ACK", TCP_CLOSED, "SA 5 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"FIN", TCP_CLOSED, "FA 5 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"data", TCP_CLOSED, "PA 5:15 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"data without ACK", TCP_CLOSED, "P 5:15", "RA 0 ack 15", TCP_CLOSED, RS_OK, NULL, 0},
    {"no flags", TCP_CLOSED, "- 5", "RA 0 ack 5", TCP_CLOSED, RS_OK, NULL, 0},
    {"RST", TCP_CLOSED, "R 5", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"RST with ACK", TCP_CLOSED, "RA 5 ack 9", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with a wrong checksum", TCP_CLOSED, "S 0 badsum", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with a data offset of 16", TCP_CLOSED, "S 0 offset 4", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with a data offset beyond its end", TCP_CLOSED, "S 0 offset 15 <>", NULL, TCP_CLOSED,
     RS_OK, NULL, 0},

    /* 3.10.7.2 */
    {"SYN", TCP_LISTEN, "S 0 <mss 1460>", "SA 0 ack 1", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"SYN with data", TCP_LISTEN, "S 0:10 <>", "SA 0 ack 1", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"ACK", TCP_LISTEN, "A 5 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN-ACK", TCP_LISTEN, "SA 5 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"FIN with ACK", TCP_LISTEN, "FA 5 ack 9", "R 9", TCP_CLOSED, RS_OK, NULL, 0},
    {"FIN", TCP_LISTEN, "F 5", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"data without ACK", TCP_LISTEN, "P 5:15", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"no flags", TCP_LISTEN, "- 5", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"RST", TCP_LISTEN, "R 5", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"RST with ACK", TCP_LISTEN, "RA 5 ack 9", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"RST with SYN", TCP_LISTEN, "SR 0", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"SYN with FIN", TCP_LISTEN, "SF 0", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"all flags", TCP_LISTEN, "FSRPAUEC 5 ack 9 urg 1", NULL, TCP_CLOSED, RS_OK, NULL, 0},

    /* 3.10.7.3 */
    {"SYN-ACK", TCP_SYN_SENT, "SA 0 ack 1 <mss 1460>", "A 1 ack 1 <>", TCP_ESTABLISHED, RS_OK,
     "CONNECTED", 0},
    {"SYN-ACK of another SYN", TCP_SYN_SENT, "SA 0 ack 5 <mss 1460>", "R 5 <>", TCP_SYN_SENT, RS_OK,
     NULL, 0},
    {"SYN-ACK of nothing", TCP_SYN_SENT, "SA 0 ack 0 <mss 1460>", "R 0", TCP_SYN_SENT, RS_OK, NULL,
     0},
    {"SYN", TCP_SYN_SENT, "S 0 <mss 1460>", "SA 0 ack 1 <mss 1460>", TCP_SYN_RECEIVED, RS_OK, NULL,
     0},
    {"ACK of our SYN without a SYN", TCP_SYN_SENT, "A 5 ack 1", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"ACK of another connection", TCP_SYN_SENT, "A 5 ack 9", "R 9", TCP_SYN_SENT, RS_OK, NULL, 0},
    {"data of another connection", TCP_SYN_SENT, "PA 5:15 ack 9", "R 9", TCP_SYN_SENT, RS_OK, NULL,
     0},
    {"FIN of another connection", TCP_SYN_SENT, "FA 5 ack 9", "R 9", TCP_SYN_SENT, RS_OK, NULL, 0},
    {"RST that acknowledges our SYN", TCP_SYN_SENT, "RA 0 ack 1", NULL, TCP_CLOSED, RS_CONN_REFUSED,
     NULL, 0},
    {"RST with SYN and an ACK of our SYN", TCP_SYN_SENT, "SRA 0 ack 1", NULL, TCP_CLOSED,
     RS_CONN_REFUSED, NULL, 0},
    {"RST without ACK", TCP_SYN_SENT, "R 0", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"RST with a wrong ACK", TCP_SYN_SENT, "RA 0 ack 0", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"RST with a later ACK", TCP_SYN_SENT, "RA 0 ack 2", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"FIN without ACK", TCP_SYN_SENT, "F 5", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"data without ACK", TCP_SYN_SENT, "P 5:15", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},
    {"no flags", TCP_SYN_SENT, "- 5", NULL, TCP_SYN_SENT, RS_OK, NULL, 0},

    /* 3.10.7.4 for a simultaneous open */
    {"ACK of our SYN", TCP_SYN_RECEIVED, "A 1 ack 1", NULL, TCP_ESTABLISHED, RS_OK, "CONNECTED", 0},
    {"SYN-ACK that crossed ours", TCP_SYN_RECEIVED, "SA 0 ack 1 <mss 1460,ts>", NULL,
     TCP_ESTABLISHED, RS_OK, "CONNECTED", 0},
    {"ACK of something else", TCP_SYN_RECEIVED, "A 1 ack 9", "R 9", TCP_SYN_RECEIVED, RS_OK, NULL,
     0},
    {"data with the ACK", TCP_SYN_RECEIVED, "PA 1:11 ack 1", "A 1 ack 11", TCP_ESTABLISHED, RS_OK,
     "CONNECTED", 10},
    {"FIN with the ACK", TCP_SYN_RECEIVED, "FA 1 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK,
     "CONNECTED END", 0},
    {"RST, exactly next", TCP_SYN_RECEIVED, "R 1", NULL, TCP_CLOSED, RS_CONN_REFUSED, NULL, 0},
    {"RST in the window", TCP_SYN_RECEIVED, "R 100", "A 1 ack 1", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"RST behind the window", TCP_SYN_RECEIVED, "R 200000", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"SYN in the window", TCP_SYN_RECEIVED, "S 100 <mss 1460>", "A 1 ack 1", TCP_SYN_RECEIVED,
     RS_OK, NULL, 0},
    {"ACK behind the window", TCP_SYN_RECEIVED, "A 200000 ack 1", "A 1 ack 1", TCP_SYN_RECEIVED,
     RS_OK, NULL, 0},
    {"data without ACK", TCP_SYN_RECEIVED, "P 1:11", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"FIN without ACK", TCP_SYN_RECEIVED, "F 1", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},

    /* 3.10.7.4 for a passive one */
    {"ACK of our SYN", HALF_OPEN, "A 1 ack 1", NULL, TCP_ESTABLISHED, RS_OK, "CONNECTED", 0},
    {"ACK of something else", HALF_OPEN, "A 1 ack 9", "R 9", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"ACK of nothing", HALF_OPEN, "A 1 ack 0", "R 0", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"data with the ACK", HALF_OPEN, "PA 1:11 ack 1", "A 1 ack 11", TCP_ESTABLISHED, RS_OK,
     "CONNECTED", 10},
    {"FIN with the ACK", HALF_OPEN, "FA 1 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK,
     "CONNECTED END", 0},
    {"the same SYN", HALF_OPEN, "S 0 <mss 1460,sackOK,ts,wscale 7>", "SA 0 ack 1", TCP_SYN_RECEIVED,
     RS_OK, NULL, 0},
    {"another SYN in the window", HALF_OPEN, "S 100 <mss 1460,ts>", NULL, TCP_CLOSED, RS_OK, NULL,
     0},
    {"another SYN behind the window", HALF_OPEN, "S 200000 <mss 1460,ts>", "A 1 ack 1",
     TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"RST, exactly next", HALF_OPEN, "R 1", NULL, TCP_CLOSED, RS_OK, NULL, 0},
    {"RST in the window", HALF_OPEN, "R 100", "A 1 ack 1", TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"RST behind the window", HALF_OPEN, "R 200000", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"RST of the SYN", HALF_OPEN, "R 0", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"ACK behind the window", HALF_OPEN, "A 200000 ack 1", "A 1 ack 1", TCP_SYN_RECEIVED, RS_OK,
     NULL, 0},
    {"ACK with an old timestamp", HALF_OPEN, "A 1 ack 1 <ts -100:0>", "A 1 ack 1", TCP_SYN_RECEIVED,
     RS_OK, NULL, 0},
    {"no flags", HALF_OPEN, "- 1", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},
    {"data without ACK", HALF_OPEN, "P 1:11", NULL, TCP_SYN_RECEIVED, RS_OK, NULL, 0},

    {"data", TCP_ESTABLISHED, "PA 1:11 ack 1", "A 1 ack 11 <ts>", TCP_ESTABLISHED, RS_OK, NULL, 10},
    {"data ahead of a gap", TCP_ESTABLISHED, "A 101:111 ack 1", "A 1 ack 1 <ts,sack 101:111>",
     TCP_ESTABLISHED, RS_OK, NULL, 0},
    {"data that is partly old", TCP_ESTABLISHED, "A -4:6 ack 1", "A 1 ack 6", TCP_ESTABLISHED,
     RS_OK, NULL, 5},
    {"FIN", TCP_ESTABLISHED, "FA 1 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK, "END", 0},
    {"data with FIN", TCP_ESTABLISHED, "FPA 1:11 ack 1", "A 1 ack 12", TCP_CLOSE_WAIT, RS_OK, "END",
     10},
    {"FIN ahead of a gap", TCP_ESTABLISHED, "FA 101 ack 1", "A 1 ack 1", TCP_ESTABLISHED, RS_OK,
     NULL, 0},
    {"data with FIN ahead of a gap", TCP_ESTABLISHED, "FA 101:111 ack 1", "A 1 ack 1",
     TCP_ESTABLISHED, RS_OK, NULL, 0},

    {"ACK of our FIN", TCP_FIN_WAIT_1, "A 1 ack 2", NULL, TCP_FIN_WAIT_2, RS_OK, NULL, 0},
    {"FIN", TCP_FIN_WAIT_1, "FA 1 ack 1", "A 2 ack 2", TCP_CLOSING, RS_OK, "END", 0},
    {"FIN with ACK of ours", TCP_FIN_WAIT_1, "FA 1 ack 2", "A 2 ack 2", TCP_TIME_WAIT, RS_OK,
     "END FINISHED", 0},
    {"data", TCP_FIN_WAIT_1, "PA 1:11 ack 1", "A 2 ack 11", TCP_FIN_WAIT_1, RS_OK, NULL, 10},
    {"data with ACK of our FIN", TCP_FIN_WAIT_1, "PA 1:11 ack 2", "A 2 ack 11", TCP_FIN_WAIT_2,
     RS_OK, NULL, 10},
    {"data with FIN and ACK of ours", TCP_FIN_WAIT_1, "FPA 1:11 ack 2", "A 2 ack 12", TCP_TIME_WAIT,
     RS_OK, "END FINISHED", 10},

    {"FIN", TCP_FIN_WAIT_2, "FA 1 ack 2", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, "END FINISHED", 0},
    {"data", TCP_FIN_WAIT_2, "PA 1:11 ack 2", "A 2 ack 11", TCP_FIN_WAIT_2, RS_OK, NULL, 10},
    {"data with FIN", TCP_FIN_WAIT_2, "FPA 1:11 ack 2", "A 2 ack 12", TCP_TIME_WAIT, RS_OK,
     "END FINISHED", 10},
    {"FIN ahead of a gap", TCP_FIN_WAIT_2, "FA 101 ack 2", "A 2 ack 1", TCP_FIN_WAIT_2, RS_OK, NULL,
     0},

    /* 3.10.7.4, seventh step: after a FIN there can be no data */
    {"data behind the FIN", TCP_CLOSE_WAIT, "PA 2:12 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK,
     NULL, 0},
    {"the FIN again", TCP_CLOSE_WAIT, "FA 1 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK, NULL, 0},
    {"another FIN", TCP_CLOSE_WAIT, "FA 2 ack 1", "A 1 ack 2", TCP_CLOSE_WAIT, RS_OK, NULL, 0},

    {"ACK of our FIN", TCP_CLOSING, "A 2 ack 2", NULL, TCP_TIME_WAIT, RS_OK, "FINISHED", 0},
    {"the FIN again", TCP_CLOSING, "FA 1 ack 1", "A 2 ack 2", TCP_CLOSING, RS_OK, NULL, 0},
    {"data behind the FIN", TCP_CLOSING, "PA 2:12 ack 1", "A 2 ack 2", TCP_CLOSING, RS_OK, NULL, 0},

    {"ACK of our FIN", TCP_LAST_ACK, "A 2 ack 2", NULL, TCP_CLOSED, RS_OK, "FINISHED", 0},
    {"the FIN again", TCP_LAST_ACK, "FA 1 ack 1", "A 2 ack 2", TCP_LAST_ACK, RS_OK, NULL, 0},
    {"data behind the FIN", TCP_LAST_ACK, "PA 2:12 ack 1", "A 2 ack 2", TCP_LAST_ACK, RS_OK, NULL,
     0},

    /* RFC 1337: a reset, even a right one, does not end TIME_WAIT */
    {"RST, exactly next", TCP_TIME_WAIT, "R 2", NULL, TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"RST behind the window", TCP_TIME_WAIT, "R 200000", NULL, TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"the FIN again", TCP_TIME_WAIT, "FA 1 ack 2", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"ACK", TCP_TIME_WAIT, "A 2 ack 2", NULL, TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"old ACK", TCP_TIME_WAIT, "A 1 ack 1", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"data", TCP_TIME_WAIT, "PA 2:12 ack 2", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"old data", TCP_TIME_WAIT, "PA -9:1 ack 2", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"SYN-ACK", TCP_TIME_WAIT, "SA 0 ack 1", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"the old SYN", TCP_TIME_WAIT, "S 0 <mss 1460>", "A 2 ack 2", TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"new SYN that nobody listens for", TCP_TIME_WAIT, "S 5000 <mss 1460>", "A 2 ack 2",
     TCP_TIME_WAIT, RS_OK, NULL, 0},
    {"FIN with an old timestamp", TCP_TIME_WAIT, "FA 1 ack 2 <ts -100:0>", "A 2 ack 2",
     TCP_TIME_WAIT, RS_OK, NULL, 0},
};

/* ---- running them ---- */

static server half_open(bool with_syn)
{
    server s = listening("any:7000");
    if (with_syn) {
        inject_tcp("S 0 <mss 1460,sackOK,ts 0:0,wscale 7>");
        expect_tcp("SA 0 ack 1");
    }
    return s;
}

static void check_row(const struct row *row, conn c)
{
    inject_tcp("%s", row->in);
    if (row->out != NULL) {
        expect_tcp("%s", row->out);
    }
    expect_nothing();
    if (c == NULL) {
        expect_flow_state(row->to);
        return;
    }
    if (row->error != RS_OK) {
        expect_error(c, row->error);
    }
    expect_state(c, row->to);
    if (row->events != NULL) {
        expect_event(c, row->events);
    }
    expect_no_event(c, "CONNECTED END FINISHED ERROR GONE URGENT");
    expect_readable(c, row->readable);
    if (row->readable != 0) {
        read_bytes(c, row->readable);
    }
}

static void run_row(void **state)
{
    const struct row *row = (const struct row *)*state;
    if (row->from == TCP_CLOSED) {
        check_row(row, NULL);
    } else if (row->from == TCP_LISTEN) {
        (void)half_open(false);
        check_row(row, NULL);
    } else if (row->from == HALF_OPEN) {
        server s = half_open(true);
        check_row(row, NULL);
        if (row->events != NULL) {
            conn c = accepted(s);
            expect_event(c, row->events);
            expect_readable(c, row->readable);
        } else {
            expect_no_accept(s);
        }
    } else {
        check_row(row, reached((enum tcp_state)row->from));
    }
}

/* A segment for one of the synchronised states. */
struct pair {
    const struct common *common;
    const struct numbers *numbers;
};

static void run_common(void **state)
{
    const struct pair *pair = (const struct pair *)*state;
    const struct common *common = pair->common;
    const struct numbers *numbers = pair->numbers;
    conn c = reached(numbers->state);
    char text[128];
    char ack[32] = "";
    int seq = numbers->peer_next + common->seq;
    if (common->has_ack) {
        int base = common->from_next ? numbers->own_next : numbers->acked;
        (void)snprintf(ack, sizeof(ack), "ack %d ", base + common->ack);
    }
    (void)snprintf(text, sizeof(text), "%s %d:%d %s%s", common->flags, seq, seq + common->bytes,
                   ack, common->rest);
    inject_tcp("%s", text);
    if (common->reaction == ANSWERED) {
        expect_tcp("A %d ack %d", numbers->own_next, numbers->peer_next);
    }
    expect_nothing();
    if (common->reaction == RESET) {
        expect_error(c, RS_CONN_RESET);
    }
    expect_state(c, common->reaction == RESET ? TCP_CLOSED : numbers->state);
    expect_no_event(c, "END FINISHED ERROR GONE READABLE URGENT");
    expect_readable(c, 0);
}

#define COMMON_TESTS (ROWS(commons) * ROWS(synchronised))
#define TEST_COUNT   (ROWS(rows) + COMMON_TESTS)

static const char *state_text(int state)
{
    return state == HALF_OPEN ? "SYN_RECEIVED (passive)" : tcp_state_name((enum tcp_state)state);
}

int main(void)
{
    static struct CMUnitTest tests[TEST_COUNT];
    static char names[TEST_COUNT][96];
    static struct pair pairs[COMMON_TESTS];
    size_t count = 0;
    for (size_t i = 0; i < ROWS(rows); i++, count++) {
        (void)snprintf(names[count], sizeof(names[count]), "%s: %s", state_text(rows[i].from),
                       rows[i].name);
        tests[count] = (struct CMUnitTest){names[count], run_row, script_setup_tcp_ack_now,
                                           script_teardown, (void *)&rows[i]};
    }
    for (size_t i = 0; i < COMMON_TESTS; i++, count++) {
        pairs[i] = (struct pair){&commons[i % ROWS(commons)], &synchronised[i / ROWS(commons)]};
        (void)snprintf(names[count], sizeof(names[count]), "%s: %s",
                       state_text((int)pairs[i].numbers->state), pairs[i].common->name);
        tests[count] = (struct CMUnitTest){names[count], run_common, script_setup_tcp_ack_now,
                                           script_teardown, &pairs[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
