/*
 * TCP in: a segment is checked, its flow found, and then handled as RFC 9293 section 3.10.7 says,
 * in that section's steps, with the rules of RFC 5961 against blind attackers and of RFC 7323 for
 * timestamps. Every segment counts as exactly one of the counters that the handlers return. Queue
 * thread; from ipv4_input and icmp_input. Data goes to tcp_receive.c, acknowledgments to tcp_ack.c;
 * what has to leave does so in tcp_run.
 */
#include <string.h>

#include "dataplane/stack_internal.h"

/* RFC 7323 5.5: a timestamp this old says nothing any more. */
#define TCP_PAWS_IDLE_NS (24ull * 86400 * STACK_NS_PER_S)
/* When a SYN that an older connection's end answered is sent again. */
#define TCP_SYN_AGAIN_NS (2 * STACK_NS_PER_MS)

/* ---- SYN_SENT (3.10.7.3) ---- */

void tcp_take_options(struct stack *stack, struct tcp_conn *conn, const struct tcp_options *options)
{
    uint32_t agreed = 0;
    agreed |= (options->present & TCP_OPTION_TIMESTAMPS) != 0 ? TCP_FEATURE_TIMESTAMPS : 0u;
    agreed |= (options->present & TCP_OPTION_SACK_OK) != 0 ? TCP_FEATURE_SACK : 0u;
    agreed |= (options->present & TCP_OPTION_WSCALE) != 0 ? TCP_FEATURE_WSCALE : 0u;
    uint32_t ours = TCP_FEATURE_TIMESTAMPS | TCP_FEATURE_SACK | TCP_FEATURE_WSCALE;
    conn->features = (conn->features & ~ours) | (conn->features & ours & agreed);
    if (tcp_has(conn, TCP_FEATURE_WSCALE)) {
        conn->send_wscale = options->wscale;
    } else {
        conn->send_wscale = 0;
        conn->recv_wscale = 0;
    }
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        conn->ts_recent = options->tsval;
        conn->ts_recent_ns = stack->now_ns;
    }
    conn->mss_peer = TCP_MSS_DEFAULT;
    if ((options->present & TCP_OPTION_MSS) != 0 && options->mss != 0) { /* as Linux */
        conn->mss_peer = options->mss < TCP_MSS_MIN ? TCP_MSS_MIN : options->mss;
    }
    conn->rcv_mss = (uint16_t)tcp_min_u32(conn->mss_peer, TCP_MSS_DEFAULT);
    conn->quick_acks = 16; /* as Linux: let the peer's window grow at the start */
    tcp_update_mss(conn);
    /* RFC 5681 3.1: where even the SYN was lost, one segment will do. */
    uint8_t kind = conn->settings.congestion != TCP_CONGESTION_DEFAULT
                       ? conn->settings.congestion
                       : stack->tcp.config.congestion;
    tcp_congestion_init(&conn->congestion, (enum tcp_congestion_kind)kind, conn->mss,
                        conn->loss.backoff > 0 ? 1 : stack->tcp.config.initial_window);
}

/* The peer's SYN is taken: sequence numbers of the receiving half. */
static void tcp_take_syn(struct stack *stack, struct tcp_conn *conn,
                         const struct tcp_segment *segment)
{
    conn->irs = segment->seq;
    conn->rcv_nxt = segment->seq + 1;
    conn->last_ack_sent = conn->rcv_nxt;
    conn->rcv_adv = conn->rcv_nxt + tcp_min_u32(conn->recv_limit_bytes, 65535);
    tcp_take_options(stack, conn, &segment->options);
    conn->snd_wnd = segment->window; /* never scaled in a SYN (RFC 7323 2.2) */
    conn->snd_wnd_max = segment->window;
    conn->snd_wl1 = segment->seq;
    conn->snd_wl2 = segment->ack;
}

/* Our SYN is acknowledged. */
static void tcp_establish(struct stack *stack, struct tcp_conn *conn,
                          const struct tcp_segment *segment)
{
    uint64_t sent_ns = conn->loss.backoff == 0 ? conn->syn_sent_ns : 0; /* RFC 6298 3 */
    tcp_rtt_handshake(stack, conn, sent_ns, &segment->options);
    conn->loss.backoff = 0;
    conn->snd_una = conn->iss + 1;
    conn->rto_base_ns = stack->now_ns;
    conn->progress_ns = stack->now_ns;
    tcp_timer_clear(conn, TCP_TIMER_RETRANSMIT);
    tcp_set_state(stack, conn, TCP_ESTABLISHED);
    if (tcp_has(conn, TCP_FEATURE_FIN_QUEUED)) {
        tcp_set_state(stack, conn, TCP_FIN_WAIT_1);
    }
    tcp_ready(stack, conn);
}

static enum counter_id tcp_syn_sent_input(struct stack *stack, struct tcp_conn *conn,
                                          const struct tcp_segment *segment)
{
    uint8_t flags = segment->flags;
    bool acked = (flags & TCP_FLAG_ACK) != 0;
    if (acked && segment->ack != conn->snd_nxt) {
        tcp_refuse(stack, segment); /* of an older connection: tell its other end */
        if ((flags & TCP_FLAG_RST) == 0 && conn->loss.backoff == 0) {
            /* That ends it, so there is no reason to wait a second (as Linux). Once: whoever knows
             * the ports can send this. */
            tcp_timer_set(stack, conn, TCP_TIMER_RETRANSMIT, stack->now_ns + TCP_SYN_AGAIN_NS);
        }
        return COUNTER_tcp_ack_invalid;
    }
    if ((flags & TCP_FLAG_RST) != 0) {
        if (!acked) {
            return COUNTER_tcp_reset_invalid;
        }
        TCP_TRACE(stack, &conn->flow, tcp_reset_in, conn->flow.state, 0);
        tcp_fail(stack, conn, RS_CONN_REFUSED);
        return COUNTER_tcp_segments_in;
    }
    if ((flags & TCP_FLAG_SYN) == 0) {
        return COUNTER_tcp_no_syn;
    }
    uint32_t ecn = flags & (TCP_FLAG_ECE | TCP_FLAG_CWR);
    if (ecn != (acked ? (uint32_t)TCP_FLAG_ECE : (uint32_t)(TCP_FLAG_ECE | TCP_FLAG_CWR))) {
        conn->features &= ~(uint32_t)TCP_FEATURE_ECN; /* RFC 3168 6.1.1 */
    }
    tcp_take_syn(stack, conn, segment);
    if (!acked) { /* simultaneous open */
        conn->loss.backoff = 0;
        tcp_set_state(stack, conn, TCP_SYN_RECEIVED);
        tcp_send_syn(stack, conn);
        return COUNTER_tcp_segments_in;
    }
    tcp_establish(stack, conn, segment);
    conn->ack_now = 1;
    if (segment->payload_bytes > 0 || (flags & TCP_FLAG_FIN) != 0) {
        struct tcp_segment rest = *segment;
        rest.flags &= (uint8_t)~TCP_FLAG_SYN;
        rest.seq = segment->seq + 1;
        return tcp_conn_input(stack, conn, &rest);
    }
    return COUNTER_tcp_segments_in;
}

/* ---- SYN_RECEIVED and later (3.10.7.4), in the RFC's steps ---- */

/* An answer that a blind attacker could ask for without end is limited; one to data is not, for a
 * peer in need must hear. */
static void tcp_answer(struct stack *stack, struct tcp_conn *conn, bool limited)
{
    if (!limited || tcp_challenge_pass(stack, &conn->challenge_ns)) {
        STACK_COUNT(stack, tcp_challenges_out);
        tcp_send_ack(stack, conn);
    }
}

static bool tcp_ts_recent_expired(const struct stack *stack, const struct tcp_conn *conn)
{
    return stack->now_ns - conn->ts_recent_ns >= TCP_PAWS_IDLE_NS;
}

/* RFC 7323 5.3 R1. */
static bool tcp_paws_old(const struct stack *stack, const struct tcp_conn *conn,
                         const struct tcp_segment *segment)
{
    return tcp_has(conn, TCP_FEATURE_TIMESTAMPS) &&
           (segment->options.present & TCP_OPTION_TIMESTAMPS) != 0 &&
           rs_seq_before(segment->options.tsval, conn->ts_recent) &&
           !tcp_ts_recent_expired(stack, conn);
}

/* First step: sequence number. Linux's form of it: a segment that ends before what was last
 * acknowledged, or begins behind the window, is not acceptable. One that begins at the edge of a
 * closed window is, for the sake of its ACK, though not its data; a FIN that stood at that edge has
 * moved rcv_nxt one beyond it. */
static bool tcp_sequence_ok(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    return !rs_seq_before(segment->end, conn->last_ack_sent) &&
           (rs_seq_before_eq(segment->seq, conn->rcv_adv) || segment->seq == conn->rcv_nxt);
}

/* A SYN-ACK that crosses ours in a simultaneous open is the one SYN that may come here. */
static bool tcp_crossing_syn(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    return conn->flow.state == TCP_SYN_RECEIVED && (segment->flags & TCP_FLAG_ACK) != 0 &&
           segment->seq == conn->irs && segment->end == conn->irs + 1 &&
           segment->ack == conn->snd_nxt;
}

static enum counter_id tcp_unacceptable(struct stack *stack, struct tcp_conn *conn,
                                        const struct tcp_segment *segment, enum counter_id why)
{
    TCP_TRACE(stack, &conn->flow, tcp_drop, why, segment->seq);
    if ((segment->flags & TCP_FLAG_RST) != 0) {
        return why;
    }
    if (segment->payload_bytes > 0 && rs_seq_before(segment->seq, conn->rcv_nxt)) {
        uint32_t old_end = segment->seq + segment->payload_bytes;
        tcp_receive_dsack(conn, segment->seq,
                          rs_seq_before(conn->rcv_nxt, old_end) ? conn->rcv_nxt : old_end);
    }
    tcp_answer(stack, conn, segment->payload_bytes == 0);
    return why;
}

/* Second step: RST, by RFC 5961 3.2: exactly the next number, or a challenge. */
static enum counter_id tcp_reset_input(struct stack *stack, struct tcp_conn *conn,
                                       const struct tcp_segment *segment)
{
    if (segment->seq != conn->rcv_nxt) {
        tcp_answer(stack, conn, true);
        return COUNTER_tcp_reset_invalid;
    }
    TCP_TRACE(stack, &conn->flow, tcp_reset_in, conn->flow.state, 0);
    bool opening = conn->flow.state == TCP_SYN_RECEIVED;
    tcp_fail(stack, conn, opening ? RS_CONN_REFUSED : RS_CONN_RESET);
    return COUNTER_tcp_segments_in;
}

/* First to fourth step. *out: what the segment counts as, when it goes no further. */
static bool tcp_validate(struct stack *stack, struct tcp_conn *conn,
                         const struct tcp_segment *segment, enum counter_id *out)
{
    bool reset = (segment->flags & TCP_FLAG_RST) != 0;
    if (!reset && tcp_paws_old(stack, conn, segment)) {
        *out = tcp_unacceptable(stack, conn, segment, COUNTER_tcp_paws);
        return false;
    }
    if (!tcp_sequence_ok(conn, segment)) {
        bool syn = (segment->flags & TCP_FLAG_SYN) != 0;
        *out = tcp_unacceptable(stack, conn, segment,
                                syn ? COUNTER_tcp_syn_invalid : COUNTER_tcp_out_of_window);
        return false;
    }
    if (reset) {
        *out = tcp_reset_input(stack, conn, segment);
        return false;
    }
    if ((segment->flags & TCP_FLAG_SYN) != 0 && !tcp_crossing_syn(conn, segment)) {
        tcp_answer(stack, conn, true); /* RFC 5961 4.2 */
        *out = COUNTER_tcp_syn_invalid;
        return false;
    }
    if ((segment->flags & TCP_FLAG_ACK) == 0) {
        *out = COUNTER_tcp_no_ack;
        return false;
    }
    return true;
}

/* RFC 7323 4.3 (2): only a segment that the last ACK asked for moves the timestamp to echo. */
static void tcp_take_timestamp(struct stack *stack, struct tcp_conn *conn,
                               const struct tcp_segment *segment)
{
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS) &&
        (segment->options.present & TCP_OPTION_TIMESTAMPS) != 0 &&
        (rs_seq_before_eq(conn->ts_recent, segment->options.tsval) ||
         tcp_ts_recent_expired(stack, conn)) &&
        rs_seq_before_eq(segment->seq, conn->last_ack_sent)) {
        conn->ts_recent = segment->options.tsval;
        conn->ts_recent_ns = stack->now_ns;
    }
}

/* Fifth step: ACK. True: go on with the segment. */
static bool tcp_ack_step(struct stack *stack, struct tcp_conn *conn,
                         const struct tcp_segment *segment, enum counter_id *out)
{
    if (conn->flow.state == TCP_SYN_RECEIVED) {
        if (segment->ack != conn->snd_nxt) {
            tcp_refuse(stack, segment);
            *out = COUNTER_tcp_ack_invalid;
            return false;
        }
        tcp_establish(stack, conn, segment);
        conn->snd_wl1 = segment->seq;
        conn->snd_wl2 = segment->ack;
        conn->snd_wnd = (uint32_t)segment->window << conn->send_wscale;
        if ((segment->flags & TCP_FLAG_SYN) != 0) { /* not scaled there */
            conn->snd_wnd = segment->window;
        }
        conn->snd_wnd_max = conn->snd_wnd;
    }
    if (rs_seq_before(conn->snd_nxt, segment->ack) ||
        rs_seq_before(segment->ack, conn->snd_una - conn->snd_wnd_max)) { /* RFC 5961 5.2 */
        tcp_answer(stack, conn, true);
        *out = COUNTER_tcp_ack_invalid;
        return false;
    }
    tcp_take_timestamp(stack, conn, segment);
    tcp_ack_input(stack, conn, segment);
    return true;
}

/* RFC 3168 6.1.3: a mark is reported until the peer says that it has slowed down. */
static void tcp_ecn_step(struct stack *stack, struct tcp_conn *conn,
                         const struct tcp_segment *segment)
{
    if (!tcp_has(conn, TCP_FEATURE_ECN)) {
        return;
    }
    if ((segment->flags & TCP_FLAG_CWR) != 0) {
        conn->features &= ~(uint32_t)TCP_FEATURE_ECE;
    }
    if (segment->congestion_experienced && segment->payload_bytes > 0) {
        STACK_COUNT(stack, tcp_ecn_marks);
        conn->features |= TCP_FEATURE_ECE;
        conn->quick_acks = conn->quick_acks < 2 ? 2 : conn->quick_acks;
    }
}

/* What our acknowledged FIN means. True: the connection is still there. */
static bool tcp_fin_acked_step(struct stack *stack, struct tcp_conn *conn)
{
    if (!tcp_has(conn, TCP_FEATURE_FIN_SENT) || conn->snd_una != conn->fin_seq + 1) {
        return true;
    }
    switch ((enum tcp_state)conn->flow.state) {
    case TCP_FIN_WAIT_1:
        tcp_set_state(stack, conn, TCP_FIN_WAIT_2); /* ends linger: it has what it wanted */
        return true;
    case TCP_CLOSING:
        if (conn->ack_now != 0) { /* the peer's FIN came in this iteration, too */
            tcp_send_ack(stack, conn);
        }
        tcp_finish(stack, conn, true);
        return false;
    case TCP_LAST_ACK:
        tcp_finish(stack, conn, false);
        return false;
    default:
        return true;
    }
}

/* Sixth step: URG. */
static void tcp_urgent_step(struct stack *stack, struct tcp_conn *conn,
                            const struct tcp_segment *segment)
{
    if ((segment->flags & TCP_FLAG_URG) == 0 || segment->urgent == 0 ||
        tcp_has(conn, TCP_FEATURE_PEER_FIN)) {
        return;
    }
    uint32_t up = segment->seq + segment->urgent;
    if (rs_seq_before_eq(up, conn->rcv_nxt) ||
        (tcp_has(conn, TCP_FEATURE_URGENT_IN) && rs_seq_before_eq(up, conn->rcv_up))) {
        return;
    }
    conn->rcv_up = up;
    conn->rcv_up_pos = up - conn->irs - 1;
    conn->features |= TCP_FEATURE_URGENT_IN;
    conn->events |= TCP_EVENT_URGENT;
    if (conn->urgent_seq_word != NULL) {
        uint32_t marks = atomic_load_explicit(conn->urgent_seq_word, memory_order_relaxed);
        atomic_store_explicit(conn->urgent_pos_word, conn->rcv_up_pos, memory_order_relaxed);
        /* release: the position first; partner is the client's acquire */
        atomic_store_explicit(conn->urgent_seq_word, marks + 1, memory_order_release);
    }
    tcp_ready(stack, conn);
}

static bool tcp_receives(const struct tcp_conn *conn)
{
    return conn->flow.state == TCP_ESTABLISHED || conn->flow.state == TCP_FIN_WAIT_1 ||
           conn->flow.state == TCP_FIN_WAIT_2;
}

/* Eighth step: the peer's FIN is next in order. */
static void tcp_fin_step(struct stack *stack, struct tcp_conn *conn)
{
    conn->rcv_nxt++;
    tcp_receive_forget(stack, conn); /* what a peer sent behind its FIN */
    conn->events |= TCP_EVENT_END;
    conn->ack_now = 1;
    tcp_ready(stack, conn);
    switch ((enum tcp_state)conn->flow.state) {
    case TCP_ESTABLISHED:
        tcp_set_state(stack, conn, TCP_CLOSE_WAIT);
        break;
    case TCP_FIN_WAIT_1:
        tcp_set_state(stack, conn, TCP_CLOSING);
        break;
    case TCP_FIN_WAIT_2:
        tcp_send_ack(stack, conn);
        tcp_finish(stack, conn, true);
        break;
    default:
        break;
    }
}

/* Data for a program that is gone, or said that it reads no more: the peer must learn that it is
 * lost (RFC 9293 3.6.1, RFC 2525 2.17). */
static bool tcp_unwanted(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    return tcp_has(conn, TCP_FEATURE_ORPHAN | TCP_FEATURE_RECV_SHUT) &&
           segment->payload_bytes > 0 &&
           rs_seq_before(conn->rcv_nxt, segment->seq + segment->payload_bytes);
}

enum counter_id tcp_conn_input(struct stack *stack, struct tcp_conn *conn,
                               const struct tcp_segment *segment)
{
    enum counter_id id = COUNTER_tcp_segments_in;
    if (!tcp_validate(stack, conn, segment, &id) || !tcp_ack_step(stack, conn, segment, &id)) {
        return id;
    }
    tcp_keepalive_touch(stack, conn);
    tcp_ecn_step(stack, conn, segment);
    if (!tcp_fin_acked_step(stack, conn)) {
        return id;
    }
    bool carries = segment->payload_bytes > 0 || (segment->flags & TCP_FLAG_FIN) != 0;
    if (!carries && (segment->flags & TCP_FLAG_URG) == 0) {
        return id;
    }
    if (tcp_receives(conn)) {
        if (tcp_unwanted(conn, segment)) {
            tcp_send_reset(stack, conn);
            tcp_fail(stack, conn, RS_CONN_ABORTED);
            return COUNTER_tcp_unwanted;
        }
        tcp_urgent_step(stack, conn, segment);
        tcp_receive_data(stack, conn, segment);
        if (tcp_has(conn, TCP_FEATURE_PEER_FIN) && conn->rcv_nxt == conn->peer_fin_seq) {
            tcp_fin_step(stack, conn);
        }
    } else if (carries) { /* the peer repeats its FIN, or data before it: our ACK was lost */
        tcp_answer(stack, conn, false);
    }
    return id;
}

/* ---- which flow ---- */

/* For a listener, or for nobody. */
static enum counter_id tcp_no_flow_input(struct stack *stack, const struct tcp_segment *segment)
{
    struct tcp_listener *listener =
        tcp_listener_find(stack, segment->local_be32, segment->local_port_be16);
    if (listener != NULL) {
        return tcp_listen_input(stack, listener, segment);
    }
    tcp_refuse(stack, segment);
    return COUNTER_tcp_no_socket;
}

static enum counter_id tcp_time_wait_step(struct stack *stack, struct tcp_time_wait *wait,
                                          const struct tcp_segment *segment)
{
    bool reopen = false;
    enum counter_id id = tcp_time_wait_input(stack, wait, segment, &reopen);
    return reopen ? tcp_no_flow_input(stack, segment) : id;
}

static enum counter_id tcp_dispatch(struct stack *stack, const struct tcp_segment *segment)
{
    struct tcp_flow *flow = tcp_flow_find(stack, segment->local_be32, segment->local_port_be16,
                                          segment->peer_be32, segment->peer_port_be16);
    if (flow == NULL) {
        return tcp_no_flow_input(stack, segment);
    }
    if (flow->kind == TCP_FLOW_CONN) {
        struct tcp_conn *conn = (struct tcp_conn *)flow;
        return flow->state == TCP_SYN_SENT ? tcp_syn_sent_input(stack, conn, segment)
                                           : tcp_conn_input(stack, conn, segment);
    }
    return flow->kind == TCP_FLOW_REQUEST
               ? tcp_request_input(stack, (struct tcp_request *)flow, segment)
               : tcp_time_wait_step(stack, (struct tcp_time_wait *)flow, segment);
}

static bool tcp_checked(struct stack *stack, const struct ipv4_packet *packet)
{
    switch (tcp_check(packet->payload, packet->payload_bytes)) {
    case TCP_CHECK_TRUNCATED:
        STACK_COUNT(stack, tcp_truncated);
        return false;
    case TCP_CHECK_OFFSET:
        STACK_COUNT(stack, tcp_offset_bad);
        return false;
    case TCP_CHECK_OK:
        break;
    }
    uint32_t flags = packet->pkt->flags;
    bool good = (flags & PKT_RX_L4_CSUM_GOOD) != 0;
    if ((flags & PKT_RX_L4_CSUM_BAD) != 0 ||
        (!good && !tcp_checksum_ok(packet->payload, (uint16_t)packet->payload_bytes,
                                   packet->header->src_be32, packet->header->dst_be32))) {
        STACK_COUNT(stack, tcp_checksum);
        return false;
    }
    return true;
}

void tcp_input(struct stack *stack, const struct ipv4_packet *packet)
{
    if (!tcp_checked(stack, packet)) {
        return;
    }
    if (packet->multicast || packet->broadcast) { /* RFC 9293 MUST-57 */
        STACK_COUNT(stack, tcp_group);
        return;
    }
    const struct wire_tcp *header = (const struct wire_tcp *)packet->payload;
    uint32_t header_bytes = tcp_header_bytes(header);
    struct tcp_segment segment;
    segment.packet = packet;
    segment.payload = packet->payload + header_bytes;
    segment.payload_bytes = packet->payload_bytes - header_bytes;
    segment.seq = rs_be32(header->seq_be32);
    segment.ack = rs_be32(header->ack_be32);
    segment.flags = header->flags;
    segment.end = segment.seq + segment.payload_bytes +
                  ((segment.flags & TCP_FLAG_SYN) != 0 ? 1 : 0) +
                  ((segment.flags & TCP_FLAG_FIN) != 0 ? 1 : 0);
    segment.window = rs_be16(header->window_be16);
    segment.urgent = rs_be16(header->urgent_be16);
    segment.local_port_be16 = header->dst_port_be16;
    segment.peer_port_be16 = header->src_port_be16;
    segment.local_be32 = packet->header->dst_be32;
    segment.peer_be32 = packet->header->src_be32;
    segment.congestion_experienced = (packet->header->tos & 3) == 3;
    if (header_bytes == TCP_HEADER_BYTES) {
        segment.options.present = 0;
        segment.options.sack_count = 0;
    } else if (!tcp_options_parse(packet->payload + TCP_HEADER_BYTES,
                                  header_bytes - TCP_HEADER_BYTES, &segment.options)) {
        STACK_COUNT(stack, tcp_options_bad); /* what came before the bad one counts */
    }
    enum counter_id id = tcp_dispatch(stack, &segment);
    counter_add(&stack->counters, id, 1);
}

/* ---- ICMP errors (RFC 5927, RFC 1191) ---- */

static void tcp_icmp_conn(struct stack *stack, struct tcp_conn *conn, enum rs_status error,
                          uint32_t mtu)
{
    bool opening = conn->flow.state == TCP_SYN_SENT || conn->flow.state == TCP_SYN_RECEIVED;
    if (error == RS_MESSAGE_SIZE) {
        uint32_t mss_before = conn->mss;
        tcp_lower_mtu(stack, conn, mtu);
        if (!opening && conn->mss < mss_before) {
            STACK_COUNT(stack, tcp_mtu_lowered);
            tcp_loss_resend_too_large(stack, conn);
            tcp_ready(stack, conn);
        }
        return;
    }
    /* What is under way may still arrive: only a connection that does not exist yet fails. */
    if (opening) {
        tcp_fail(stack, conn, error == RS_PORT_UNREACHABLE ? RS_CONN_REFUSED : error);
    }
}

bool tcp_icmp_error(struct stack *stack, const uint8_t *quote, uint32_t quote_bytes,
                    uint32_t local_be32, uint32_t peer_be32, enum rs_status error, uint32_t mtu)
{
    const struct wire_tcp *header = (const struct wire_tcp *)quote;
    if (quote_bytes < 8) { /* ports and sequence number */
        return false;
    }
    struct tcp_flow *flow =
        tcp_flow_find(stack, local_be32, header->src_port_be16, peer_be32, header->dst_port_be16);
    uint32_t seq = rs_be32(header->seq_be32);
    if (flow == NULL || flow->kind == TCP_FLOW_TIME_WAIT) {
        return false;
    }
    if (flow->kind == TCP_FLOW_REQUEST) {
        struct tcp_request *request = (struct tcp_request *)flow;
        if (seq != request->iss) {
            return false;
        }
        tcp_request_icmp(stack, request, error);
        return true;
    }
    struct tcp_conn *conn = (struct tcp_conn *)flow;
    /* Who cannot see the segments cannot know this (RFC 5927 4.1). */
    if (rs_seq_before(seq, conn->snd_una) || !rs_seq_before(seq, conn->snd_nxt)) {
        return false;
    }
    tcp_icmp_conn(stack, conn, error, mtu);
    return true;
}

void tcp_report_unsent(struct stack *stack, const struct pkt *pkt, enum rs_status error)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES);
    if (ip->protocol == IPV4_PROTOCOL_TCP) {
        (void)tcp_icmp_error(stack, pkt->data + IPV4_PAYLOAD_OFF, TCP_HEADER_BYTES, ip->src_be32,
                             ip->dst_be32, error, 0);
    }
}
