/*
 * Printing of the closing ledger, see ledger.h. The names and texts come from the counter list, so
 * a new counter appears here by itself.
 */
#include "dataplane/ledger.h"

#include <inttypes.h>
#include <string.h>

#include "rings/json.h"

/* Every counter of a group that is not zero, one line each. */
static void ledger_lines(FILE *out, const struct counters *counters, enum counter_group group,
                         const char *label)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        enum counter_id id = (enum counter_id)i;
        uint64_t value = counter_get(counters, id);
        if (counter_group_of(id) == group && value != 0) {
            fprintf(out, "    %-8s %12" PRIu64 "  %s: %s\n", label, value, counter_name(id),
                    counter_text(id));
        }
    }
}

static void ledger_nic_line(FILE *out, const struct nic_stats *nic)
{
    fprintf(out,
            "  the NIC's own count: received %" PRIu64 ", sent %" PRIu64
            "; its drops: missed %" PRIu64 ", no buffer %" PRIu64 ", receive errors %" PRIu64
            ", send errors %" PRIu64 "\n",
            nic->rx_pkts, nic->tx_pkts, nic->rx_missed_pkts, nic->rx_no_buffer_pkts,
            nic->rx_errors_pkts, nic->tx_errors_pkts);
}

static bool ledger_block(FILE *out, const struct counters *counters)
{
    struct counters_sums sums;
    bool balances = counters_balance(counters, &sums);
    const uint64_t *sum = sums.group;
    fprintf(out,
            "  frames in  %10" PRIu64 " = delivered %" PRIu64 " + used %" PRIu64
            " + dropped %" PRIu64 "%s\n",
            sum[COUNTER_GROUP_IN], sum[COUNTER_GROUP_DELIVERED], sum[COUNTER_GROUP_USED],
            sum[COUNTER_GROUP_DROP_IN], sums.frames_balance ? "" : "   DOES NOT BALANCE");
    ledger_lines(out, counters, COUNTER_GROUP_USED, "used");
    ledger_lines(out, counters, COUNTER_GROUP_DROP_IN, "dropped");
    fprintf(out,
            "  sends      %10" PRIu64 " = frames out %" PRIu64 " + local %" PRIu64
            " + waiting %" PRIu64 " + dropped %" PRIu64 "%s\n",
            sum[COUNTER_GROUP_SENT], sum[COUNTER_GROUP_OUT], sum[COUNTER_GROUP_LOCAL],
            sum[COUNTER_GROUP_WAITING], sum[COUNTER_GROUP_DROP_OUT],
            sums.sends_balance ? "" : "   DOES NOT BALANCE");
    ledger_lines(out, counters, COUNTER_GROUP_SENT, "made");
    ledger_lines(out, counters, COUNTER_GROUP_WAITING, "waiting");
    ledger_lines(out, counters, COUNTER_GROUP_DROP_OUT, "dropped");
    fprintf(out,
            "  deliveries %10" PRIu64 " = taken %" PRIu64 " + no room in the receiver %" PRIu64
            "%s\n",
            sum[COUNTER_GROUP_OFFERED], sum[COUNTER_GROUP_TAKEN], sum[COUNTER_GROUP_REFUSED],
            sums.deliveries_balance ? "" : "   DOES NOT BALANCE");
    ledger_lines(out, counters, COUNTER_GROUP_INFO, "note");
    fprintf(out, "  balances: %s; lost inside Ringsock: %" PRIu64 "\n", balances ? "yes" : "NO",
            sums.lost);
    return balances && sums.lost == 0;
}

bool ledger_print(FILE *out, const struct ledger_queue *queues, uint32_t count)
{
    struct counters total;
    bool good = true;
    memset(&total, 0, sizeof(total));
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_queue *queue = &queues[i];
        fprintf(out, "queue %" PRIu32 " on %s (%s)\n", i, queue->name, nic_kind_text(queue->kind));
        good &= ledger_block(out, queue->counters);
        if (queue->kind != RS_NIC_LOOPBACK) {
            ledger_nic_line(out, &queue->nic);
        }
        counters_accumulate(&total, queue->counters);
    }
    if (count > 1) {
        fprintf(out, "all queues\n");
        good &= ledger_block(out, &total);
    }
    return good;
}

/* ---- JSON ---- */

static void json_counters(struct rs_json *json, const struct counters *counters)
{
    rs_json_object(json, "counters");
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        rs_json_u64(json, counter_name((enum counter_id)i),
                    counter_get(counters, (enum counter_id)i));
    }
    rs_json_object_end(json);
}

static void json_nic(struct rs_json *json, const struct nic_stats *nic)
{
    rs_json_object(json, "nic_counters");
    rs_json_u64(json, "rx_pkts", nic->rx_pkts);
    rs_json_u64(json, "rx_bytes", nic->rx_bytes);
    rs_json_u64(json, "rx_missed_pkts", nic->rx_missed_pkts);
    rs_json_u64(json, "rx_errors_pkts", nic->rx_errors_pkts);
    rs_json_u64(json, "rx_no_buffer_pkts", nic->rx_no_buffer_pkts);
    rs_json_u64(json, "tx_pkts", nic->tx_pkts);
    rs_json_u64(json, "tx_bytes", nic->tx_bytes);
    rs_json_u64(json, "tx_errors_pkts", nic->tx_errors_pkts);
    rs_json_object_end(json);
}

static void json_sums(struct rs_json *json, const struct counters_sums *sums)
{
    rs_json_object(json, "sums");
    for (unsigned i = 0; i < COUNTER_GROUP_COUNT; i++) {
        rs_json_u64(json, counter_group_name((enum counter_group)i), sums->group[i]);
    }
    rs_json_object_end(json);
}

bool ledger_print_json(FILE *out, const struct ledger_queue *queues, uint32_t count)
{
    struct rs_json json = rs_json_start(out);
    bool balances = true;
    uint64_t lost = 0;
    rs_json_object(&json, NULL);
    rs_json_array(&json, "queues");
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_queue *queue = &queues[i];
        struct counters_sums sums;
        bool queue_balances = counters_balance(queue->counters, &sums);
        rs_json_object(&json, NULL);
        rs_json_text(&json, "nic", queue->name);
        rs_json_text(&json, "kind", nic_kind_text(queue->kind));
        json_counters(&json, queue->counters);
        json_nic(&json, &queue->nic);
        json_sums(&json, &sums);
        rs_json_bool(&json, "balances", queue_balances);
        rs_json_u64(&json, "lost_inside", sums.lost);
        rs_json_object_end(&json);
        balances &= queue_balances;
        lost += sums.lost;
    }
    rs_json_array_end(&json);
    rs_json_bool(&json, "balances", balances);
    rs_json_u64(&json, "lost_inside", lost);
    rs_json_object_end(&json);
    (void)fputc('\n', out);
    return balances && lost == 0;
}
