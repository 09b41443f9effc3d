/*
 * The scoreboard of TCP's sending side against a model that keeps each segment by itself, over
 * random losses, reordering and lost ACKs; each seed is printed. On tcp_loss_rig.h's connection.
 */
#include "tests/unit/tcp_loss_rig.h"

/* What each segment is by the rules, one by one, however slow; against the records after each step.
 * Whether an episode is undone is the engine's word: then its flags are taken over. */
enum { MODEL_SEGMENTS = 4096, MODEL_STEPS = 6000 };
static struct model_segment {
    uint64_t sent_ns;
    bool sacked, lost, retrans, again; /* again: ever sent again */
    bool arrived;                      /* at the peer */
    bool dropped;                      /* its newest transmission */
} model[MODEL_SEGMENTS];
static struct model_rack {
    uint64_t sent_ns, rtt_ns;
    uint32_t end; /* segment index */
    bool any;
} model_rack;
static uint64_t random_state;
static uint32_t model_next; /* segments sent */

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % limit);
}

static uint32_t model_una(void)
{
    return (conn->snd_una - base()) / MSS;
}

/* What the engine has sent since the last look. */
static void model_sent(void)
{
    for (uint32_t i = 0; i < rig.sent_again; i++) {
        struct model_segment *s = &model[rig.again[i % SENT_LOG]];
        s->sent_ns = stack.now_ns;
        s->retrans = s->again = true;
        s->dropped = random_below(6) == 0;
    }
    uint32_t end = (conn->snd_nxt - base()) / MSS;
    for (; model_next < end; model_next++) {
        model[model_next] =
            (struct model_segment){.sent_ns = stack.now_ns, .dropped = random_below(6) == 0};
    }
    rig.sent_new = rig.sent_again = 0;
}

static bool model_overdue(const struct model_segment *s, uint8_t state, uint32_t sacked)
{
    const struct tcp_loss *loss = &conn->loss;
    uint64_t window_ns = loss->rack_reo_mult * (loss->rtt_min_ns / 4);
    window_ns = window_ns < loss->srtt_ns ? window_ns : loss->srtt_ns;
    if (!loss->rack_reordering_seen && (state >= TCP_LOSS_RECOVERY || sacked >= 3)) {
        window_ns = 0;
    }
    return s->sent_ns + model_rack.rtt_ns + window_ns <= stack.now_ns;
}

static uint32_t model_sacked(void)
{
    uint32_t sacked = 0;
    for (uint32_t i = model_una(); i < model_next; i++) {
        sacked += model[i].sacked;
    }
    return sacked;
}

static void model_detect(uint8_t state)
{
    uint32_t sacked = model_sacked();
    for (uint32_t i = model_una(); i < model_next; i++) {
        struct model_segment *s = &model[i];
        bool under_way = !s->sacked && (!s->lost || s->retrans);
        bool before = s->sent_ns < model_rack.sent_ns ||
                      (s->sent_ns == model_rack.sent_ns && i < model_rack.end);
        if (under_way && before && model_overdue(s, state, sacked)) {
            s->lost = true;
            s->retrans = false;
        }
    }
}

static void model_delivered(uint32_t i, uint64_t rtt_min_ns, bool *advanced)
{
    const struct model_segment *s = &model[i];
    uint64_t age_ns = stack.now_ns - s->sent_ns;
    if (s->again && age_ns < rtt_min_ns) {
        return;
    }
    *advanced = true;
    model_rack.rtt_ns = age_ns;
    if (!model_rack.any || s->sent_ns > model_rack.sent_ns ||
        (s->sent_ns == model_rack.sent_ns && i > model_rack.end)) {
        model_rack.any = true;
        model_rack.sent_ns = s->sent_ns;
        model_rack.end = i;
    }
}

static const struct tcp_sent *record_of(uint32_t segment)
{
    uint32_t idx = conn->loss.first;
    while (idx != TCP_NO_INDEX && rs_seq_before_eq(pool[idx].end, seg(segment))) {
        idx = pool[idx].next;
    }
    assert_int_not_equal(idx, TCP_NO_INDEX);
    return &pool[idx];
}

static void model_take_over(void)
{
    for (uint32_t i = model_una(); i < model_next; i++) {
        uint8_t flags = record_of(i)->flags;
        model[i].lost = (flags & TCP_SENT_LOST) != 0;
        model[i].retrans = (flags & TCP_SENT_RETRANS_OUT) != 0;
        model[i].sacked = (flags & TCP_SENT_SACKED) != 0;
    }
}

/* The peer's ACK: the block around `newest` first, then others, as many as there is room for. */
static void model_ack(uint32_t newest)
{
    uint32_t pairs[10] = {0}, count = 0, cum = model_una();
    while (cum < model_next && model[cum].arrived) {
        cum++;
    }
    uint32_t first = newest, last = newest + 1;
    if (newest > cum) {
        while (model[first - 1].arrived) {
            first--;
        }
        while (last < model_next && model[last].arrived) {
            last++;
        }
        pairs[count++] = first;
        pairs[count++] = last;
    }
    for (uint32_t i = model_next; i > cum + 1 && count < 8; i--) {
        if (model[i - 1].arrived && (i - 1 < first || i - 1 >= last || newest < cum)) {
            pairs[count + 1] = i;
            while (model[i - 2].arrived) {
                i--;
            }
            pairs[count] = i - 1;
            count += 2;
        }
    }
    uint64_t rtt_min_ns = conn->loss.rtt_min_ns;
    uint32_t undos = conn->undos, una = model_una();
    uint8_t state = conn->loss.state;
    uint32_t point = conn->loss.recovery_point;
    bool advanced = false;
    ack_bytes(seg(cum), pairs);
    for (uint32_t i = cum; i < model_next; i++) {
        for (uint32_t k = 0; k < count; k += 2) {
            if (i >= pairs[k] && i < pairs[k + 1] && !model[i].sacked) {
                model_delivered(i, rtt_min_ns, &advanced);
                model[i].sacked = true;
                model[i].lost = model[i].retrans = false;
            }
        }
    }
    for (uint32_t i = una; i < cum; i++) {
        if (!model[i].sacked) {
            model_delivered(i, rtt_min_ns, &advanced);
        }
    }
    if (conn->undos != undos) {
        model_take_over();
        return;
    }
    bool left = state >= TCP_LOSS_CWR && !rs_seq_before(conn->snd_una, point);
    if (advanced) {
        model_detect(left ? TCP_LOSS_OPEN : state);
    }
}

static void model_timers(void)
{
    uint8_t state = conn->loss.state;
    if (conn->loss.first == TCP_NO_INDEX) {
        return;
    }
    if (stack.now_ns >= conn->rto_base_ns + tcp_rto_ns(conn)) {
        uint32_t una = model_una(), sacked = model_sacked();
        assert_false(model[una].sacked);
        for (uint32_t i = una; i < model_next; i++) {
            struct model_segment *s = &model[i];
            if (!s->sacked &&
                (i == una || model_rack.rtt_ns == 0 || model_overdue(s, state, sacked))) {
                s->lost = true;
                s->retrans = false;
            }
        }
        tcp_loss_timeout(&stack, conn);
        conn->rto_base_ns = stack.now_ns;
    } else if (conn->loss.reorder_due_ns != 0 && stack.now_ns >= conn->loss.reorder_due_ns) {
        model_detect(state);
        conn->loss.reorder_due_ns = 0;
        tcp_loss_reorder_timer(&stack, conn);
    } else if (stack.now_ns >= tcp_loss_probe_due_ns(&stack, conn)) {
        tcp_loss_probe_timer(&stack, conn);
    }
}

static void check_lists(void)
{
    const struct tcp_loss *loss = &conn->loss;
    uint32_t records = 0, timed = 0, at = conn->snd_una;
    bool hint_passed = loss->lost_hint == TCP_NO_INDEX;
    for (uint32_t idx = loss->first; idx != TCP_NO_INDEX; idx = pool[idx].next) {
        const struct tcp_sent *sent = &pool[idx];
        assert_int_equal(sent->start, at);
        at = sent->end;
        records++;
        hint_passed |= idx == loss->lost_hint;
        bool waits =
            (sent->flags & TCP_SENT_LOST) != 0 && (sent->flags & TCP_SENT_RETRANS_OUT) == 0;
        assert_true(hint_passed || !waits);
        timed += (sent->flags & TCP_SENT_SACKED) == 0 && !waits;
        assert_true(sent->prev == TCP_NO_INDEX || pool[sent->prev].next == idx);
    }
    assert_int_equal(at, conn->snd_nxt);
    uint64_t before_ns = 0;
    for (uint32_t idx = loss->time_first; idx != TCP_NO_INDEX; idx = pool[idx].time_next) {
        assert_true(pool[idx].sent_ns >= before_ns);
        before_ns = pool[idx].sent_ns;
        timed--;
    }
    assert_int_equal(timed, 0);
    assert_int_equal(records + stack.tcp.sent_free_count, CONNS + RECORDS);
}

static void check_model(void)
{
    uint32_t sacked = 0, lost = 0, retrans = 0;
    for (uint32_t i = model_una(); i < model_next; i++) {
        const struct model_segment *s = &model[i];
        uint8_t flags = record_of(i)->flags;
        assert_int_equal((flags & TCP_SENT_SACKED) != 0, s->sacked);
        assert_int_equal((flags & TCP_SENT_LOST) != 0, s->lost);
        assert_int_equal((flags & TCP_SENT_RETRANS_OUT) != 0, s->retrans);
        sacked += s->sacked;
        lost += s->lost;
        retrans += s->retrans;
    }
    assert_int_equal(conn->loss.sacked_bytes, sacked * MSS);
    assert_int_equal(conn->loss.sacked_segments, sacked);
    assert_int_equal(conn->loss.lost_bytes, lost * MSS);
    assert_int_equal(conn->loss.retrans_bytes, retrans * MSS);
    assert_int_equal(tcp_in_flight(conn),
                     (model_next - model_una() - sacked - lost + retrans) * MSS);
    check_lists();
}

static uint32_t random_run(uint64_t seed)
{
    start(TCP_FEATURE_SACK);
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
    memset(&model_rack, 0, sizeof(model_rack));
    model_next = 0;
    for (uint32_t step = 0; step < MODEL_STEPS && model_next < MODEL_SEGMENTS - 200; step++) {
        stack.now_ns += 1000 + random_below(3) * random_below(20) * STACK_NS_PER_MS / 4;
        rig.unsent = random_below(4) == 0 ? 0 : random_below(20) * MSS;
        uint32_t under_way = model_next - model_una();
        model_timers();
        model_sent();
        stack.now_ns += 1000;
        if (under_way > 0 && random_below(4) != 0) {
            /* Mostly in order. */
            uint32_t i = model_una() + random_below(random_below(5) == 0 ? under_way : 1);
            while (i < model_next && (model[i].arrived || model[i].dropped)) {
                i++;
            }
            if (i < model_next) {
                model[i].arrived = true;
                if (random_below(5) != 0) {
                    model_ack(i);
                }
            } else {
                model_ack(model_una()); /* a duplicate arrived */
            }
        }
        check_model();
        stack.now_ns += 1000;
        output();
        conn->congestion.cwnd_bytes = tcp_min_u32(conn->congestion.cwnd_bytes, 100 * MSS);
        model_sent();
        check_model();
    }
    return model_una();
}

static void the_scoreboard_against_each_segment(void **state)
{
    (void)state;
    uint32_t delivered = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        print_message("seed %u\n", (unsigned)seed);
        delivered += random_run(seed);
    }
    print_message("%u segments delivered\n", delivered);
    assert_true(delivered > 60 * 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SACK(the_scoreboard_against_each_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
