/*
 * Building IGMP messages: current-state and state-change records packed into as few packets as the
 * MTU allows, and the version 2 messages. Queue thread; igmp.c decides when.
 */
#include "dataplane/igmp.h"

#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/wire/igmp.h"

#define IGMP_ALL_ROUTERS 0x020000e0u /* 224.0.0.2 */
#define IGMP_ALL_SYSTEMS 0x010000e0u /* 224.0.0.1 */
#define IGMP_V3_ROUTERS  0x160000e0u /* 224.0.0.22 */
#define IGMP_IP_HEADER   24u         /* with the router alert option */
#define IGMP_TOS         0xc0        /* internetwork control, RFC 3376 section 4 */
#define IGMP_PAYLOAD_OFF (ETHERNET_HEADER_BYTES + IGMP_IP_HEADER)

bool igmp_is_reported(const struct stack *stack, uint32_t group_be32)
{
    return stack->wire && !stack->follower && group_be32 != IGMP_ALL_SYSTEMS;
}

static bool igmp_begin(struct stack *stack, struct pkt *pkt)
{
    STACK_COUNT(stack, igmp_made);
    if (!stack->nic->ops->tx_alloc(stack->nic, pkt)) {
        STACK_COUNT(stack, tx_no_buffer);
        return false;
    }
    return true;
}

/* RFC 2113 router alert, TTL 1: routers on the link look at it, and it goes no farther. */
static void igmp_send(struct stack *stack, struct pkt *pkt, uint32_t dst_be32, uint32_t len_bytes)
{
    static const uint8_t router_alert[4] = {0x94, 0x04, 0x00, 0x00};
    memcpy(pkt->data + IPV4_PAYLOAD_OFF, router_alert, sizeof(router_alert));
    ipv4_finish(stack, pkt,
                &(struct ipv4_send){
                    .src_be32 = stack->ip_be32,
                    .dst_be32 = dst_be32,
                    .protocol = IPV4_PROTOCOL_IGMP,
                    .ttl = 1,
                    .tos = IGMP_TOS,
                    .header_bytes = IGMP_IP_HEADER,
                    .payload_bytes = len_bytes,
                });
    ipv4_output_group(stack, pkt, dst_be32);
}

void igmp_report_v2(struct stack *stack, uint8_t type, uint32_t group_be32)
{
    struct pkt pkt;
    if (!igmp_begin(stack, &pkt)) {
        return;
    }
    igmp_emit(pkt.data + IGMP_PAYLOAD_OFF, type, group_be32);
    igmp_send(stack, &pkt, type == IGMP_LEAVE ? IGMP_ALL_ROUTERS : group_be32, IGMP_BYTES);
}

/* ---- version 3 ---- */

/* A report that fills up and is sent when the next record does not fit. */
struct igmp_report {
    struct pkt pkt;
    bool open;
    uint16_t records;
    uint32_t len_bytes;
};

static void report_close(struct stack *stack, struct igmp_report *report)
{
    if (!report->open) {
        return;
    }
    igmp_emit_report(report->pkt.data + IGMP_PAYLOAD_OFF, report->records, report->len_bytes);
    igmp_send(stack, &report->pkt, IGMP_V3_ROUTERS, report->len_bytes);
    report->open = false;
}

/* Room for a record's head and at least one source. */
static bool report_open(struct stack *stack, struct igmp_report *report)
{
    uint32_t max_bytes = stack->nic->mtu_bytes - IGMP_IP_HEADER;
    if (report->open && report->len_bytes + IGMP_RECORD_BYTES + 4 > max_bytes) {
        report_close(stack, report);
    }
    if (!report->open) {
        report->open = igmp_begin(stack, &report->pkt);
        report->records = 0;
        report->len_bytes = IGMP_REPORT_V3_BYTES;
    }
    return report->open;
}

typedef bool (*igmp_source_filter)(const struct igmp_group *group,
                                   const struct igmp_source *source);

/* One record with the group's sources that the filter picks. What does not fit goes into another
 * record, except an exclude list, which is cut: each exclude record replaces the one before, and a
 * router that excludes too little does no harm (RFC 3376 section 4.2.16). keep_empty: a record
 * without sources says something too. */
static void report_record(struct stack *stack, struct igmp_report *report,
                          const struct igmp_group *group, uint8_t type, igmp_source_filter picks,
                          bool keep_empty)
{
    uint32_t max_bytes = stack->nic->mtu_bytes - IGMP_IP_HEADER;
    bool cut = type == IGMP_IS_EXCLUDE || type == IGMP_TO_EXCLUDE;
    const struct igmp_source *source = group->sources;
    bool first = true;
    for (;;) {
        while (source != NULL && !picks(group, source)) {
            source = source->next;
        }
        if ((source == NULL || (cut && !first)) && !(first && keep_empty)) {
            return;
        }
        if (!report_open(stack, report)) {
            return;
        }
        uint8_t *record = report->pkt.data + IGMP_PAYLOAD_OFF + report->len_bytes;
        uint16_t count = 0;
        report->len_bytes += IGMP_RECORD_BYTES;
        for (; source != NULL && report->len_bytes + 4 <= max_bytes; source = source->next) {
            if (picks(group, source)) {
                memcpy(report->pkt.data + IGMP_PAYLOAD_OFF + report->len_bytes, &source->ip_be32,
                       4);
                report->len_bytes += 4;
                count++;
            }
        }
        igmp_emit_record(record, type, group->group_be32, count);
        report->records++;
        first = false;
    }
}

static bool picks_listed(const struct igmp_group *group, const struct igmp_source *source)
{
    (void)group;
    return source->listed;
}

static bool picks_allowed_change(const struct igmp_group *group, const struct igmp_source *source)
{
    return source->changes > 0 && source->listed != group->exclude;
}

static bool picks_blocked_change(const struct igmp_group *group, const struct igmp_source *source)
{
    return source->changes > 0 && source->listed == group->exclude;
}

static bool asked_for(const struct igmp_group *group, uint32_t ip_be32)
{
    const struct igmp_source *asked = group->asked;
    while (asked != NULL && asked->ip_be32 != ip_be32) {
        asked = asked->next;
    }
    return asked != NULL;
}

static bool picks_asked_and_listed(const struct igmp_group *group, const struct igmp_source *source)
{
    return source->listed && asked_for(group, source->ip_be32);
}

void igmp_report_change(struct stack *stack, struct igmp_group *group)
{
    struct igmp_report report = {.open = false};
    if (group->mode_changes > 0) {
        group->mode_changes--;
        report_record(stack, &report, group, group->exclude ? IGMP_TO_EXCLUDE : IGMP_TO_INCLUDE,
                      picks_listed, true);
    } else {
        report_record(stack, &report, group, IGMP_ALLOW, picks_allowed_change, false);
        report_record(stack, &report, group, IGMP_BLOCK, picks_blocked_change, false);
        for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
            if (source->changes > 0) {
                source->changes--;
            }
        }
    }
    report_close(stack, &report);
}

/* RFC 3376 section 5.2: asked about sources, a host names those it wants. In EXCLUDE mode those are
 * the asked ones that are not listed, which therefore are no sources of the group's own list. */
static void report_asked_excluded(struct stack *stack, struct igmp_report *report,
                                  const struct igmp_group *group)
{
    struct igmp_group wanted = {.group_be32 = group->group_be32, .sources = NULL};
    struct igmp_source *asked = group->asked;
    for (; asked != NULL; asked = asked->next) {
        asked->listed = true;
        const struct igmp_source *source = group->sources;
        for (; source != NULL; source = source->next) {
            if (source->listed && source->ip_be32 == asked->ip_be32) {
                asked->listed = false;
            }
        }
    }
    wanted.sources = group->asked;
    report_record(stack, report, &wanted, IGMP_IS_INCLUDE, picks_listed, false);
}

static void report_group_state(struct stack *stack, struct igmp_report *report,
                               const struct igmp_group *group, bool with_asked)
{
    if (!group->active || !igmp_is_reported(stack, group->group_be32)) {
        return;
    }
    if (!with_asked || group->asked == NULL) {
        report_record(stack, report, group, group->exclude ? IGMP_IS_EXCLUDE : IGMP_IS_INCLUDE,
                      picks_listed, group->exclude);
    } else if (group->exclude) {
        report_asked_excluded(stack, report, group);
    } else {
        report_record(stack, report, group, IGMP_IS_INCLUDE, picks_asked_and_listed, false);
    }
}

void igmp_report_state(struct stack *stack, const struct igmp_group *group)
{
    struct igmp_report report = {.open = false};
    if (group != NULL) {
        report_group_state(stack, &report, group, true);
    } else {
        for (group = stack->igmp.groups; group != NULL; group = group->next) {
            report_group_state(stack, &report, group, false);
        }
    }
    report_close(stack, &report);
}
