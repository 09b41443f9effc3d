/*
 * Names and sums of the counters. Any thread: it reads relaxed words and constant tables. Called by
 * the ledger, ringsockctl's status page and the tests, which check the balances after every script.
 */
#include "dataplane/counters.h"

#include <string.h>

static const struct {
    const char *name;
    const char *text;
    enum counter_group group;
} counter_table[COUNTER_COUNT] = {
#define COUNTER_ROW(name, group, text) {#name, text, COUNTER_GROUP_##group},
    COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};

static const char *const group_names[COUNTER_GROUP_COUNT] = {
    "in",      "delivered", "used",    "drop_in", "sent",    "out",  "local",
    "waiting", "drop_out",  "offered", "taken",   "refused", "info",
};

/* What a ledger must call lost inside Ringsock, apart from drops that the sender or the network
 * caused. recv_ring_full covers udp_receivers_full and local_receivers_full. */
static const enum counter_id lost_inside[] = {
    COUNTER_recv_ring_full, COUNTER_neighbour_queue_full, COUNTER_neighbour_table_full,
    COUNTER_tx_no_buffer,   COUNTER_tx_queue_full,        COUNTER_hand_over_full,
    COUNTER_tx_stuck,
};

const char *counter_name(enum counter_id id)
{
    return (unsigned)id < COUNTER_COUNT ? counter_table[id].name : "?";
}

const char *counter_text(enum counter_id id)
{
    return (unsigned)id < COUNTER_COUNT ? counter_table[id].text : "?";
}

enum counter_group counter_group_of(enum counter_id id)
{
    return (unsigned)id < COUNTER_COUNT ? counter_table[id].group : COUNTER_GROUP_INFO;
}

const char *counter_group_name(enum counter_group group)
{
    return (unsigned)group < COUNTER_GROUP_COUNT ? group_names[group] : "?";
}

bool counters_balance(const struct counters *counters, struct counters_sums *out)
{
    memset(out, 0, sizeof(*out));
    uint64_t *sum = out->group;
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        sum[counter_table[id].group] += counter_get(counters, (enum counter_id)id);
    }
    out->frames_balance = sum[COUNTER_GROUP_IN] == sum[COUNTER_GROUP_DELIVERED] +
                                                       sum[COUNTER_GROUP_USED] +
                                                       sum[COUNTER_GROUP_DROP_IN];
    out->sends_balance =
        sum[COUNTER_GROUP_SENT] == sum[COUNTER_GROUP_OUT] + sum[COUNTER_GROUP_LOCAL] +
                                       sum[COUNTER_GROUP_WAITING] + sum[COUNTER_GROUP_DROP_OUT];
    out->deliveries_balance =
        sum[COUNTER_GROUP_OFFERED] == sum[COUNTER_GROUP_TAKEN] + sum[COUNTER_GROUP_REFUSED];
    for (unsigned i = 0; i < sizeof(lost_inside) / sizeof(lost_inside[0]); i++) {
        out->lost += counter_get(counters, lost_inside[i]);
    }
    return out->frames_balance && out->sends_balance && out->deliveries_balance;
}

void counters_accumulate(struct counters *total, const struct counters *counters)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        counter_add(total, (enum counter_id)id, counter_get(counters, (enum counter_id)id));
    }
}
