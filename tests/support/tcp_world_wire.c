/*
 * The wire between the two stacks of a TCP world, see tcp_world.h: what becomes of a frame is
 * decided when it is sent, from the seed alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"
#include "tcp_world_internal.h"

#define MILLION 1000000u

/* ---- frames under way ------------------------------------------------------------------------ */

static bool arrives_before(const struct world_arrival *a, const struct world_arrival *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_add(struct world_wire *wire, const struct world_arrival *arrival)
{
    if (wire->count == wire->room) {
        wire->room = wire->room == 0 ? 256 : wire->room * 2;
        wire->heap = realloc(wire->heap, wire->room * sizeof(*wire->heap));
        CHECK(wire->heap != NULL);
    }
    uint32_t at = wire->count++;
    while (at > 0 && arrives_before(arrival, &wire->heap[(at - 1) / 2])) {
        wire->heap[at] = wire->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    wire->heap[at] = *arrival;
}

static struct world_frame *heap_take(struct world_wire *wire)
{
    struct world_frame *frame = wire->heap[0].frame;
    struct world_arrival last = wire->heap[--wire->count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < wire->count; child = 2 * at + 1) {
        if (child + 1 < wire->count && arrives_before(&wire->heap[child + 1], &wire->heap[child])) {
            child++;
        }
        if (!arrives_before(&wire->heap[child], &last)) {
            break;
        }
        wire->heap[at] = wire->heap[child];
        at = child;
    }
    wire->heap[at] = last;
    return frame;
}

uint64_t world_wire_next_ns(const struct world_wire *wire)
{
    return wire->count == 0 ? TCP_WORLD_NEVER : wire->heap[0].due_ns;
}

struct world_frame *world_wire_take(struct world_wire *wire, uint64_t now_ns)
{
    return world_wire_next_ns(wire) <= now_ns ? heap_take(wire) : NULL;
}

struct world_frame *world_wire_frame(struct world_wire *wire)
{
    struct world_frame *frame = wire->pool;
    if (frame != NULL) {
        wire->pool = frame->next;
        return frame;
    }
    frame = malloc(sizeof(*frame));
    CHECK(frame != NULL);
    return frame;
}

void world_wire_release(struct world_wire *wire, struct world_frame *frame)
{
    frame->next = wire->pool;
    wire->pool = frame;
}

void world_wire_reset(struct world_wire *wire, uint64_t seed, uint64_t now_ns)
{
    while (wire->count > 0) {
        world_wire_release(wire, heap_take(wire));
    }
    wire->random = test_random_make(seed);
    wire->order = 0;
    wire->start_ns = now_ns;
    memset(wire->links, 0, sizeof(wire->links));
}

void world_wire_destroy(struct world_wire *wire)
{
    for (uint32_t i = 0; i < wire->count; i++) {
        free(wire->heap[i].frame);
    }
    for (struct world_frame *frame = wire->pool, *next; frame != NULL; frame = next) {
        next = frame->next;
        free(frame);
    }
    free(wire->heap);
}

/* ---- what a frame is ------------------------------------------------------------------------- */

struct frame_view {
    struct wire_ipv4 *ip;
    struct wire_tcp *tcp; /* NULL: not TCP */
    uint8_t *options;
    uint32_t options_bytes, segment_bytes, payload_bytes;
};

static struct frame_view frame_view(struct world_frame *frame)
{
    struct frame_view view = {0};
    uint8_t *packet = frame->data + ETHERNET_HEADER_BYTES;
    uint32_t room = frame->len_bytes - ETHERNET_HEADER_BYTES;
    if (frame->data[12] != 0x08 || frame->data[13] != 0x00 ||
        ipv4_check(packet, room) != IPV4_CHECK_OK) {
        return view;
    }
    view.ip = (struct wire_ipv4 *)packet;
    uint32_t header_bytes = ipv4_header_bytes(view.ip);
    view.segment_bytes = ipv4_total_bytes(view.ip) - header_bytes;
    if (view.ip->protocol != TCP_PROTOCOL ||
        tcp_check(packet + header_bytes, view.segment_bytes) != TCP_CHECK_OK) {
        return view;
    }
    view.tcp = (struct wire_tcp *)(packet + header_bytes);
    view.options = (uint8_t *)view.tcp + TCP_HEADER_BYTES;
    view.options_bytes = tcp_header_bytes(view.tcp) - TCP_HEADER_BYTES;
    view.payload_bytes = view.segment_bytes - tcp_header_bytes(view.tcp);
    return view;
}

bool world_frame_window(struct world_frame *frame, uint16_t *own_port_be16, uint32_t *ack,
                        uint32_t *window)
{
    const uint8_t kinds = TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_ACK;
    struct frame_view view = frame_view(frame);
    if (view.tcp == NULL || (view.tcp->flags & kinds) != TCP_FLAG_ACK) {
        return false;
    }
    *own_port_be16 = view.tcp->src_port_be16;
    *ack = rs_be32(view.tcp->ack_be32);
    *window = rs_be16(view.tcp->window_be16);
    return true;
}

static void trace_frame(const struct world_wire *wire, uint32_t sender, struct world_frame *frame,
                        uint64_t now_ns, const char *fate)
{
    static const char flag_letters[] = "FSRPAUEC";
    struct frame_view view = frame_view(frame);
    struct tcp_options options = {0};
    char flags[9] = "";
    printf("%12.6f %s ", (double)(now_ns - wire->start_ns) / 1e9, sender == 0 ? "A>B" : "B>A");
    if (view.tcp == NULL) {
        printf("not TCP, %u bytes%s\n", frame->len_bytes, fate);
        return;
    }
    for (uint32_t i = 0, at = 0; i < 8; i++) {
        if ((view.tcp->flags >> i & 1) != 0) {
            flags[at++] = flag_letters[i];
        }
    }
    (void)tcp_options_parse(view.options, view.options_bytes, &options);
    printf("%-4s seq %10u len %5u ack %10u win %5u", flags, rs_be32(view.tcp->seq_be32),
           view.payload_bytes, rs_be32(view.tcp->ack_be32), rs_be16(view.tcp->window_be16));
    if ((options.present & TCP_OPTION_MSS) != 0) {
        printf(" mss %u", options.mss);
    }
    if ((options.present & TCP_OPTION_WSCALE) != 0) {
        printf(" wscale %u", options.wscale);
    }
    if ((options.present & TCP_OPTION_TIMESTAMPS) != 0) {
        printf(" ts %u:%u", options.tsval, options.tsecr);
    }
    for (uint32_t i = 0; i < options.sack_count; i++) {
        printf(" sack %u-%u", options.sack[i].start, options.sack[i].end);
    }
    printf("%s\n", fate);
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

static bool chance(struct world_wire *wire, uint32_t ppm)
{
    return ppm != 0 && test_random_below(&wire->random, MILLION) < ppm;
}

static uint64_t up_to(struct world_wire *wire, uint64_t limit)
{
    return limit == 0 ? 0 : test_random_u64(&wire->random) % (limit + 1);
}

static void checksum_again(const struct frame_view *view)
{
    view->tcp->checksum_be16 = 0;
    view->tcp->checksum_be16 = tcp_checksum((uint8_t *)view->tcp, (uint16_t)view->segment_bytes,
                                            view->ip->src_be32, view->ip->dst_be32);
}

static void strip_options(const struct frame_view *view, uint8_t strip)
{
    static const uint8_t bit_of_kind[9] = {[2] = TCP_OPTION_MSS,
                                           [3] = TCP_OPTION_WSCALE,
                                           [4] = TCP_OPTION_SACK_OK,
                                           [8] = TCP_OPTION_TIMESTAMPS};
    uint32_t at = 0;
    while (at + 1 < view->options_bytes && view->options[at] != 0) {
        uint8_t kind = view->options[at];
        uint32_t len = kind == 1 ? 1 : view->options[at + 1];
        CHECK(len > 0 && at + len <= view->options_bytes);
        if (kind < sizeof(bit_of_kind) && (bit_of_kind[kind] & strip) != 0) {
            memset(view->options + at, 1, len);
        }
        at += len;
    }
    checksum_again(view);
}

static void mark(const struct frame_view *view)
{
    view->ip->tos |= 3;
    view->ip->checksum_be16 = 0;
    view->ip->checksum_be16 =
        checksum_finish(checksum_add(0, view->ip, ipv4_header_bytes(view->ip)));
}

/* When the link has sent it. False: the queue is full. */
static bool link_pass(struct world_wire *wire, const struct tcp_world_link *link, uint32_t sender,
                      struct world_frame *frame, const struct frame_view *view, uint64_t *depart_ns)
{
    uint64_t now_ns = *depart_ns;
    uint64_t *free_ns = &wire->links[sender].free_ns;
    if (link->bits_per_second == 0) {
        return true;
    }
    if (*free_ns < now_ns) {
        *free_ns = now_ns;
    }
    uint64_t waiting_bytes = (*free_ns - now_ns) * link->bits_per_second / 8000000000ull;
    if (waiting_bytes + frame->len_bytes > link->fifo_bytes && waiting_bytes > 0) {
        wire->links[sender].counts.queue_full++;
        return false;
    }
    if (link->mark_bytes != 0 && waiting_bytes > link->mark_bytes && view->ip != NULL &&
        (view->ip->tos & 3) != 0) {
        mark(view);
        wire->links[sender].counts.marked++;
    }
    *free_ns += (uint64_t)frame->len_bytes * 8000000000ull / link->bits_per_second;
    *depart_ns = *free_ns;
    return true;
}

static bool is_lost(struct world_wire *wire, const struct tcp_world_link *link, uint32_t sender,
                    const struct frame_view *view)
{
    struct tcp_world_link_counts *counts = &wire->links[sender].counts;
    counts->frames++;
    counts->data_frames += view->payload_bytes > 0;
    bool lost = chance(wire, link->loss_ppm) ||
                (view->payload_bytes > 0 && counts->data_frames == link->lose_nth_data);
    counts->lost += lost;
    return lost;
}

/* One bit behind the Ethernet header, which a CRC would guard. */
static void corrupt(struct world_wire *wire, struct world_frame *frame)
{
    uint32_t bit = test_random_below(&wire->random, (frame->len_bytes - ETHERNET_HEADER_BYTES) * 8);
    frame->data[ETHERNET_HEADER_BYTES + bit / 8] ^= (uint8_t)(1u << bit % 8);
    frame->flags = 0; /* the NIC says nothing: software checks */
}

static void launch(struct world_wire *wire, const struct tcp_world_link *link, uint32_t sender,
                   struct world_frame *frame, uint64_t depart_ns)
{
    uint64_t due_ns = depart_ns + link->delay_ns + up_to(wire, link->jitter_ns);
    if (chance(wire, link->reorder_ppm)) {
        due_ns += up_to(wire, link->reorder_ns);
        wire->links[sender].counts.reordered++;
    } else {
        if (due_ns < wire->links[sender].last_ns) {
            due_ns = wire->links[sender].last_ns;
        }
        wire->links[sender].last_ns = due_ns;
    }
    heap_add(wire, &(struct world_arrival){due_ns, wire->order++, frame});
}

void world_wire_send(struct world_wire *wire, const struct tcp_world_link *link, uint32_t sender,
                     struct world_frame *frame, uint64_t now_ns, bool rx_checks, bool trace)
{
    struct tcp_world_link_counts *counts = &wire->links[sender].counts;
    struct frame_view view = frame_view(frame);
    uint64_t depart_ns = now_ns;
    bool lost = is_lost(wire, link, sender, &view);
    bool full = !lost && !link_pass(wire, link, sender, frame, &view, &depart_ns);
    bool twice = chance(wire, link->duplicate_ppm);
    /* Only what a checksum guards: ARP has none. */
    bool damaged = view.ip != NULL && chance(wire, link->corrupt_ppm);
    if (trace) {
        trace_frame(wire, sender, frame, now_ns,
                    lost      ? "  LOST"
                    : full    ? "  QUEUE FULL"
                    : damaged ? "  DAMAGED"
                    : twice   ? "  TWICE"
                              : "");
    }
    if (lost || full) {
        world_wire_release(wire, frame);
        return;
    }
    counts->bytes += frame->len_bytes - ETHERNET_HEADER_BYTES;
    if (link->strip_options != 0 && view.tcp != NULL && (view.tcp->flags & TCP_FLAG_SYN) != 0) {
        strip_options(&view, link->strip_options);
    }
    frame->to = (uint8_t)!sender;
    frame->flags = rx_checks ? PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD : 0;
    if (twice) {
        struct world_frame *copy = world_wire_frame(wire);
        copy->len_bytes = frame->len_bytes;
        copy->flags = frame->flags;
        copy->to = frame->to;
        memcpy(copy->data, frame->data, frame->len_bytes);
        launch(wire, link, sender, copy, depart_ns);
        counts->duplicated++;
    }
    if (damaged) {
        corrupt(wire, frame);
        counts->corrupted++;
    }
    launch(wire, link, sender, frame, depart_ns);
}
