/*
 * Segments as text and back (tcp_script.h explains the form), and the numbers they are relative to.
 * A line is what a script says of a segment; tcp_text.c turns text into lines and compares them,
 * tcp_flow.c turns lines into frames and frames into lines. One script at a time, one thread.
 */
#ifndef RINGSOCK_TESTS_SCENARIO_TCP_TEXT_H
#define RINGSOCK_TESTS_SCENARIO_TCP_TEXT_H

#include "script.h"

#include "dataplane/wire/tcp.h"

#define TCP_LINE_ANY          INT64_MIN /* "*": whatever it is */
#define TCP_LINE_NONE         (INT64_MIN + 1)
#define TCP_LINE_SACKS        4
#define TCP_LINE_RAW_BYTES    40
#define TCP_LINE_PROBLEM_SIZE 128

struct tcp_line_sack {
    int64_t start, end;
};

/* TCP_LINE_NONE: not there, or not said. */
struct tcp_line {
    uint8_t flags; /* TCP_FLAG_* */
    bool no_push;  /* there must be no P */
    int64_t seq, end;
    int64_t ack;
    int64_t window;     /* bytes */
    int64_t raw_window; /* as it stands in the header */
    int64_t urgent;
    int64_t ttl, tos; /* tos without ECN's bits */
    int64_t ecn;      /* 0 to 3: not-ECT, ECT(1), ECT(0), CE */
    bool fragmentable;
    bool has_options; /* there was a <...> */
    int64_t mss, wscale;
    bool sack_ok;
    bool ts_auto; /* "ts" without numbers */
    int64_t ts_value, ts_echo;
    uint32_t sack_count;
    struct tcp_line_sack sacks[TCP_LINE_SACKS];
    uint8_t raw[TCP_LINE_RAW_BYTES]; /* further option bytes */
    uint32_t raw_count;
    /* of a frame to be made */
    bool bad_checksum, junk;
    int64_t offset_words;
    /* of a frame that came: what is wrong with it, "" nothing */
    char problem[TCP_LINE_PROBLEM_SIZE];
};

/* A pair of addresses and what its numbers begin at. */
struct tcp_text_flow {
    uint32_t own_be32, peer_be32;
    uint16_t own_port_be16, peer_port_be16;
    uint32_t peer_isn, peer_ts_base;
    uint32_t own_isn, own_ts_base;    /* 0 until known */
    bool own_isn_known, own_ts_known; /* by a SYN, a timestamp that came out */
    uint32_t own_ts_last;             /* as it stood in the newest segment */
    int64_t peer_ts_rel;              /* the newest that a script gave */
    uint64_t peer_ts_ns;              /* when */
    int64_t own_wscale, peer_wscale;  /* TCP_LINE_NONE: not offered */
    bool own_ts, peer_ts;             /* offered */
    bool own_syn, peer_syn;           /* seen; after both, a SYN says nothing new */
    int64_t window;                   /* the peer's last one, bytes */
};

/* ---- tcp_text.c ---- */

/* Fails the script when the text is no segment. */
struct tcp_line tcp_line_parse(const char *text);
void tcp_line_print(const struct tcp_line *line, char *out, size_t size);
/* Does got have all that want says? Else *why is the first thing that differs. */
bool tcp_line_matches(const struct tcp_line *want, const struct tcp_line *got, const char **why);

/* ---- tcp_flow.c ---- */

/* Begins anew; what the peers' sequence numbers begin at. */
void tcp_flow_reset(uint32_t peer_isn, uint32_t peer_ts_base);
/* Both "ip:port"; makes it when there is none. */
struct tcp_text_flow *tcp_flow_between(uint32_t own_be32, uint16_t own_port_be16,
                                       uint32_t peer_be32, uint16_t peer_port_be16);
/* That lines speak of from now on. */
void tcp_flow_select(struct tcp_text_flow *flow);
struct tcp_text_flow *tcp_flow_selected(void);
/* A new connection of the same pair: our numbers are learned anew. */
void tcp_flow_forget(struct tcp_text_flow *flow);
struct frame tcp_flow_frame(struct tcp_text_flow *flow, const struct tcp_line *line);
/* Reads a segment, learns its numbers and describes it in out. own: we sent it; checked: the
 * checksum of its IPv4 header is looked at, TCP's always is. Returns its flow; NULL: the frame is
 * no segment. */
struct tcp_text_flow *tcp_flow_read(const struct frame *frame, bool own, bool checked,
                                    struct tcp_line *line, char *out, size_t size);
/* Every byte of a stream is known by its place. Ours: by the position in the send ring. */
uint8_t tcp_pattern_own(uint32_t pos);
/* The peer's: by its sequence number relative to the peer's ISN. */
uint8_t tcp_pattern_peer(uint32_t rel);

#endif
