/*
 * Printing of the closing ledger, see ledger.h. The names and texts come from the counter list, so
 * a new counter appears here by itself.
 */
#include "dataplane/ledger.h"

#include <inttypes.h>
#include <string.h>

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

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static void json_counters(FILE *out, const struct counters *counters)
{
    fprintf(out, "\"counters\": {");
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", counter_name((enum counter_id)i),
                counter_get(counters, (enum counter_id)i));
    }
    fprintf(out, "}");
}

static void json_nic(FILE *out, const struct nic_stats *nic)
{
    fprintf(out,
            "\"nic_counters\": {\"rx_pkts\": %" PRIu64 ", \"rx_bytes\": %" PRIu64
            ", \"rx_missed_pkts\": %" PRIu64 ", \"rx_errors_pkts\": %" PRIu64
            ", \"rx_no_buffer_pkts\": %" PRIu64 ", \"tx_pkts\": %" PRIu64 ", \"tx_bytes\": %" PRIu64
            ", \"tx_errors_pkts\": %" PRIu64 "}",
            nic->rx_pkts, nic->rx_bytes, nic->rx_missed_pkts, nic->rx_errors_pkts,
            nic->rx_no_buffer_pkts, nic->tx_pkts, nic->tx_bytes, nic->tx_errors_pkts);
}

static void json_sums(FILE *out, const struct counters_sums *sums)
{
    fprintf(out, "\"sums\": {");
    for (unsigned i = 0; i < COUNTER_GROUP_COUNT; i++) {
        fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ",
                counter_group_name((enum counter_group)i), sums->group[i]);
    }
    fprintf(out, "}");
}

bool ledger_print_json(FILE *out, const struct ledger_queue *queues, uint32_t count)
{
    bool balances = true;
    uint64_t lost = 0;
    fprintf(out, "{\"queues\": [");
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_queue *queue = &queues[i];
        struct counters_sums sums;
        bool queue_balances = counters_balance(queue->counters, &sums);
        fprintf(out, "%s{\"nic\": ", i == 0 ? "" : ", ");
        json_string(out, queue->name);
        fprintf(out, ", \"kind\": ");
        json_string(out, nic_kind_text(queue->kind));
        fprintf(out, ", ");
        json_counters(out, queue->counters);
        fprintf(out, ", ");
        json_nic(out, &queue->nic);
        fprintf(out, ", ");
        json_sums(out, &sums);
        fprintf(out, ", \"balances\": %s, \"lost_inside\": %" PRIu64 "}",
                queue_balances ? "true" : "false", sums.lost);
        balances &= queue_balances;
        lost += sums.lost;
    }
    fprintf(out, "], \"balances\": %s, \"lost_inside\": %" PRIu64 "}\n",
            balances ? "true" : "false", lost);
    return balances && lost == 0;
}
