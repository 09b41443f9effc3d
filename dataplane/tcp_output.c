/*
 * TCP out: what may leave a connection now, in which order (retransmissions, new data, FIN, an
 * ACK), and the making of segments. Payload is copied from the send ring, which the client can
 * write at any time, so the checksum is that of the copy. Queue thread; from tcp_run, the timers
 * and tcp_input.c. Calls neighbour_send with finished packets.
 */
#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/tcp_loss.h"

#define TCP_OVERHEAD_BYTES (IPV4_HEADER_BYTES + TCP_HEADER_BYTES)
#define TCP_FRAME_OFF      IPV4_PAYLOAD_OFF
#define TCP_SACK_BYTES(n)  (4u + 8u * (n))
#define TCP_ECT0           2u

/* ---- segment size ---- */

void tcp_update_mss(struct tcp_conn *conn)
{
    uint32_t mss = conn->path_mtu - TCP_OVERHEAD_BYTES;
    mss = tcp_min_u32(mss, conn->mss_peer);
    if (conn->settings.mss_max != 0) {
        mss = tcp_min_u32(mss, conn->settings.mss_max);
    }
    mss = mss < TCP_MSS_MIN ? TCP_MSS_MIN : mss;
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        mss -= TCP_OPTIONS_TIMESTAMPS_BYTES;
    }
    conn->mss = (uint16_t)mss;
    if (conn->congestion.mss_bytes != 0) {
        tcp_congestion_set_mss(&conn->congestion, mss);
    }
}

/* ---- making segments ---- */

/* A frame on its way: the TCP header lies at TCP_FRAME_OFF, `bytes` from there on. */
struct tcp_frame {
    struct pkt pkt;
    uint32_t bytes;
    uint64_t sum; /* of header, options and payload; unused when the NIC adds up */
    uint32_t src_be32, dst_be32;
    uint8_t ttl, tos;
};

/* Header and options are in place: checksum and IPv4 header. */
static void tcp_frame_finish(struct stack *stack, struct tcp_frame *frame)
{
    struct wire_tcp *header = (struct wire_tcp *)(frame->pkt.data + TCP_FRAME_OFF);
    uint64_t pseudo;
    if ((frame->pkt.flags & PKT_TX_TCP_SEG) != 0) {
        pseudo = checksum_pseudo(frame->src_be32, frame->dst_be32, TCP_PROTOCOL, 0);
        header->checksum_be16 = checksum_fold(pseudo);
    } else {
        pseudo =
            checksum_pseudo(frame->src_be32, frame->dst_be32, TCP_PROTOCOL, (uint16_t)frame->bytes);
        bool offload = (stack->nic->caps & NIC_CAP_TX_TCP_CSUM) != 0;
        frame->pkt.flags |= offload ? PKT_TX_TCP_CSUM : 0u;
        header->checksum_be16 =
            offload ? checksum_fold(pseudo) : checksum_finish(frame->sum + pseudo);
    }
    ipv4_finish(stack, &frame->pkt,
                &(struct ipv4_send){.src_be32 = frame->src_be32,
                                    .dst_be32 = frame->dst_be32,
                                    .protocol = IPV4_PROTOCOL_TCP,
                                    .ttl = frame->ttl,
                                    .tos = frame->tos,
                                    .dont_fragment = true,
                                    .header_bytes = IPV4_HEADER_BYTES,
                                    .payload_bytes = frame->bytes});
}

/* And off to the next hop. */
static void tcp_frame_send(struct stack *stack, struct tcp_frame *frame,
                           struct neighbour *neighbour)
{
    tcp_frame_finish(stack, frame);
    STACK_COUNT(stack, tcp_segments_out);
    if (neighbour != NULL) {
        neighbour_send(stack, neighbour, &frame->pkt);
    } else {
        ipv4_output(stack, &frame->pkt, frame->dst_be32);
    }
}

bool tcp_send_control(struct stack *stack, const struct tcp_control *control)
{
    struct tcp_frame frame = {.src_be32 = control->local_be32,
                              .dst_be32 = control->peer_be32,
                              .ttl = control->ttl != 0 ? control->ttl : TCP_TTL_DEFAULT,
                              .tos = control->tos};
    if (!stack->nic->ops->tx_alloc(stack->nic, &frame.pkt)) {
        STACK_COUNT(stack, tcp_no_buffer);
        return false;
    }
    uint8_t *at = frame.pkt.data + TCP_FRAME_OFF;
    frame.bytes = TCP_HEADER_BYTES + tcp_options_emit(at + TCP_HEADER_BYTES, &control->options);
    tcp_emit(at, &(struct wire_tcp){.src_port_be16 = control->local_port_be16,
                                    .dst_port_be16 = control->peer_port_be16,
                                    .seq_be32 = rs_be32(control->seq),
                                    .ack_be32 = rs_be32(control->ack),
                                    .offset = tcp_offset(frame.bytes),
                                    .flags = control->flags,
                                    .window_be16 = rs_be16(control->window)});
    frame.sum = checksum_add(0, at, frame.bytes);
    tcp_frame_send(stack, &frame, NULL);
    return true;
}

void tcp_refuse(struct stack *stack, const struct tcp_segment *segment)
{
    if ((segment->flags & TCP_FLAG_RST) != 0 || segment->packet->multicast ||
        segment->packet->broadcast) {
        return;
    }
    if (!icmp_limit_pass(stack, &stack->icmp.resets)) {
        STACK_COUNT(stack, tcp_resets_limited);
        return;
    }
    bool acked = (segment->flags & TCP_FLAG_ACK) != 0;
    const struct tcp_control control = {.local_be32 = segment->local_be32,
                                        .peer_be32 = segment->peer_be32,
                                        .local_port_be16 = segment->local_port_be16,
                                        .peer_port_be16 = segment->peer_port_be16,
                                        .seq = acked ? segment->ack : 0,
                                        .ack = acked ? 0 : segment->end,
                                        .flags =
                                            acked ? TCP_FLAG_RST : TCP_FLAG_RST | TCP_FLAG_ACK};
    if (tcp_send_control(stack, &control)) {
        STACK_COUNT(stack, tcp_resets_out);
    }
}

/* What a connection's segments say beside payload. */
static uint16_t tcp_window_field(struct tcp_conn *conn)
{
    uint32_t window = tcp_receive_window(conn) >> conn->recv_wscale;
    return (uint16_t)tcp_min_u32(window, 65535);
}

/* RFC 2018 3: what the header has room for. */
static uint32_t tcp_sack_blocks_max(const struct tcp_conn *conn)
{
    return tcp_has(conn, TCP_FEATURE_TIMESTAMPS) ? TCP_SACK_MAX_BLOCKS - 1 : TCP_SACK_MAX_BLOCKS;
}

static void tcp_conn_options(struct stack *stack, struct tcp_conn *conn,
                             struct tcp_options *options)
{
    options->present = 0;
    options->sack_count = 0;
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        options->present = TCP_OPTION_TIMESTAMPS;
        options->tsval = tcp_ts_clock(stack) + conn->ts_offset;
        options->tsecr = conn->ts_recent;
    }
    bool dsack = conn->dsack.start != conn->dsack.end;
    if (tcp_has(conn, TCP_FEATURE_SACK) && (conn->range_count > 0 || dsack)) {
        options->sack_count =
            (uint8_t)tcp_receive_sack(stack, conn, options->sack, tcp_sack_blocks_max(conn));
        options->present |= options->sack_count > 0 ? TCP_OPTION_SACK : 0;
    }
}

/* An ACK has left, alone or with data. */
static void tcp_acked_now(struct tcp_conn *conn)
{
    conn->ack_now = 0;
    conn->unacked_bytes = 0;
    conn->last_ack_sent = conn->rcv_nxt;
    tcp_timer_clear(conn, TCP_TIMER_ACK);
}

static uint8_t tcp_conn_flags(const struct tcp_conn *conn)
{
    return tcp_has(conn, TCP_FEATURE_ECE) ? TCP_FLAG_ACK | TCP_FLAG_ECE : TCP_FLAG_ACK;
}

/* Header and options of a segment of this connection; its payload goes behind them. */
static void tcp_conn_header(struct stack *stack, struct tcp_conn *conn, struct tcp_frame *frame,
                            uint32_t seq, uint8_t flags)
{
    uint8_t *at = frame->pkt.data + TCP_FRAME_OFF;
    struct tcp_options options;
    tcp_conn_options(stack, conn, &options);
    frame->src_be32 = conn->flow.local_be32;
    frame->dst_be32 = conn->flow.peer_be32;
    frame->ttl = conn->flow.ttl;
    frame->tos = conn->flow.tos;
    frame->bytes = TCP_HEADER_BYTES + tcp_options_emit(at + TCP_HEADER_BYTES, &options);
    uint16_t urgent = 0;
    if (tcp_has(conn, TCP_FEATURE_URGENT_OUT) && rs_seq_before(seq, conn->snd_up)) {
        urgent = (uint16_t)tcp_min_u32(conn->snd_up - seq, 65535);
        flags |= TCP_FLAG_URG;
    }
    tcp_emit(at, &(struct wire_tcp){.src_port_be16 = conn->flow.local_port_be16,
                                    .dst_port_be16 = conn->flow.peer_port_be16,
                                    .seq_be32 = rs_be32(seq),
                                    .ack_be32 = rs_be32(conn->rcv_nxt),
                                    .offset = tcp_offset(frame->bytes),
                                    .flags = flags,
                                    .window_be16 = rs_be16(tcp_window_field(conn)),
                                    .urgent_be16 = rs_be16(urgent)});
    tcp_acked_now(conn);
}

static bool tcp_conn_alloc(struct stack *stack, struct tcp_conn *conn, struct tcp_frame *frame,
                           uint32_t payload_bytes)
{
    bool big = payload_bytes > conn->mss;
    bool got =
        stack_tx_ready(stack) && (big ? stack->nic->ops->tx_alloc_big(stack->nic, &frame->pkt)
                                      : stack->nic->ops->tx_alloc(stack->nic, &frame->pkt));
    if (!got) {
        conn->features |= TCP_FEATURE_BLOCKED;
        STACK_COUNT(stack, tcp_blocked);
        return false;
    }
    if (big) {
        frame->pkt.flags = PKT_TX_TCP_SEG;
        frame->pkt.segment_bytes = conn->mss;
    }
    return true;
}

static struct neighbour *tcp_neighbour(struct stack *stack, struct tcp_conn *conn)
{
    return conn->next_hop_be32 == 0
               ? NULL
               : neighbour_get_kept(stack, conn->next_hop_be32, &conn->neighbour);
}

/* len_bytes from the send ring, from sequence number seq on, behind the header. */
static void tcp_frame_payload(const struct stack *stack, const struct tcp_conn *conn,
                              struct tcp_frame *frame, uint32_t seq, uint32_t len_bytes)
{
    struct stream_const_region regions[2];
    uint8_t *payload = frame->pkt.data + TCP_FRAME_OFF + frame->bytes;
    uint32_t pos = seq - conn->iss - 1;
    uint32_t got = len_bytes == 0 ? 0
                                  : stream_reader_regions(&conn->send, pos - conn->send.head,
                                                          len_bytes, regions);
    assert(got == len_bytes);
    if (len_bytes == 0) {
        regions[0].len_bytes = regions[1].len_bytes = 0;
        regions[0].base = regions[1].base = payload;
    }
    if ((stack->nic->caps & NIC_CAP_TX_TCP_CSUM) == 0) {
        frame->sum = checksum_add(0, frame->pkt.data + TCP_FRAME_OFF, frame->bytes);
        uint64_t first = checksum_copy(0, payload, regions[0].base, regions[0].len_bytes);
        uint64_t second =
            checksum_copy(0, payload + regions[0].len_bytes, regions[1].base, regions[1].len_bytes);
        frame->sum += first + ((regions[0].len_bytes & 1) != 0 ? checksum_shift(second) : second);
    } else {
        memcpy(payload, regions[0].base, regions[0].len_bytes);
        memcpy(payload + regions[0].len_bytes, regions[1].base, regions[1].len_bytes);
    }
    (void)got;
    frame->bytes += len_bytes;
}

/* All of a frame of tcp_warm but its end: it goes nowhere. */
static void tcp_frame_drop(struct stack *stack, struct tcp_frame *frame,
                           const struct tcp_conn *conn)
{
    uint32_t next_hop_be32 = conn->next_hop_be32;
    tcp_frame_finish(stack, frame);
    if (next_hop_be32 != 0 || route_next_hop(stack, conn->flow.peer_be32, &next_hop_be32)) {
        neighbour_warm(stack, next_hop_be32, &frame->pkt);
    }
    __builtin_prefetch(&stack->tx_pkts[stack->tx_tail & (STACK_TX_QUEUE_PKTS - 1)], 1);
    (void)stack->nic->ops->tx_burst(stack->nic, &frame->pkt, 0); /* looks at its ring */
    stack->nic->ops->tx_free(stack->nic, &frame->pkt);
}

/* One segment with len_bytes from the send ring, at sequence number seq. False: no buffer now. */
static bool tcp_send_data(struct stack *stack, struct tcp_conn *conn, uint32_t seq,
                          uint32_t len_bytes, uint8_t flags, uint8_t tos)
{
    struct tcp_frame frame;
    if (!tcp_conn_alloc(stack, conn, &frame, len_bytes)) {
        return false;
    }
    tcp_conn_header(stack, conn, &frame, seq, flags);
    tcp_frame_payload(stack, conn, &frame, seq, len_bytes);
    frame.tos |= tos;
    if (__builtin_expect(tcp_has(conn, TCP_FEATURE_DRY), 0)) {
        tcp_frame_drop(stack, &frame, conn);
        return true;
    }
    tcp_frame_send(stack, &frame, tcp_neighbour(stack, conn));
    return true;
}

void tcp_send_ack(struct stack *stack, struct tcp_conn *conn)
{
    if (tcp_send_data(stack, conn, conn->snd_nxt, 0, tcp_conn_flags(conn), 0)) {
        STACK_COUNT(stack, tcp_acks_out);
    } else {
        conn->ack_now = 1;
        tcp_ready(stack, conn);
    }
}

void tcp_send_reset(struct stack *stack, struct tcp_conn *conn)
{
    if (tcp_send_data(stack, conn, conn->snd_nxt, 0, TCP_FLAG_RST | TCP_FLAG_ACK, 0)) {
        TCP_TRACE(stack, &conn->flow, tcp_reset_out, conn->flow.state, conn->error);
        STACK_COUNT(stack, tcp_resets_out);
        conn->features &= ~(uint32_t)TCP_FEATURE_RESET_DUE;
    } else {
        conn->features |= TCP_FEATURE_RESET_DUE;
    }
}

void tcp_send_probe(struct stack *stack, struct tcp_conn *conn)
{
    /* One before what the peer has acknowledged: it must answer that with an ACK, and no byte of
     * the stream is at stake (as Linux does). */
    (void)tcp_send_data(stack, conn, conn->snd_una - 1, 0, tcp_conn_flags(conn), 0);
}

/* Only so many frames wait for a MAC, and connects may be more. */
static bool tcp_syn_has_room(struct stack *stack, struct tcp_conn *conn)
{
    struct neighbour *neighbour = tcp_neighbour(stack, conn);
    return neighbour == NULL || neighbour_has_room(stack, neighbour);
}

void tcp_send_syn(struct stack *stack, struct tcp_conn *conn)
{
    bool passive = conn->flow.state == TCP_SYN_RECEIVED;
    struct tcp_control control = {.local_be32 = conn->flow.local_be32,
                                  .peer_be32 = conn->flow.peer_be32,
                                  .local_port_be16 = conn->flow.local_port_be16,
                                  .peer_port_be16 = conn->flow.peer_port_be16,
                                  .seq = conn->iss,
                                  .flags = TCP_FLAG_SYN,
                                  .ttl = conn->flow.ttl,
                                  .tos = conn->flow.tos};
    control.options.present = TCP_OPTION_MSS;
    control.options.mss = tcp_mss_offered(stack->nic->mtu_bytes, &conn->settings);
    if (tcp_has(conn, TCP_FEATURE_SACK)) {
        control.options.present |= TCP_OPTION_SACK_OK;
    }
    if (tcp_has(conn, TCP_FEATURE_WSCALE)) {
        control.options.present |= TCP_OPTION_WSCALE;
        control.options.wscale = conn->recv_wscale;
    }
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        control.options.present |= TCP_OPTION_TIMESTAMPS;
        control.options.tsval = tcp_ts_clock(stack) + conn->ts_offset;
        control.options.tsecr = passive ? conn->ts_recent : 0;
    }
    uint32_t window = tcp_min_u32(conn->recv_limit_bytes, 65535);
    if (passive) { /* one sent again takes nothing back, also when SO_RCVBUF was lowered since */
        uint32_t left = rs_seq_distance(conn->rcv_nxt, conn->rcv_adv);
        window = window > left ? window : left;
    }
    control.window = (uint16_t)window;
    if (passive) {
        control.flags |= TCP_FLAG_ACK | (tcp_has(conn, TCP_FEATURE_ECN) ? TCP_FLAG_ECE : 0);
        control.ack = conn->rcv_nxt;
        conn->rcv_adv = conn->rcv_nxt + window;
        tcp_acked_now(conn);
    } else if (tcp_has(conn, TCP_FEATURE_ECN) && conn->loss.backoff == 0) {
        /* Not in repeated SYNs: what dropped the first one may dislike ECN (RFC 3168 6.1.1.1). */
        control.flags |= TCP_FLAG_ECE | TCP_FLAG_CWR;
    }
    conn->syn_sent_ns = stack->now_ns;
    conn->rto_base_ns = stack->now_ns;
    if (conn->loss.backoff == 0) {
        conn->progress_ns = stack->now_ns;
    }
    /* A SYN-ACK is lost when there is no buffer, and comes again when the peer asks or the timer
     * does; a first SYN would make its program wait a second. */
    conn->features &= ~(uint32_t)TCP_FEATURE_SYN_DUE;
    if (!passive && !tcp_syn_has_room(stack, conn)) {
        tcp_neighbour_wait(stack, conn);
    } else if (!tcp_send_control(stack, &control) && !passive) {
        conn->features |= TCP_FEATURE_SYN_DUE | TCP_FEATURE_BLOCKED;
    }
    tcp_timer_set(stack, conn, TCP_TIMER_RETRANSMIT,
                  tcp_user_due_ns(conn, stack->now_ns + tcp_rto_ns(conn)));
}

/* ---- retransmission ---- */

/* The most payload a segment may have: SACK blocks take from it. */
static uint32_t tcp_payload_max(const struct tcp_conn *conn)
{
    bool dsack = conn->dsack.start != conn->dsack.end;
    uint32_t blocks = conn->range_count + (dsack ? 1u : 0u);
    if (!tcp_has(conn, TCP_FEATURE_SACK) || blocks == 0) {
        return conn->mss;
    }
    uint32_t bytes = TCP_SACK_BYTES(tcp_min_u32(blocks, tcp_sack_blocks_max(conn)));
    /* Where blocks would leave hardly anything the frame has room for both: mss is small then. */
    return conn->mss > bytes + TCP_MSS_MIN ? conn->mss - bytes
                                           : tcp_min_u32(conn->mss, TCP_MSS_MIN);
}

bool tcp_retransmit(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx,
                    uint32_t max_bytes)
{
    const struct tcp_sent *sent = &stack->tcp.sent[sent_idx];
    uint32_t start = sent->start;
    uint32_t bytes = tcp_min_u32(sent->end - start, tcp_min_u32(max_bytes, tcp_payload_max(conn)));
    bool fin = (sent->flags & TCP_SENT_FIN) != 0 && bytes == sent->end - start;
    bool first = sent_idx == conn->loss.first;
    uint32_t payload_bytes = bytes - (fin ? 1 : 0);
    uint8_t flags = tcp_conn_flags(conn) | (fin ? TCP_FLAG_FIN : 0);
    bool last = start + payload_bytes == conn->iss + 1 + conn->send.tail_cached;
    flags |= payload_bytes > 0 && last ? TCP_FLAG_PSH : 0;
    if (!tcp_send_data(stack, conn, start, payload_bytes, flags, 0)) {
        return false;
    }
    TCP_TRACE(stack, &conn->flow, tcp_retransmit, start, bytes);
    STACK_COUNT(stack, tcp_retransmits);
    conn->retransmits++;
    conn->retransmitted_bytes += payload_bytes;
    conn->last_sent_ns = stack->now_ns;
    if (first) {
        conn->rto_base_ns = stack->now_ns;
    }
    tcp_sent_again(stack, conn, sent_idx, bytes);
    return true;
}

/* ---- what holds it back ---- */

static void tcp_limit_change(const struct stack *stack, struct tcp_conn *conn, uint8_t limit)
{
    tcp_limits_change(&conn->limits, (enum rs_tcp_limit)conn->flow.limit, (enum rs_tcp_limit)limit,
                      stack->now_ns, conn->sent_bytes + conn->retransmitted_bytes);
    conn->flow.limit = limit;
}

/* Until a timeout is repaired it is congestion, whatever else would hold it back. */
static void tcp_limited(const struct stack *stack, struct tcp_conn *conn, enum rs_tcp_limit by)
{
    uint8_t limit = (uint8_t)(conn->loss.state == TCP_LOSS_TIMEOUT ? RS_TCP_LIMIT_CONGESTION : by);
    if (conn->flow.limit != limit) {
        tcp_limit_change(stack, conn, limit);
    }
}

/* What recovery asks for, as the congestion window allows. False: blocked, or no more allowed. */
static bool tcp_output_lost(struct stack *stack, struct tcp_conn *conn, uint32_t *budget_bytes)
{
    uint32_t idx;
    while ((idx = tcp_loss_next(stack, conn)) != TCP_NO_INDEX) {
        const struct tcp_sent *sent = &stack->tcp.sent[idx];
        uint32_t bytes = tcp_min_u32(sent->end - sent->start, tcp_payload_max(conn));
        /* Behind a window that shrank only the first segment is tried. */
        uint32_t edge = conn->snd_una + conn->snd_wnd;
        if (sent->start != conn->snd_una && rs_seq_before(edge, sent->start + bytes)) {
            tcp_limited(stack, conn, RS_TCP_LIMIT_RECEIVER);
            return false;
        }
        if (*budget_bytes < bytes) {
            tcp_ready(stack, conn);
            return false;
        }
        if (tcp_loss_allowance(stack, conn) < bytes) {
            tcp_limited(stack, conn, RS_TCP_LIMIT_CONGESTION);
            return false;
        }
        if (!tcp_retransmit(stack, conn, idx, bytes)) {
            return false;
        }
        *budget_bytes -= bytes;
    }
    return true;
}

/* ---- new data ---- */

static uint32_t tcp_unsent(const struct tcp_conn *conn)
{
    uint32_t end = conn->iss + 1 + conn->send.tail_cached;
    return rs_seq_before(conn->snd_nxt, end) ? end - conn->snd_nxt : 0;
}

static uint32_t tcp_window_left(const struct tcp_conn *conn)
{
    uint32_t edge = conn->snd_una + conn->snd_wnd;
    return rs_seq_before(conn->snd_nxt, edge) ? edge - conn->snd_nxt : 0;
}

static bool tcp_fin_due(const struct tcp_conn *conn)
{
    return tcp_has(conn, TCP_FEATURE_FIN_QUEUED) && !tcp_has(conn, TCP_FEATURE_FIN_SENT);
}

/* RFC 9293 3.8.6.2.1, and 3.7.4 in Minshall's form: a small segment waits while another small one
 * is not acknowledged. */
static bool tcp_small_may_leave(const struct tcp_conn *conn, uint32_t bytes, uint32_t unsent_bytes)
{
    if (bytes < unsent_bytes) { /* the window is what makes it small */
        return bytes >= conn->snd_wnd_max / 2;
    }
    if (conn->settings.nodelay || tcp_fin_due(conn)) {
        return true;
    }
    if (tcp_has(conn, TCP_FEATURE_URGENT_OUT) && rs_seq_before(conn->snd_nxt, conn->snd_up)) {
        return true;
    }
    return !rs_seq_before(conn->snd_una, conn->snd_sml);
}

/* [snd_nxt, + bytes) for the first time, with the FIN when it is next. */
static bool tcp_send_new(struct stack *stack, struct tcp_conn *conn, uint32_t bytes, bool fin)
{
    uint32_t start = conn->snd_nxt;
    bool idle = conn->snd_una == conn->snd_nxt;
    uint8_t flags = tcp_conn_flags(conn) | (fin ? TCP_FLAG_FIN : 0);
    uint8_t tos = 0;
    bool small = bytes > 0 && bytes < tcp_payload_max(conn);
    bool last = start + bytes == conn->iss + 1 + conn->send.tail_cached;
    flags |= bytes > 0 && last ? TCP_FLAG_PSH : 0;
    if (tcp_has(conn, TCP_FEATURE_ECN) && bytes > 0) {
        tos = TCP_ECT0;
        flags |= tcp_has(conn, TCP_FEATURE_CWR) ? TCP_FLAG_CWR : 0;
    }
    if (!tcp_send_data(stack, conn, start, bytes, flags, tos)) {
        return false;
    }
    if (bytes > 0) {
        conn->features &= ~(uint32_t)TCP_FEATURE_CWR;
        if (conn->quick_acks > 0 &&
            stack->now_ns - conn->last_received_ns < stack->tcp.config.delayed_ack_ns) {
            conn->quick_acks = 0; /* a dialogue: answers carry the ACKs */
        }
    }
    conn->snd_nxt = start + bytes + (fin ? 1 : 0);
    conn->features |= fin ? TCP_FEATURE_FIN_SENT : 0u;
    conn->snd_sml = small ? conn->snd_nxt : conn->snd_sml;
    conn->sent_bytes += bytes;
    conn->last_sent_ns = stack->now_ns;
    if (idle) {
        conn->rto_base_ns = stack->now_ns;
        conn->progress_ns = stack->now_ns;
    }
    tcp_sent_append(stack, conn, start, conn->snd_nxt, fin);
    return true;
}

/* How much the next segment carries: a full one, several where the NIC cuts them, or less. 0: it
 * must wait, for *limit. */
static uint32_t tcp_next_bytes(struct stack *stack, struct tcp_conn *conn, uint32_t budget_bytes,
                               enum rs_tcp_limit *limit)
{
    uint32_t unsent = tcp_unsent(conn);
    uint32_t max = tcp_payload_max(conn);
    uint32_t bytes = tcp_min_u32(unsent, tcp_window_left(conn));
    uint32_t one = tcp_min_u32(bytes, max);
    if (one == 0 || (one < max && !tcp_small_may_leave(conn, one, unsent))) {
        *limit = one < unsent ? RS_TCP_LIMIT_RECEIVER : RS_TCP_LIMIT_SENDER;
        return 0;
    }
    uint32_t allowance = tcp_loss_allowance(stack, conn);
    if (allowance < one) {
        *limit = RS_TCP_LIMIT_CONGESTION;
        /* The window counts bytes: what is left of it may be less than a segment. */
        return conn->snd_una == conn->snd_nxt && allowance > 0 ? allowance : 0;
    }
    bool urgent =
        tcp_has(conn, TCP_FEATURE_URGENT_OUT) && rs_seq_before(conn->snd_nxt, conn->snd_up);
    if (bytes <= max || max != conn->mss || max < NIC_TSO_SEGMENT_BYTES_MIN ||
        stack->nic->tso_max_bytes == 0 || urgent) {
        return one;
    }
    bytes = tcp_min_u32(tcp_min_u32(bytes, allowance), budget_bytes);
    bytes = tcp_min_u32(bytes, stack->nic->tso_max_bytes);
    if (bytes < 2u * max) {
        return one;
    }
    return bytes - bytes % max; /* a division for at least two segments */
}

static void tcp_output_new(struct stack *stack, struct tcp_conn *conn, uint32_t *budget_bytes)
{
    for (;;) {
        uint32_t unsent = tcp_unsent(conn);
        if (*budget_bytes == 0 && unsent > 0) {
            tcp_ready(stack, conn);
            return;
        }
        enum rs_tcp_limit limit = RS_TCP_LIMIT_SENDER;
        uint32_t bytes = unsent > 0 ? tcp_next_bytes(stack, conn, *budget_bytes, &limit) : 0;
        bool fin = tcp_fin_due(conn) && bytes == unsent && tcp_window_left(conn) > bytes;
        if (bytes == 0 && !fin) {
            tcp_limited(stack, conn, limit);
            return;
        }
        bool sent = tcp_send_new(stack, conn, bytes, fin);
        if (!sent && bytes > conn->mss) { /* no big buffer: a plain one may be left */
            conn->features &= ~(uint32_t)TCP_FEATURE_BLOCKED;
            bytes = conn->mss;
            sent = tcp_send_new(stack, conn, bytes, false);
        }
        if (!sent || fin) {
            if (sent) {
                tcp_limited(stack, conn, RS_TCP_LIMIT_SENDER);
            }
            return;
        }
        *budget_bytes -= tcp_min_u32(bytes, *budget_bytes);
    }
}

bool tcp_send_forced(struct stack *stack, struct tcp_conn *conn, uint32_t max_bytes)
{
    uint32_t unsent = tcp_unsent(conn);
    uint32_t bytes = tcp_min_u32(tcp_min_u32(unsent, tcp_window_left(conn)),
                                 tcp_min_u32(max_bytes, tcp_payload_max(conn)));
    bool fin = tcp_fin_due(conn) && bytes == unsent && tcp_window_left(conn) > bytes;
    return (bytes > 0 || fin) && tcp_send_new(stack, conn, bytes, fin);
}

/* The path was lowered a good while ago: it may have changed (RFC 1191 6.3). */
static void tcp_raise_mtu(struct stack *stack, struct tcp_conn *conn)
{
    uint32_t mss_before = conn->mss;
    conn->mtu_raise_ns = 0;
    conn->features &= ~(uint32_t)TCP_FEATURE_MSS_PROVEN;
    conn->path_mtu = (uint16_t)tcp_min_u32(stack->nic->mtu_bytes, 65535);
    tcp_update_mss(conn);
    TCP_TRACE(stack, &conn->flow, tcp_mss, mss_before, conn->mss);
}

void tcp_output(struct stack *stack, struct tcp_conn *conn)
{
    uint32_t budget_bytes = TCP_SEND_BATCH_BYTES;
    if (conn->mtu_raise_ns != 0 && stack->now_ns >= conn->mtu_raise_ns) {
        tcp_raise_mtu(stack, conn);
    }
    bool something = conn->snd_una != conn->snd_nxt || conn->send.tail_cached != conn->send.head ||
                     tcp_fin_due(conn);
    if (something) {
        if (tcp_output_lost(stack, conn, &budget_bytes)) {
            tcp_output_new(stack, conn, &budget_bytes);
        }
        tcp_rearm_retransmit(stack, conn);
    } else if (conn->flow.limit != RS_TCP_LIMIT_SENDER) {
        tcp_limit_change(stack, conn, RS_TCP_LIMIT_SENDER);
    }
    if (conn->ack_now != 0 && !tcp_has(conn, TCP_FEATURE_BLOCKED)) {
        tcp_send_ack(stack, conn);
    }
}

/* ---- a send that is expected ---- */

/* Nothing is under way or waits, in either direction. */
static bool tcp_is_quiet(const struct tcp_conn *conn)
{
    const uint32_t busy = TCP_FEATURE_FIN_QUEUED | TCP_FEATURE_BLOCKED | TCP_FEATURE_URGENT_OUT;
    return (conn->flow.state == TCP_ESTABLISHED || conn->flow.state == TCP_CLOSE_WAIT) &&
           (conn->features & busy) == 0 && conn->snd_una == conn->snd_nxt &&
           conn->loss.first == TCP_NO_INDEX && stream_reader_ready(&conn->send) == 0 &&
           conn->mtu_raise_ns == 0;
}

/* tcp_output on a copy of the connection, which may change: so the real one cannot. What lies
 * outside of a connection is left alone (the wheel: the copy's timer looks as if it were there, and
 * due already; the transmit queue: TCP_FEATURE_DRY) or put back (the record of the segment). */
void tcp_warm(struct stack *stack, const struct tcp_conn *conn, uint32_t len_bytes)
{
    struct pkt pkt;
    if (!tcp_is_quiet(conn) || !stack_tx_ready(stack) ||
        !stack->nic->ops->tx_alloc(stack->nic, &pkt)) {
        return; /* what is not quiet is not cold */
    }
    stack->nic->ops->tx_free(stack->nic, &pkt); /* so there is one for the copy */
    struct tcp_conn copy = *conn;
    const uint16_t ip_id = stack->ip_id;
    copy.features |= TCP_FEATURE_DRY;
    copy.timer.prev = &copy.timer.next;
    copy.timer.due_ns = 0;
    copy.ack_now = 0;
    copy.send.tail_cached +=
        tcp_min_u32(tcp_min_u32(len_bytes, tcp_payload_max(&copy)), copy.send.size_bytes);
    tcp_output(stack, &copy);
    while (copy.loss.last != TCP_NO_INDEX) {
        tcp_sent_free(stack, &copy, copy.loss.last);
    }
    stack->ip_id = ip_id;
}
