/*
 * What must hold of a stack's connections whenever no stack function is running: sums that the
 * engine keeps as it goes, recomputed from its lists; positions that never go back; pools that lose
 * nothing.
 */
#include "tcp_fuzz.h"

static uint32_t records_used, ranges_used;

static void check_records(const struct tcp_stack *tcp, const struct tcp_conn *conn)
{
    const struct tcp_loss *loss = &conn->loss;
    uint32_t bytes = 0, sacked = 0, lost = 0, again = 0, count = 0, timed = 0;
    uint32_t at_seq = conn->snd_una;
    uint32_t prev = TCP_NO_INDEX;
    for (uint32_t at = loss->first; at != TCP_NO_INDEX; at = tcp->sent[at].next) {
        const struct tcp_sent *sent = &tcp->sent[at];
        uint32_t len = rs_seq_distance(sent->start, sent->end);
        MUST(sent->prev == prev && len != 0 && len < 1u << 30);
        /* The oldest may be acknowledged in part. */
        MUST(count == 0 ? rs_seq_before_eq(sent->start, at_seq) && rs_seq_before(at_seq, sent->end)
                        : sent->start == at_seq);
        MUST((sent->flags & TCP_SENT_SACKED) == 0 ||
             (sent->flags & (TCP_SENT_LOST | TCP_SENT_RETRANS_OUT)) == 0);
        at_seq = sent->end;
        bytes += len;
        sacked += (sent->flags & TCP_SENT_SACKED) != 0 ? len : 0;
        lost += (sent->flags & TCP_SENT_LOST) != 0 ? len : 0;
        again += (sent->flags & TCP_SENT_RETRANS_OUT) != 0 ? len : 0;
        timed += (sent->flags & TCP_SENT_RETRANS_OUT) != 0 ||
                 (sent->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) == 0;
        prev = at;
        count++;
    }
    MUST(loss->last == prev);
    MUST(count == 0 || at_seq == conn->snd_nxt);
    /* Without SACK duplicate ACKs stand for what no record says. */
    MUST(tcp_has(conn, TCP_FEATURE_SACK) ? loss->sacked_bytes == sacked
                                         : sacked == 0 && loss->sacked_bytes <= bytes);
    MUST(count == 0 || tcp_in_flight(conn) <= 2 * bytes);
    MUST(loss->lost_bytes == lost);
    MUST(loss->retrans_bytes == again);
    uint32_t found = 0;
    uint64_t newest_ns = 0;
    prev = TCP_NO_INDEX;
    for (uint32_t at = loss->time_first; at != TCP_NO_INDEX; at = tcp->sent[at].time_next) {
        MUST(tcp->sent[at].time_prev == prev && tcp->sent[at].sent_ns >= newest_ns);
        newest_ns = tcp->sent[at].sent_ns;
        prev = at;
        found++;
    }
    MUST(loss->time_last == prev && found == timed);
    records_used += count;
}

static void check_ranges(const struct tcp_stack *tcp, const struct tcp_conn *conn)
{
    uint32_t edge = conn->rcv_nxt;
    uint32_t count = 0;
    for (uint32_t at = conn->ranges; at != TCP_NO_INDEX; at = tcp->ranges[at].next) {
        const struct tcp_range *range = &tcp->ranges[at];
        MUST(rs_seq_before(edge, range->start) && rs_seq_before(range->start, range->end));
        edge = range->end;
        count++;
    }
    MUST(count == conn->range_count && count <= TCP_RANGES_MAX);
    /* A FIN is taken also where the window ends. */
    bool ended = tcp_has(conn, TCP_FEATURE_PEER_FIN) && conn->rcv_nxt == conn->peer_fin_seq + 1;
    MUST(rs_seq_before_eq(edge, conn->rcv_adv + (ended ? 1 : 0)));
    ranges_used += count;
}

static void check_receive_ring(struct fuzz_program *program)
{
    uint32_t head = atomic_load(&program->recv_head);
    uint32_t tail = atomic_load(&program->recv_tail);
    if (program->broken) {
        return;
    }
    MUST(rs_seq_in_range(tail, program->seen_tail, head + fuzz.ring_bytes));
    program->seen_tail = tail;
    for (uint32_t at = program->checked; fuzz.pattern && at != tail; at++) {
        MUST(program->recv_ring[at & (fuzz.ring_bytes - 1)] == fuzz_pattern(at));
    }
    program->checked = tail;
    uint32_t acked = atomic_load(&program->send_head);
    MUST(rs_seq_in_range(acked, program->seen_head, program->send_tail));
    program->seen_head = acked;
}

static void check_conn(struct fuzz_program *program)
{
    const struct tcp_conn *conn = program->conn;
    bool fresh = program->seen_conn != conn;
    MUST(conn->flow.state < TCP_LISTEN);
    if (conn->flow.state == TCP_CLOSED || conn->flow.state == TCP_TIME_WAIT) {
        return;
    }
    MUST(rs_seq_before_eq(conn->snd_una, conn->snd_nxt));
    if (conn->flow.state != TCP_SYN_SENT) {
        if (!fresh && program->seen_rcv_adv != 0) {
            MUST(rs_seq_before_eq(program->seen_rcv_adv, conn->rcv_adv));
            MUST(rs_seq_before_eq(program->seen_rcv_nxt, conn->rcv_nxt));
        }
        bool ended = conn->rcv_nxt == conn->irs + 2 + atomic_load(&program->recv_tail);
        uint32_t ring_end = conn->irs + 1 + atomic_load(&program->recv_head) + fuzz.ring_bytes;
        ring_end += ended ? 1 : 0; /* a FIN needs no room */
        MUST(program->broken || rs_seq_before_eq(conn->rcv_adv, ring_end));
        program->seen_rcv_adv = conn->rcv_adv;
        program->seen_rcv_nxt = conn->rcv_nxt;
    }
    MUST(fresh || rs_seq_before_eq(program->seen_snd_una, conn->snd_una));
    program->seen_snd_una = conn->snd_una;
    program->seen_conn = program->conn;
    /* While it is being reduced (RFC 6937) it follows what is in flight. */
    MUST(conn->congestion.cwnd_bytes >= conn->mss || conn->loss.state >= TCP_LOSS_CWR);
}

static uint32_t free_records(const struct tcp_stack *tcp)
{
    uint32_t count = 0;
    for (uint32_t at = tcp->sent_free; at != TCP_NO_INDEX; at = tcp->sent[at].next) {
        count++;
    }
    return count;
}

static uint32_t free_ranges(const struct tcp_stack *tcp)
{
    uint32_t count = 0;
    for (uint32_t at = tcp->range_free; at != TCP_NO_INDEX; at = tcp->ranges[at].next) {
        count++;
    }
    return count;
}

static void check_pools(const struct tcp_stack *tcp)
{
    uint32_t left = free_records(tcp);
    MUST(left == tcp->sent_free_count);
    MUST(left + records_used == tcp->config.records_max + tcp->config.connections_max);
    MUST(free_ranges(tcp) + ranges_used == tcp->config.ranges_max);
    uint32_t conns = 0;
    for (const struct tcp_conn *conn = tcp->conn_free; conn != NULL; conn = conn->free_next) {
        conns++;
    }
    MUST(conns + tcp->conn_count == tcp->conns_used);
    uint32_t requests = 0;
    for (const struct tcp_request *at = fuzz.listener.request_first; at != NULL; at = at->next) {
        requests++;
    }
    MUST(requests == tcp->request_count && requests <= tcp->config.requests_max);
    MUST(fuzz.listener.requests == requests);
    uint32_t waits = 0;
    for (const struct tcp_time_wait *at = tcp->time_wait_first; at != NULL; at = at->next) {
        waits++;
    }
    MUST(waits == tcp->time_wait_count && waits <= tcp->config.time_waits_max);
}

void fuzz_check(void)
{
    const struct tcp_stack *tcp = &fuzz.stack->tcp;
    struct counters_sums sums;
    MUST(counters_balance(stack_counters(fuzz.stack), &sums));
    MUST(nic_memory_held(fuzz.nic) == sums.group[COUNTER_GROUP_WAITING]);
    records_used = 0;
    ranges_used = 0;
    uint32_t places = 0, conns = 0;
    for (uint32_t i = 0; i < FUZZ_PROGRAMS; i++) {
        struct fuzz_program *program = &fuzz.programs[i];
        places += program->listener_place;
        if (program->conn != NULL) {
            check_records(tcp, program->conn);
            check_ranges(tcp, program->conn);
            check_conn(program);
            check_receive_ring(program);
            conns++;
        }
    }
    MUST(conns == tcp->conn_count);
    MUST(places == atomic_load(&fuzz.backlog.used));
    check_pools(tcp);
}

void fuzz_check_empty(void)
{
    const struct tcp_stack *tcp = &fuzz.stack->tcp;
    for (uint32_t i = 0; i < FUZZ_PROGRAMS; i++) {
        MUST(fuzz.programs[i].conn == NULL);
    }
    MUST(tcp->conn_count == 0 && tcp->request_count == 0 && tcp->time_wait_count == 0);
    MUST(records_used == 0 && ranges_used == 0 && tcp->ready_head == tcp->ready_tail);
}
