/*
 * IGMP of a host, see igmp.h: groups and their merged filters, queries, timers. Section numbers are
 * those of RFC 3376 unless another RFC is named.
 */
#include "dataplane/igmp.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/igmp.h"

#define IGMP_ALL_SYSTEMS       0x010000e0u           /* 224.0.0.1 */
#define IGMP_ROBUSTNESS        2                     /* 8.1 */
#define IGMP_QUERY_INTERVAL_S  125u                  /* 8.2 */
#define IGMP_RESPONSE_NS       (10 * STACK_NS_PER_S) /* 8.3, also for v1 queries (RFC 2236 4) */
#define IGMP_UNSOLICITED_NS    (1 * STACK_NS_PER_S)  /* 8.11 */
#define IGMP_UNSOLICITED_V2_NS (10 * STACK_NS_PER_S) /* RFC 2236 8.10 */
#define IGMP_RESPONSE_UNIT_NS  (100 * STACK_NS_PER_MS)
#define IGMP_ASKED_SOURCES_MAX 64u /* of one group; asked about more, the whole state is told */

/* ---- life ---- */

enum rs_status igmp_init(struct stack *stack, const struct stack_config *config)
{
    struct igmp_state *igmp = &stack->igmp;
    /* Twice: groups that were left stay until their reports are sent. */
    uint32_t groups = 2 * config->memberships_max + 1;
    /* Listed sources are at most those of the memberships; the other half is for those that were
     * dropped and still have to be reported, and for queries. */
    uint32_t sources = 2 * membership_sources_max(config);
    uint32_t chains = 1u << stack_table_bits(groups);
    igmp->chain_mask = chains - 1;
    igmp->version = config->igmp_version;
    igmp->speaks = config->igmp_version;
    igmp->robustness = IGMP_ROBUSTNESS;
    igmp->query_interval_s = IGMP_QUERY_INTERVAL_S;
    igmp->older_due_ns = STACK_NEVER;
    igmp->general_due_ns = STACK_NEVER;
    igmp->groups_memory = calloc(groups, sizeof(*igmp->groups_memory));
    igmp->sources_memory = calloc(sources, sizeof(*igmp->sources_memory));
    igmp->chains = calloc(chains, sizeof(struct igmp_group *));
    if (igmp->groups_memory == NULL || igmp->sources_memory == NULL || igmp->chains == NULL) {
        igmp_destroy(stack);
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < groups; i++) {
        igmp->groups_memory[i].chain_next = igmp->free_groups;
        igmp->free_groups = &igmp->groups_memory[i];
    }
    for (uint32_t i = 0; i < sources; i++) {
        igmp->sources_memory[i].next = igmp->free_sources;
        igmp->free_sources = &igmp->sources_memory[i];
    }
    return RS_OK;
}

void igmp_destroy(struct stack *stack)
{
    struct igmp_state *igmp = &stack->igmp;
    free(igmp->groups_memory);
    free(igmp->sources_memory);
    free(igmp->chains);
    memset(igmp, 0, sizeof(*igmp));
}

/* ---- groups ---- */

/* Groups whose MAC is the same land in the same chain: see stack_multicast_macs. */
static struct igmp_group **group_chain(const struct igmp_state *igmp, uint32_t group_be32)
{
    uint32_t mac_bits = rs_be32(group_be32) & 0x7fffffu;
    return &igmp->chains[(mac_bits ^ (mac_bits >> 11)) & igmp->chain_mask];
}

static struct igmp_group *group_find(const struct igmp_state *igmp, uint32_t group_be32)
{
    struct igmp_group *group = *group_chain(igmp, group_be32);
    while (group != NULL && group->group_be32 != group_be32) {
        group = group->chain_next;
    }
    return group;
}

static void source_free(struct igmp_state *igmp, struct igmp_source **link)
{
    struct igmp_source *source = *link;
    *link = source->next;
    source->next = igmp->free_sources;
    igmp->free_sources = source;
}

static void group_forget_asked(struct igmp_state *igmp, struct igmp_group *group)
{
    while (group->asked != NULL) {
        source_free(igmp, &group->asked);
    }
}

static void group_free(struct stack *stack, struct igmp_group *group)
{
    struct igmp_state *igmp = &stack->igmp;
    while (group->sources != NULL) {
        source_free(igmp, &group->sources);
    }
    group_forget_asked(igmp, group);
    struct igmp_group **link = group_chain(igmp, group->group_be32);
    while (*link != group) {
        link = &(*link)->chain_next;
    }
    *link = group->chain_next;
    *group->prev = group->next;
    if (group->next != NULL) {
        group->next->prev = group->prev;
    }
    group->chain_next = igmp->free_groups;
    igmp->free_groups = group;
}

/* Drops sources that are in no filter and in no report to come; a group without members goes when
 * nothing is left to say about it. */
static void group_tidy(struct stack *stack, struct igmp_group *group)
{
    struct igmp_source **link = &group->sources;
    while (*link != NULL) {
        (*link)->was_listed = (*link)->listed;
        if ((*link)->listed || (*link)->changes > 0) {
            link = &(*link)->next;
        } else {
            source_free(&stack->igmp, link);
        }
    }
    if (group->members == NULL && group->change_due_ns == STACK_NEVER) {
        group_free(stack, group);
    }
}

struct igmp_group *igmp_group_get(struct stack *stack, uint32_t group_be32)
{
    struct igmp_state *igmp = &stack->igmp;
    struct igmp_group *group = group_find(igmp, group_be32);
    if (group != NULL) {
        return group;
    }
    if (igmp->free_groups == NULL) {
        /* There are more records than memberships, so one of a group that was left exists. */
        for (group = igmp->groups; group->members != NULL; group = group->next) {
        }
        group_free(stack, group);
    }
    group = igmp->free_groups;
    igmp->free_groups = group->chain_next;
    struct igmp_group **chain = group_chain(igmp, group_be32);
    *group = (struct igmp_group){
        .chain_next = *chain,
        .next = igmp->groups,
        .prev = &igmp->groups,
        .group_be32 = group_be32,
        .change_due_ns = STACK_NEVER,
        .response_due_ns = STACK_NEVER,
    };
    if (igmp->groups != NULL) {
        igmp->groups->prev = &group->next;
    }
    igmp->groups = group;
    *chain = group;
    return group;
}

/* ---- the merged filter ---- */

/* A free source; when there is none, reports about dropped sources and answers to queries are given
 * up for it: what is listed always fits (igmp_init). */
static struct igmp_source *source_take(struct stack *stack)
{
    struct igmp_state *igmp = &stack->igmp;
    if (igmp->free_sources == NULL) {
        for (struct igmp_group *group = igmp->groups; group != NULL; group = group->next) {
            group_forget_asked(igmp, group);
            struct igmp_source **link = &group->sources;
            while (*link != NULL) {
                if ((*link)->listed || (*link)->was_listed) {
                    link = &(*link)->next;
                } else {
                    source_free(igmp, link);
                }
            }
        }
    }
    struct igmp_source *source = igmp->free_sources;
    if (source != NULL) {
        igmp->free_sources = source->next;
    }
    return source;
}

static void group_list(struct stack *stack, struct igmp_group *group, uint32_t ip_be32)
{
    struct igmp_source *source = group->sources;
    while (source != NULL && source->ip_be32 != ip_be32) {
        source = source->next;
    }
    if (source == NULL) {
        source = source_take(stack);
        if (source == NULL) {
            return;
        }
        *source = (struct igmp_source){.next = group->sources, .ip_be32 = ip_be32};
        group->sources = source;
    }
    source->listed = true;
}

/* True when no member of the group wants the source. */
static bool group_excludes(const struct igmp_group *group, uint32_t ip_be32)
{
    const struct udp_membership *member = group->members;
    for (; member != NULL; member = member->group_next) {
        if (membership_lists(member, ip_be32) != member->exclude) {
            return false;
        }
    }
    return true;
}

/* Section 3.2. Returns the new filter mode; listed of each source is the new list. */
static bool group_merge(struct stack *stack, struct igmp_group *group)
{
    const struct udp_membership *excluding = NULL;
    for (const struct udp_membership *m = group->members; m != NULL; m = m->group_next) {
        if (m->exclude && (excluding == NULL || m->source_count < excluding->source_count)) {
            excluding = m;
        }
    }
    for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
        source->was_listed = source->listed;
        source->listed = false;
    }
    if (excluding != NULL) {
        /* What is excluded by all is in the shortest exclude list. */
        const struct membership_source *source = excluding->sources;
        for (; source != NULL; source = source->next) {
            if (group_excludes(group, source->ip_be32)) {
                group_list(stack, group, source->ip_be32);
            }
        }
        return true;
    }
    for (const struct udp_membership *m = group->members; m != NULL; m = m->group_next) {
        const struct membership_source *source = m->sources;
        for (; source != NULL; source = source->next) {
            group_list(stack, group, source->ip_be32);
        }
    }
    return false;
}

/* ---- reporting changes ---- */

static void igmp_schedule(struct stack *stack, uint64_t due_ns)
{
    if (due_ns < stack->timer_due_ns[STACK_TIMER_IGMP]) {
        stack_timer_set(stack, STACK_TIMER_IGMP, due_ns);
    }
}

static bool group_has_changes(const struct igmp_group *group)
{
    const struct igmp_source *source = group->sources;
    while (source != NULL && source->changes == 0) {
        source = source->next;
    }
    return group->mode_changes > 0 || source != NULL;
}

/* Sends the state-change report that is due and arms the next (5.1; RFC 2236 section 3). */
static void group_send_change(struct stack *stack, struct igmp_group *group)
{
    uint64_t interval_ns = IGMP_UNSOLICITED_NS;
    if (stack->igmp.speaks == 3) {
        igmp_report_change(stack, group);
    } else {
        interval_ns = IGMP_UNSOLICITED_V2_NS;
        if (group->mode_changes > 0) {
            group->mode_changes--;
        }
        group->last_reporter = true;
        igmp_report_v2(stack, IGMP_REPORT_V2, group->group_be32);
    }
    group->change_due_ns = STACK_NEVER;
    if (group_has_changes(group)) {
        group->change_due_ns = stack->now_ns + 1 + stack_random_below(stack, interval_ns);
        igmp_schedule(stack, group->change_due_ns);
    }
}

/* Version 2 knows only member or not. */
static void group_changed_v2(struct stack *stack, struct igmp_group *group, bool was_active)
{
    for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
        source->changes = 0;
    }
    if (group->active && !was_active) {
        group->mode_changes = stack->igmp.robustness;
        group_send_change(stack, group);
    } else if (!group->active && was_active) {
        group->mode_changes = 0;
        group->change_due_ns = STACK_NEVER;
        if (group->last_reporter) {
            group->last_reporter = false;
            igmp_report_v2(stack, IGMP_LEAVE, group->group_be32);
        }
    }
}

/* Section 5.1: a change of mode is reported with the whole list, otherwise the sources that came
 * and went; each of it robustness times, the first at once. A change that comes while an earlier
 * one is still repeated goes into the same reports. */
static void group_changed_v3(struct stack *stack, struct igmp_group *group, bool mode_changed)
{
    bool changed = mode_changed;
    if (mode_changed) {
        group->mode_changes = stack->igmp.robustness;
    }
    for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
        if (mode_changed) {
            source->changes = 0;
        } else if (source->listed != source->was_listed) {
            source->changes = stack->igmp.robustness;
            changed = true;
        }
    }
    if (changed) {
        group_send_change(stack, group);
    }
}

void igmp_group_changed(struct stack *stack, struct igmp_group *group)
{
    bool was_active = group->active;
    bool exclude = group_merge(stack, group);
    bool mode_changed = exclude != group->exclude;
    group->exclude = exclude;
    group->active = group->members != NULL;
    if (igmp_is_reported(stack, group->group_be32)) {
        if (stack->igmp.speaks == 3) {
            group_changed_v3(stack, group, mode_changed);
        } else {
            group_changed_v2(stack, group, was_active);
        }
    }
    bool macs_changed = was_active != group->active;
    group_tidy(stack, group);
    if (macs_changed) {
        igmp_notify_macs(stack);
    }
}

/* As if each group had just been joined, but not all of them at once. */
void igmp_link_up(struct stack *stack)
{
    for (struct igmp_group *group = stack->igmp.groups; group != NULL; group = group->next) {
        if (!group->active || !igmp_is_reported(stack, group->group_be32)) {
            continue;
        }
        for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
            source->changes = 0; /* the whole list is told */
        }
        group->mode_changes = stack->igmp.robustness;
        group->change_due_ns = stack->now_ns + stack_random_below(stack, IGMP_UNSOLICITED_NS);
        igmp_schedule(stack, group->change_due_ns);
    }
}

void igmp_notify_macs(struct stack *stack)
{
    if (stack->upcalls.multicast_changed != NULL && !stack->follower) {
        stack->upcalls.multicast_changed(stack->upcalls.context);
    }
}

uint32_t stack_multicast_macs(const struct stack *stack, uint8_t (*macs)[6], uint32_t max)
{
    uint32_t count = 0;
    if (!stack->wire || stack->follower) {
        return 0;
    }
    /* Queries come to 224.0.0.1. Of several groups with one MAC, all in one chain, the first active
     * one stands for it. */
    if (count < max) {
        ethernet_multicast_mac(macs[count++], IGMP_ALL_SYSTEMS);
    }
    for (const struct igmp_group *group = stack->igmp.groups; group != NULL; group = group->next) {
        uint8_t mac[6];
        ethernet_multicast_mac(mac, group->group_be32);
        bool first = group->active && group->group_be32 != IGMP_ALL_SYSTEMS;
        const struct igmp_group *other = *group_chain(&stack->igmp, group->group_be32);
        for (; first && other != group; other = other->chain_next) {
            uint8_t other_mac[6];
            ethernet_multicast_mac(other_mac, other->group_be32);
            first = !other->active || !ethernet_equal(mac, other_mac);
        }
        first = first && !ethernet_equal(mac, macs[0]);
        if (first && count < max) {
            memcpy(macs[count++], mac, sizeof(mac));
        }
    }
    return count;
}

/* ---- queries ---- */

static void igmp_cancel_all(struct stack *stack)
{
    struct igmp_state *igmp = &stack->igmp;
    igmp->general_due_ns = STACK_NEVER;
    struct igmp_group *next;
    for (struct igmp_group *group = igmp->groups; group != NULL; group = next) {
        next = group->next;
        group->response_due_ns = STACK_NEVER;
        group->change_due_ns = STACK_NEVER;
        group->mode_changes = 0;
        for (struct igmp_source *source = group->sources; source != NULL; source = source->next) {
            source->changes = 0;
        }
        group_forget_asked(igmp, group);
        group_tidy(stack, group);
    }
}

/* 7.2.1: changing the version cancels everything under way. */
static void igmp_speak(struct stack *stack, uint8_t version)
{
    if (stack->igmp.speaks != version) {
        stack->igmp.speaks = version;
        STACK_COUNT(stack, igmp_fallbacks);
        igmp_cancel_all(stack);
    }
}

/* 8.12: the older querier is forgotten after this long without a query of it. */
static void igmp_heard_older_querier(struct stack *stack)
{
    struct igmp_state *igmp = &stack->igmp;
    if (igmp->version < 3) {
        return;
    }
    igmp_speak(stack, 2);
    igmp->older_due_ns = stack->now_ns + IGMP_RESPONSE_NS +
                         igmp->robustness * (uint64_t)igmp->query_interval_s * STACK_NS_PER_S;
    igmp_schedule(stack, igmp->older_due_ns);
}

/* RFC 2236 section 3: an earlier answer that is still to come stands. */
static void igmp_query_v2(struct stack *stack, uint32_t group_be32, uint64_t max_ns)
{
    for (struct igmp_group *group = stack->igmp.groups; group != NULL; group = group->next) {
        if (!group->active || !igmp_is_reported(stack, group->group_be32) ||
            (group_be32 != 0 && group_be32 != group->group_be32)) {
            continue;
        }
        if (group->response_due_ns == STACK_NEVER ||
            group->response_due_ns > stack->now_ns + max_ns) {
            group->response_due_ns = stack->now_ns + 1 + stack_random_below(stack, max_ns);
            igmp_schedule(stack, group->response_due_ns);
        }
    }
}

/* Notes the sources of a query. Too many, or no memory: the whole state is told instead. */
static void group_ask(struct stack *stack, struct igmp_group *group,
                      const struct wire_igmp_query_v3 *query)
{
    struct igmp_state *igmp = &stack->igmp;
    uint32_t count = 0;
    for (struct igmp_source *source = group->asked; source != NULL; source = source->next) {
        count++;
    }
    uint32_t more = rs_be16(query->source_count_be16);
    for (uint32_t i = 0; i < more; i++) {
        struct igmp_source *source = igmp->free_sources;
        if (count == IGMP_ASKED_SOURCES_MAX || source == NULL) {
            group_forget_asked(igmp, group);
            return;
        }
        igmp->free_sources = source->next;
        *source =
            (struct igmp_source){.next = group->asked, .ip_be32 = igmp_query_source(query, i)};
        group->asked = source;
        count++;
    }
}

/* The five rules of section 5.2. */
static void igmp_query_v3(struct stack *stack, const struct wire_igmp_query_v3 *query,
                          uint64_t max_ns)
{
    struct igmp_state *igmp = &stack->igmp;
    uint64_t due_ns = stack->now_ns + 1 + stack_random_below(stack, max_ns);
    if (igmp->general_due_ns <= due_ns) {
        return;
    }
    if (query->common.group_be32 == 0) {
        igmp->general_due_ns = due_ns;
        igmp_schedule(stack, due_ns);
        return;
    }
    struct igmp_group *group = group_find(igmp, query->common.group_be32);
    if (group == NULL || !group->active) {
        return;
    }
    bool pending = group->response_due_ns != STACK_NEVER;
    if (query->source_count_be16 == 0 || (pending && group->asked == NULL)) {
        group_forget_asked(igmp, group);
    } else {
        group_ask(stack, group, query);
    }
    if (due_ns < group->response_due_ns) {
        group->response_due_ns = due_ns;
        igmp_schedule(stack, due_ns);
    }
}

/* 9.1 and 4.1.12: a general query that is not for 224.0.0.1 is forged from off the link; a group's
 * query comes to the group or to us. */
static bool igmp_query_destination_ok(const struct stack *stack, const struct ipv4_packet *packet,
                                      uint32_t group_be32)
{
    uint32_t dst_be32 = packet->header->dst_be32;
    return dst_be32 == IGMP_ALL_SYSTEMS || route_is_own(stack, dst_be32) ||
           (group_be32 != 0 && dst_be32 == group_be32);
}

static void igmp_query(struct stack *stack, const struct ipv4_packet *packet)
{
    struct igmp_state *igmp = &stack->igmp;
    const struct wire_igmp_query_v3 *query = (const struct wire_igmp_query_v3 *)packet->payload;
    uint32_t group_be32 = query->common.group_be32;
    if (!igmp_query_destination_ok(stack, packet, group_be32)) {
        STACK_COUNT(stack, igmp_malformed);
        return;
    }
    STACK_COUNT(stack, igmp_queries_in);
    bool v3 = packet->payload_bytes >= IGMP_QUERY_V3_BYTES;
    if (!v3) {
        igmp_heard_older_querier(stack);
    }
    uint64_t units = query->common.max_response;
    if (v3) {
        units = igmp_code_value(query->common.max_response);
        uint8_t robustness = query->s_qrv & 7;
        igmp->robustness = robustness != 0 ? robustness : IGMP_ROBUSTNESS;
        igmp->query_interval_s =
            query->qqic != 0 ? igmp_code_value(query->qqic) : IGMP_QUERY_INTERVAL_S;
    }
    /* A v1 query has no response time (RFC 2236 section 4); a v3 one of zero wants it at once. */
    uint64_t max_ns = units * IGMP_RESPONSE_UNIT_NS;
    if (units == 0) {
        max_ns = v3 ? 1 : IGMP_RESPONSE_NS;
    }
    if (igmp->speaks == 3) {
        igmp_query_v3(stack, query, max_ns);
    } else {
        igmp_query_v2(stack, group_be32, max_ns);
    }
}

/* RFC 2236 section 3: somebody else has answered for the group. */
static void igmp_report_heard(struct stack *stack, uint32_t group_be32)
{
    struct igmp_group *group = group_find(&stack->igmp, group_be32);
    if (group == NULL || !group->active) {
        STACK_COUNT(stack, igmp_ignored);
        return;
    }
    STACK_COUNT(stack, igmp_reports_in);
    if (stack->igmp.speaks == 2) {
        group->response_due_ns = STACK_NEVER;
        group->last_reporter = false;
    }
}

void igmp_input(struct stack *stack, const struct ipv4_packet *packet)
{
    if (!igmp_check(packet->payload, packet->payload_bytes)) {
        STACK_COUNT(stack, igmp_malformed);
        return;
    }
    if (!igmp_checksum_ok(packet->payload, packet->payload_bytes)) {
        STACK_COUNT(stack, igmp_checksum);
        return;
    }
    const struct wire_igmp *message = (const struct wire_igmp *)packet->payload;
    switch (message->type) {
    case IGMP_QUERY:
        igmp_query(stack, packet);
        break;
    case IGMP_REPORT_V1:
    case IGMP_REPORT_V2:
        igmp_report_heard(stack, message->group_be32);
        break;
    default:
        STACK_COUNT(stack, igmp_ignored);
        break;
    }
}

/* ---- timers ---- */

static void group_timer(struct stack *stack, struct igmp_group *group)
{
    if (group->response_due_ns <= stack->now_ns) {
        group->response_due_ns = STACK_NEVER;
        if (stack->igmp.speaks == 3) {
            igmp_report_state(stack, group);
            group_forget_asked(&stack->igmp, group);
        } else if (group->active) {
            group->last_reporter = true;
            igmp_report_v2(stack, IGMP_REPORT_V2, group->group_be32);
        }
    }
    if (group->change_due_ns <= stack->now_ns) {
        group_send_change(stack, group);
        group_tidy(stack, group);
    }
}

void igmp_timer(struct stack *stack)
{
    struct igmp_state *igmp = &stack->igmp;
    if (igmp->older_due_ns <= stack->now_ns) {
        igmp->older_due_ns = STACK_NEVER;
        igmp_speak(stack, 3);
    }
    if (igmp->general_due_ns <= stack->now_ns) {
        igmp->general_due_ns = STACK_NEVER;
        igmp_report_state(stack, NULL);
    }
    struct igmp_group *next;
    for (struct igmp_group *group = igmp->groups; group != NULL; group = next) {
        next = group->next;
        group_timer(stack, group);
    }
    uint64_t due_ns =
        igmp->older_due_ns < igmp->general_due_ns ? igmp->older_due_ns : igmp->general_due_ns;
    for (const struct igmp_group *group = igmp->groups; group != NULL; group = group->next) {
        due_ns = group->response_due_ns < due_ns ? group->response_due_ns : due_ns;
        due_ns = group->change_due_ns < due_ns ? group->change_due_ns : due_ns;
    }
    stack_timer_set(stack, STACK_TIMER_IGMP, due_ns);
}
