/*
 * The script language, see script.h. Single-threaded; one script at a time.
 */
#include "script_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ipv4.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "frame_text.h"
#include "tcp_text.h"

#define TURNS_MAX 10000 /* at one time */

struct script script;

/* ---- failing and tracing ---- */

void script_at(const char *file, int line)
{
    script.file = file;
    script.line = line;
}

void script_trace(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char *line = script.trace[script.trace_count++ % TRACE_MAX];
    (void)snprintf(line, LINE_MAX_BYTES, "%10.3f %.*s",
                   ((double)script.now_ns - (double)script.start_ns) / 1e6, LINE_MAX_BYTES - 16,
                   text);
}

void script_fail(const char *format, ...)
{
    uint32_t first = script.trace_count > TRACE_MAX ? script.trace_count - TRACE_MAX : 0;
    fprintf(stderr, "---- trace ----\n");
    for (uint32_t i = first; i < script.trace_count; i++) {
        fprintf(stderr, "%s\n", script.trace[i % TRACE_MAX]);
    }
    char text[LINE_MAX_BYTES * 2];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "---- %s:%d: %s\n", script.file, script.line, text);
    script.failed = true;
    _fail(script.file, script.line);
    abort();
}

/* ---- addresses ---- */

uint32_t ip_of(const char *text)
{
    char host[32];
    (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, ":"), text);
    if (strcmp(host, "any") == 0) {
        return 0;
    }
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) != 1) {
        script_fail("'%s' is no address", text);
    }
    return address.s_addr;
}

uint16_t port_of(const char *text)
{
    const char *colon = strchr(text, ':');
    return rs_be16((uint16_t)(colon != NULL ? strtoul(colon + 1, NULL, 10) : 0));
}

void mac_of(uint8_t mac[6], const char *ip)
{
    uint32_t ip_be32 = ip_of(ip);
    if (ip_be32 == ip_of(OWN_B) || ip_be32 == ip_of(OWN_C)) {
        ip_be32 = ip_of(OWN); /* of one NIC */
    }
    mac[0] = 0x02;
    mac[1] = 0x00;
    memcpy(mac + 2, &ip_be32, 4);
}

void script_multicast_changed(void *context)
{
    ((struct script_queue *)context)->multicast_changes++;
}

static bool hand_to(struct script_queue *to, const struct pkt *pkt)
{
    char line[LINE_MAX_BYTES];
    frame_text(pkt->data, pkt->len_bytes, false, line, sizeof(line));
    if (script.handed_room == 0 || script.handed_count == HANDED_MAX) {
        script_trace("   (no room to hand over) %s", line);
        return false;
    }
    script.handed_room--;
    script_trace("   handed to queue %d: %s", (int)(to - script.queues), line);
    struct handed_frame *handed = &script.handed[script.handed_count++];
    handed->to = to;
    handed->frame.len_bytes = pkt->len_bytes;
    handed->frame.flags = pkt->flags;
    memcpy(handed->frame.data, pkt->data, pkt->len_bytes);
    return true;
}

bool script_hand_over(void *context, const struct pkt *pkt, enum stack_hand_to to,
                      uint32_t queue_idx)
{
    struct script_queue *leader = &script.queues[0];
    bool taken = true;
    if (to == STACK_TO_QUEUE) {
        assert_true(queue_idx < script.queue_count);
        assert_ptr_not_equal(context, &script.queues[queue_idx]);
        return hand_to(&script.queues[queue_idx], pkt);
    }
    assert_int_equal(queue_idx, 0);
    if (to == STACK_TO_LEADER) {
        assert_ptr_not_equal(context, leader);
        return hand_to(leader, pkt);
    }
    assert_ptr_equal(context, leader);
    for (uint32_t i = 1; i < script.queue_count; i++) {
        taken &= hand_to(&script.queues[i], pkt);
    }
    return taken;
}

void script_notice(void *context, enum stack_notice notice, uint32_t ip_be32, const uint8_t mac[6])
{
    (void)context;
    (void)mac;
    script_trace("   notice %d", (int)notice);
    script.notices[notice]++;
    script.notice_ip_be32[notice] = ip_be32;
}

/* ---- queues ---- */

void script_on_queue(uint32_t queue_idx)
{
    assert_true(queue_idx < script.queue_count);
    script_trace("queue %u:", queue_idx);
    script.queue = &script.queues[queue_idx];
}

void script_hand_over_room(uint32_t frames)
{
    script.handed_room = frames;
}

/* Gives what was handed over to the stacks it is for; they may hand over more. */
static void pump_handed(void)
{
    for (uint32_t i = 0; i < script.handed_count; i++) {
        struct script_queue *to = script.handed[i].to;
        struct frame *frame = &script.handed[i].frame;
        struct pkt pkt = {
            .data = frame->data, .len_bytes = frame->len_bytes, .flags = frame->flags};
        stack_input_handed(to->stack, &pkt);
        stack_flush(to->stack);
    }
    script.handed_count = 0;
}

/* ---- iterations ---- */

static uint64_t next_timer_ns(void)
{
    uint64_t least_ns = UINT64_MAX;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        uint64_t due_ns = stack_next_timer_ns(script.queues[i].stack);
        least_ns = due_ns < least_ns ? due_ns : least_ns;
    }
    return least_ns;
}

static void run_timers(void)
{
    for (uint32_t i = 0; i < script.queue_count; i++) {
        stack_timers(script.queues[i].stack);
        stack_flush(script.queues[i].stack);
    }
    pump_handed();
}

/* What came out of the NIC, described at once: the numbers of TCP are relative to what a segment
 * before said. */
static void collect_frames(void)
{
    while (script.memory) {
        struct out_frame *out = malloc(sizeof(*out));
        assert_non_null(out);
        out->frame.len_bytes =
            nic_memory_pop(script.queue->nic, out->frame.data, FRAME_MAX_BYTES, &out->frame.flags);
        if (out->frame.len_bytes == 0) {
            free(out);
            return;
        }
        out->next = NULL;
        out->sent_ns = script.now_ns;
        bool checked = (script.queue->nic->caps & NIC_CAP_TX_UDP_CSUM) == 0;
        out->flow = script.tcp ? tcp_flow_read(&out->frame, true,
                                               (script.queue->nic->caps & NIC_CAP_TX_IP_CSUM) == 0,
                                               &out->segment, out->line, sizeof(out->line))
                               : NULL;
        if (out->flow == NULL) {
            frame_text(out->frame.data, out->frame.len_bytes, checked, out->line,
                       sizeof(out->line));
        }
        script_trace("> %s", out->line);
        *script.out_last = out;
        script.out_last = &out->next;
    }
}

/* Turns of all that have something to do now. Only TCP has turns; each goes on or ends. */
static void run_until_quiet(void)
{
    uint32_t rounds = 0;
    do {
        run_timers();
        if (++rounds == TURNS_MAX) {
            script_fail("the stack wants a turn at once again and again: time does not move");
        }
    } while (next_timer_ns() <= script.now_ns);
}

void script_settle(void)
{
    if (script.tcp && !script.iteration) {
        run_until_quiet();
        collect_frames();
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        stack_flush(script.queues[i].stack);
    }
    pump_handed();
    script_check_books();
}

bool script_iteration_begin(void)
{
    script_trace("in one iteration:");
    script.iteration = true;
    return true;
}

bool script_iteration_end(void)
{
    script.iteration = false;
    script_settle();
    return false;
}

void script_expect_status(const char *what, enum rs_status got, enum rs_status want)
{
    script_trace("%s -> %s", what, rs_status_name(got));
    if (got != want) {
        script_fail("%s returned %s, expected %s", what, rs_status_name(got), rs_status_name(want));
    }
}

void script_check_books(void)
{
    for (uint32_t i = 0; i < script.queue_count; i++) {
        const struct script_queue *queue = &script.queues[i];
        struct counters_sums sums;
        if (!counters_balance(stack_counters(queue->stack), &sums)) {
            script_fail("queue %u's ledger does not balance: frames %d, sends %d, deliveries %d", i,
                        sums.frames_balance, sums.sends_balance, sums.deliveries_balance);
        }
        if (script.memory && nic_memory_held(queue->nic) != sums.group[COUNTER_GROUP_WAITING]) {
            script_fail("queue %u holds %u transmit buffers, %llu frames wait", i,
                        nic_memory_held(queue->nic),
                        (unsigned long long)sums.group[COUNTER_GROUP_WAITING]);
        }
    }
}

/* ---- the wire: in ---- */

static void inject_frame(const struct frame *frame, bool handed)
{
    char line[LINE_MAX_BYTES];
    struct tcp_line segment;
    if (!script.tcp || tcp_flow_read(frame, false, false, &segment, line, sizeof(line)) == NULL) {
        frame_text(frame->data, frame->len_bytes, false, line, sizeof(line));
    }
    script_trace("< %s", line);
    /* An exact-size copy lets the address sanitizer see a read beyond the frame. */
    uint8_t *copy = malloc(frame->len_bytes > 0 ? frame->len_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, frame->data, frame->len_bytes);
    struct pkt pkt = {.data = copy, .len_bytes = frame->len_bytes, .flags = frame->flags};
    if (script.queue->nic->vlan) {
        nic_vlan_strip(&pkt);
    }
    if (handed) {
        stack_input_handed(script.queue->stack, &pkt);
    } else {
        stack_input(script.queue->stack, &pkt);
    }
    free(copy);
    script_settle();
}

void script_inject(const struct frame *frame)
{
    inject_frame(frame, false);
}

void script_inject_handed(const struct frame *frame)
{
    inject_frame(frame, true);
}

/* ---- the wire: out ---- */

struct out_frame *script_take_frame(void)
{
    collect_frames();
    struct out_frame *out = script.out_first;
    if (out != NULL) {
        script.out_first = out->next;
        script.out_last = script.out_first == NULL ? &script.out_first : script.out_last;
    }
    return out;
}

static bool next_line(char *line, size_t size)
{
    struct out_frame *out = script_take_frame();
    if (out == NULL) {
        return false;
    }
    (void)snprintf(line, size, "%s", out->line);
    free(out);
    return true;
}

void script_expect_out(const char *format, ...)
{
    char want[LINE_MAX_BYTES];
    char got[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(want, sizeof(want), format, args);
    va_end(args);
    if (!next_line(got, sizeof(got))) {
        script_fail("nothing was sent, expected: %s", want);
    }
    if (strcmp(got, want) != 0) {
        script_fail("sent:     %s\n     expected: %s", got, want);
    }
}

/* Lays the fragment where it belongs behind the first one's headers; returns its identification. */
static uint16_t put_fragment(uint8_t *whole, uint32_t *len_bytes, const struct frame *frame,
                             bool last)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
    uint32_t bytes = ipv4_total_bytes(ip) - IPV4_HEADER_BYTES;
    if (!ipv4_is_fragment(ip) || ipv4_fragment_is_last(ip) != last ||
        ipv4_fragment_off_bytes(ip) != *len_bytes - IPV4_PAYLOAD_OFF ||
        bytes + IPV4_HEADER_BYTES > script.queue->nic->mtu_bytes ||
        (frame->flags & (PKT_TX_UDP_CSUM | PKT_TX_TCP_CSUM)) != 0) {
        script_fail("not the fragment that comes next");
    }
    if (*len_bytes == IPV4_PAYLOAD_OFF) {
        memcpy(whole, frame->data, IPV4_PAYLOAD_OFF);
    }
    memcpy(whole + *len_bytes, frame->data + IPV4_PAYLOAD_OFF, bytes);
    *len_bytes += bytes;
    return rs_be16(ip->id_be16);
}

uint16_t script_expect_fragments(uint32_t count, const char *line)
{
    static uint8_t whole[IPV4_PAYLOAD_OFF + 65536];
    char got[LINE_MAX_BYTES];
    uint32_t len_bytes = IPV4_PAYLOAD_OFF;
    uint16_t id = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct out_frame *out = script_take_frame();
        if (out == NULL) {
            script_fail("%u fragments were sent, expected %u", i, count);
        }
        uint16_t of_this = put_fragment(whole, &len_bytes, &out->frame, i + 1 == count);
        if (i > 0 && of_this != id) {
            script_fail("fragment %u has another identification than the one before", i);
        }
        id = of_this;
        free(out);
    }
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(whole + ETHERNET_HEADER_BYTES);
    ip->total_len_be16 = rs_be16((uint16_t)(len_bytes - ETHERNET_HEADER_BYTES));
    ip->fragment_be16 = 0;
    ip->checksum_be16 = 0;
    ip->checksum_be16 = checksum_finish(checksum_add(0, ip, IPV4_HEADER_BYTES));
    frame_text(whole, len_bytes, true, got, sizeof(got));
    if (strcmp(got, line) != 0) {
        script_fail("sent:     %s\n     expected: %s", got, line);
    }
    return id;
}

void script_expect_nothing(void)
{
    char got[LINE_MAX_BYTES];
    if (next_line(got, sizeof(got))) {
        script_fail("sent, not expected: %s", got);
    }
}

/* ---- time, counters, notices ---- */

/* stop: when a frame comes out. */
static void advance(uint64_t target_ns, bool stop)
{
    uint32_t rounds = 0;
    while (next_timer_ns() <= target_ns) {
        uint64_t due_ns = next_timer_ns();
        rounds = due_ns > script.now_ns ? 0 : rounds + 1;
        if (rounds == TURNS_MAX) {
            script_fail("a timer is due again and again: time does not move");
        }
        script_set_now(due_ns > script.now_ns ? due_ns : script.now_ns);
        run_timers();
        if (script.tcp) {
            collect_frames();
        }
        if (stop && script.out_first != NULL) {
            script_settle();
            return;
        }
    }
    script_set_now(target_ns);
    run_timers();
    script_settle();
}

void script_advance_to(uint64_t target_ns)
{
    advance(target_ns, false);
}

void script_advance_to_frame(uint64_t target_ns)
{
    advance(target_ns, true);
}

void script_advance_ms(uint64_t ms)
{
    script_trace("%llu ms pass", (unsigned long long)ms);
    script_advance_to(script.now_ns + ms * MS);
}

uint64_t script_wait_for_frame(uint64_t max_ms)
{
    uint64_t start_ns = script.now_ns;
    const struct counters *counters = stack_counters(script.queue->stack);
    uint64_t sent = counter_get(counters, COUNTER_tx_frames);
    while (script.now_ns < start_ns + max_ms * MS &&
           counter_get(counters, COUNTER_tx_frames) == sent) {
        script_advance_to(script.now_ns + MS);
    }
    script_trace("%llu ms passed", (unsigned long long)((script.now_ns - start_ns) / MS));
    return (script.now_ns - start_ns) / MS;
}

void script_expect_count(enum counter_id id, uint64_t value)
{
    uint64_t got = counter_get(stack_counters(script.queue->stack), id) -
                   counter_get(&script.queue->start, id);
    if (got != value) {
        script_fail("%s is %llu, expected %llu", counter_name(id), (unsigned long long)got,
                    (unsigned long long)value);
    }
}

void script_expect_notice(enum stack_notice notice, const char *ip)
{
    if (script.notices[notice] == 0 || script.notice_ip_be32[notice] != ip_of(ip)) {
        script_fail("notice %d about %s did not come", (int)notice, ip);
    }
    script.notices[notice]--;
}

struct stack *script_stack(void)
{
    return script.queue->stack;
}

struct nic *script_nic(void)
{
    return script.queue->nic;
}

uint32_t script_multicast_changes(void)
{
    return script.queue->multicast_changes;
}

void script_know(const char *ip)
{
    script_inject_arp(ARP_REQUEST, ip, OWN);
    script_expect_out("arp " OWN " is-at " OWN " > %s", ip);
}
