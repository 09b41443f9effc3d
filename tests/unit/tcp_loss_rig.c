/* See tcp_loss_rig.h. */
#include "tests/unit/tcp_loss_rig.h"

struct stack stack;
struct tcp_conn conns[CONNS];
struct tcp_conn *const conn = &conns[0];
struct tcp_sent pool[CONNS + RECORDS];
static uint8_t ring[RING];
rs_atomic_u32 head_word;

struct rig rig;

/* ---- the files that are not here ---- */

void tcp_ready(struct stack *s, struct tcp_conn *c)
{
    (void)s;
    (void)c;
    rig.ready++;
}

void tcp_rearm_retransmit(struct stack *s, struct tcp_conn *c)
{
    (void)s;
    (void)c;
}

uint32_t tcp_ts_clock(const struct stack *s)
{
    return (uint32_t)(s->now_ns / STACK_NS_PER_MS);
}

uint32_t base(void)
{
    return conn->iss + 1;
}

bool tcp_retransmit(struct stack *s, struct tcp_conn *c, uint32_t idx, uint32_t max_bytes)
{
    const struct tcp_sent *sent = tcp_sent_at(s, idx);
    uint32_t bytes = tcp_min_u32(tcp_sent_bytes(sent), max_bytes);
    rig.again[rig.sent_again++ % SENT_LOG] = (sent->start - base()) / MSS;
    if (idx == c->loss.first) {
        c->rto_base_ns = s->now_ns;
    }
    c->last_sent_ns = s->now_ns;
    tcp_sent_again(s, c, idx, bytes);
    return true;
}

void send_new(struct tcp_conn *c, uint32_t bytes)
{
    uint32_t start = c->snd_nxt;
    c->send.tail_cached += bytes;
    if (c->snd_una == c->snd_nxt) {
        c->rto_base_ns = stack.now_ns;
        c->progress_ns = stack.now_ns;
    }
    c->snd_nxt += bytes;
    c->last_sent_ns = stack.now_ns;
    tcp_sent_append(&stack, c, start, c->snd_nxt, false);
    rig.sent_new++;
}

bool tcp_send_forced(struct stack *s, struct tcp_conn *c, uint32_t max_bytes)
{
    (void)s;
    uint32_t bytes = tcp_min_u32(rig.unsent, max_bytes);
    rig.unsent -= bytes;
    if (bytes > 0) {
        send_new(c, bytes);
    }
    return bytes > 0;
}

void output(void)
{
    uint32_t idx;
    while ((idx = tcp_loss_next(&stack, conn)) != TCP_NO_INDEX) {
        if (tcp_loss_allowance(&stack, conn) < tcp_min_u32(MSS, tcp_sent_bytes(&pool[idx]))) {
            return;
        }
        assert_true(tcp_retransmit(&stack, conn, idx, MSS));
    }
    while (rig.unsent > 0) {
        uint32_t bytes = tcp_min_u32(rig.unsent, MSS);
        if (tcp_loss_allowance(&stack, conn) < bytes) {
            return;
        }
        rig.unsent -= bytes;
        send_new(conn, bytes);
    }
}

/* ---- set-up, and the peer ---- */

void start(uint32_t features)
{
    memset(&stack, 0, sizeof(stack));
    memset(conns, 0, sizeof(conns));
    memset(&rig, 0, sizeof(rig));
    stack.now_ns = 10 * STACK_NS_PER_S;
    stack.tcp.config.connections_max = CONNS;
    stack.tcp.config.records_max = RECORDS;
    stack.tcp.config.congestion = TCP_CONGESTION_CUBIC;
    stack.tcp.config.initial_window = 10;
    stack.tcp.config.rto_min_ns = 200 * STACK_NS_PER_MS;
    stack.tcp.config.rto_max_ns = 120 * STACK_NS_PER_S;
    stack.tcp.config.rto_initial_ns = STACK_NS_PER_S;
    stack.tcp.sent = pool;
    stack.tcp.sent_free_count = CONNS + RECORDS;
    for (uint32_t i = 0; i < CONNS + RECORDS; i++) {
        pool[i].next = i + 1 < CONNS + RECORDS ? i + 1 : TCP_NO_INDEX;
    }
    for (uint32_t i = 0; i < CONNS; i++) {
        struct tcp_conn *c = &conns[i];
        c->mss = MSS;
        tcp_loss_init(&stack, c);
        c->features = features;
        c->iss = 0xfffff000u + i; /* wraps soon */
        c->snd_una = c->snd_nxt = c->iss + 1;
        c->cwr_point = c->snd_una;
        c->snd_wnd = c->snd_wnd_max = 500 * MSS;
        c->ts_offset = 12345;
        stream_reader_init(&c->send, ring, RING, 0);
        c->send_head_word = &head_word;
    }
    rig.window = 50000;
    rig.flags = TCP_FLAG_ACK;
    conn->send_wscale = 4;
    conn->snd_wnd = conn->snd_wnd_max = 800000;
}

int setup_sack(void **state)
{
    (void)state;
    start(TCP_FEATURE_SACK);
    return 0;
}

int setup_plain(void **state)
{
    (void)state;
    start(0);
    return 0;
}

void pass_ms(uint32_t ms)
{
    stack.now_ns += ms * STACK_NS_PER_MS;
}

void write_segments(uint32_t count)
{
    rig.unsent += count * MSS;
    rig.sent_new = rig.sent_again = 0;
    output();
}

uint32_t seg(uint32_t segments)
{
    return base() + segments * MSS;
}

/* An ACK of all before `ack` segments, with pairs of SACK blocks, 0 0 ends them. */
void ack_bytes(uint32_t ack_seq, const uint32_t *pairs)
{
    struct tcp_segment segment = {.ack = ack_seq,
                                  .seq = rig.peer_seq,
                                  .end = rig.peer_seq,
                                  .window = rig.window,
                                  .flags = rig.flags};
    struct tcp_options *options = &segment.options;
    for (; pairs != NULL && pairs[0] != pairs[1]; pairs += 2) {
        options->present |= TCP_OPTION_SACK;
        options->sack[options->sack_count++] =
            (struct tcp_sack_block){seg(pairs[0]), seg(pairs[1])};
    }
    if (tcp_has(conn, TCP_FEATURE_TIMESTAMPS)) {
        options->present |= TCP_OPTION_TIMESTAMPS;
        options->tsecr = rig.tsecr;
    }
    rig.sent_new = rig.sent_again = 0;
    tcp_ack_input(&stack, conn, &segment);
    assert_true(conn->loss.sacked_bytes + conn->loss.lost_bytes <= tcp_outstanding(conn));
}

/* A window of segments under way, with an RTT sample behind it. */
void warm(uint32_t segments)
{
    rig.unsent = 0;
    send_new(conn, MSS);
    pass_ms(RTT_MS);
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset - RTT_MS;
    ack_bytes(base() + MSS, NULL);
    conn->iss += MSS; /* count from here on */
    conn->send.head = 0;
    conn->send.tail_cached = 0;
    conn->congestion.cwnd_bytes = segments * MSS;
    write_segments(segments);
    assert_int_equal(rig.sent_new, segments);
    assert_int_equal(conn->loss.srtt_ns, RTT_MS * STACK_NS_PER_MS);
}
