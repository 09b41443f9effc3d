/*
 * See reassembly.h. A place holds one datagram: its bytes where they belong, and one bit for each
 * eight of them that are there, so that overlaps and holes show without a list. The datagram's
 * frame is made in place: the first fragment's headers lie in front of the payload.
 */
#include "dataplane/reassembly.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/steer.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

/* The payload begins a line, whatever the headers' length. */
#define REASSEMBLY_HEAD_BYTES    128u
#define REASSEMBLY_PAYLOAD_BYTES ((uint32_t)(IPV4_TOTAL_MAX_BYTES - IPV4_HEADER_BYTES))
#define REASSEMBLY_BUFFER_BYTES  (REASSEMBLY_HEAD_BYTES + 65536u)
#define REASSEMBLY_WORDS         (65536u / IPV4_FRAGMENT_UNIT_BYTES / 64)

#define ECN_MASK 3u
#define ECN_NONE 0u /* not capable */
#define ECN_CE   3u /* congestion was met */

struct reassembly {
    struct reassembly *chain_next; /* or of unused ones */
    struct reassembly_links age, source;
    uint8_t *buffer;
    uint64_t due_ns;
    uint32_t src_be32, dst_be32;
    uint16_t id_be16;
    uint8_t protocol;
    uint8_t ecn_seen;      /* a bit for each of the four code points */
    bool dead;             /* its fragments overlap: all others are dropped, too */
    uint32_t header_bytes; /* of the first fragment; 0: it has not come */
    uint32_t units;        /* that are there */
    uint32_t high_bytes;   /* payload up to the end of the fragment farthest back */
    uint32_t total_bytes;  /* of payload; 0: the last fragment has not come */
    uint64_t have[REASSEMBLY_WORDS];
};

/* What of the datagram a fragment is. */
struct piece {
    uint32_t off_bytes, bytes, end_bytes;
    bool last;
};

/* ---- lists ---- */

static void list_append(struct reassembly_links *head, struct reassembly_links *links)
{
    links->next = head;
    links->prev = head->prev;
    head->prev->next = links;
    head->prev = links;
}

static void list_remove(struct reassembly_links *links)
{
    links->prev->next = links->next;
    links->next->prev = links->prev;
}

static struct reassembly *oldest_of_all(const struct reassembly_table *table)
{
    return (struct reassembly *)(void *)((uint8_t *)table->ages.next -
                                         offsetof(struct reassembly, age));
}

static struct reassembly *oldest_of_source(const struct reassembly_source *source)
{
    return (struct reassembly *)(void *)((uint8_t *)source->list.next -
                                         offsetof(struct reassembly, source));
}

/* ---- places ---- */

static uint64_t reassembly_hash(const struct reassembly_table *table, uint64_t value)
{
    value *= table->key;
    value ^= value >> 32;
    return value * 0x9e3779b97f4a7c15ull;
}

static struct reassembly **reassembly_chain(const struct reassembly_table *table,
                                            const struct wire_ipv4 *ip)
{
    uint64_t addresses = (uint64_t)ip->src_be32 << 32 | ip->dst_be32;
    uint64_t rest = (uint64_t)ip->id_be16 << 8 | ip->protocol;
    return &table->chains[reassembly_hash(table, reassembly_hash(table, addresses) + rest) >>
                          table->shift];
}

static struct reassembly_source *reassembly_source_of(struct reassembly_table *table,
                                                      uint32_t src_be32)
{
    return &table->sources[(reassembly_hash(table, src_be32) >> 40) & (REASSEMBLY_SOURCES - 1)];
}

static struct reassembly *reassembly_find(const struct reassembly_table *table,
                                          const struct wire_ipv4 *ip)
{
    struct reassembly *entry = *reassembly_chain(table, ip);
    while (entry != NULL && !(entry->src_be32 == ip->src_be32 && entry->dst_be32 == ip->dst_be32 &&
                              entry->id_be16 == ip->id_be16 && entry->protocol == ip->protocol)) {
        entry = entry->chain_next;
    }
    return entry;
}

static void reassembly_free(struct reassembly_table *table, struct reassembly *entry)
{
    const struct wire_ipv4 key = {.src_be32 = entry->src_be32,
                                  .dst_be32 = entry->dst_be32,
                                  .id_be16 = entry->id_be16,
                                  .protocol = entry->protocol};
    struct reassembly **link = reassembly_chain(table, &key);
    while (*link != entry) {
        link = &(*link)->chain_next;
    }
    *link = entry->chain_next;
    list_remove(&entry->age);
    list_remove(&entry->source);
    reassembly_source_of(table, entry->src_be32)->count--;
    entry->chain_next = table->unused;
    table->unused = entry;
}

static struct reassembly *reassembly_begin(struct stack *stack, const struct wire_ipv4 *ip)
{
    struct reassembly_table *table = &stack->reassembly;
    struct reassembly_source *source = reassembly_source_of(table, ip->src_be32);
    if (source->count == table->source_max) {
        STACK_COUNT(stack, ip_reassembly_source_full);
        reassembly_free(table, oldest_of_source(source));
    } else if (table->unused == NULL) {
        STACK_COUNT(stack, ip_reassembly_full);
        reassembly_free(table, oldest_of_all(table));
    }
    struct reassembly *entry = table->unused;
    uint8_t *buffer = entry->buffer;
    table->unused = entry->chain_next;
    memset(entry, 0, sizeof(*entry));
    entry->buffer = buffer;
    entry->src_be32 = ip->src_be32;
    entry->dst_be32 = ip->dst_be32;
    entry->id_be16 = ip->id_be16;
    entry->protocol = ip->protocol;
    entry->due_ns = stack->now_ns + REASSEMBLY_NS;
    struct reassembly **chain = reassembly_chain(table, ip);
    entry->chain_next = *chain;
    *chain = entry;
    list_append(&table->ages, &entry->age);
    list_append(&source->list, &entry->source);
    source->count++;
    /* When the oldest goes early, the timer comes early, and looks again. */
    if (stack->timer_due_ns[STACK_TIMER_REASSEMBLY] == STACK_NEVER) {
        stack_timer_set(stack, STACK_TIMER_REASSEMBLY, entry->due_ns);
    }
    return entry;
}

/* ---- one fragment ---- */

static uint32_t protocol_header_bytes(uint8_t protocol)
{
    return protocol == IPV4_PROTOCOL_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
}

/* False: no fragment that an honest sender makes; counted. */
static bool piece_read(struct stack *stack, const struct ipv4_packet *packet, struct piece *out)
{
    const struct wire_ipv4 *ip = packet->header;
    out->off_bytes = ipv4_fragment_off_bytes(ip);
    out->bytes = packet->payload_bytes;
    out->end_bytes = out->off_bytes + out->bytes;
    out->last = ipv4_fragment_is_last(ip);
    if (out->bytes == 0 || out->end_bytes > REASSEMBLY_PAYLOAD_BYTES ||
        (!out->last && out->bytes % IPV4_FRAGMENT_UNIT_BYTES != 0)) {
        STACK_COUNT(stack, ip_fragment_malformed);
        return false;
    }
    /* A filter in front of us must have seen the whole header in the first fragment, and nothing
     * may change it afterwards (RFC 1858 section 3, RFC 3128 section 2). */
    uint32_t header_bytes = protocol_header_bytes(ip->protocol);
    if (out->off_bytes == 0 ? out->bytes < header_bytes : out->off_bytes < header_bytes) {
        STACK_COUNT(stack, ip_fragment_tiny);
        return false;
    }
    return true;
}

/* The bits of a word that stand for units first to end - 1. */
static uint64_t units_mask(uint32_t word, uint32_t first, uint32_t end)
{
    uint32_t low = first > word * 64 ? first - word * 64 : 0;
    uint32_t high = end < (word + 1) * 64 ? end - word * 64 : 64;
    return (~0ull >> (64 - (high - low))) << low;
}

enum piece_fate { PIECE_NEW, PIECE_DUPLICATE, PIECE_OVERLAP };

static enum piece_fate piece_compare(const struct reassembly *entry, const struct piece *piece,
                                     const uint8_t *payload)
{
    uint32_t first = piece->off_bytes / IPV4_FRAGMENT_UNIT_BYTES;
    uint32_t end = (piece->end_bytes + IPV4_FRAGMENT_UNIT_BYTES - 1) / IPV4_FRAGMENT_UNIT_BYTES;
    bool any = false;
    bool all = true;
    for (uint32_t word = first / 64; word * 64 < end; word++) {
        uint64_t mask = units_mask(word, first, end);
        any |= (entry->have[word] & mask) != 0;
        all &= (entry->have[word] & mask) == mask;
    }
    if (piece->last) {
        bool other_end = entry->total_bytes != 0 ? entry->total_bytes != piece->end_bytes
                                                 : entry->high_bytes > piece->end_bytes;
        if (other_end) {
            return PIECE_OVERLAP;
        }
        all &= entry->total_bytes != 0;
    } else if (entry->total_bytes != 0 && piece->end_bytes >= entry->total_bytes) {
        return PIECE_OVERLAP;
    }
    if (!any) {
        return PIECE_NEW;
    }
    bool same = all && memcmp(entry->buffer + REASSEMBLY_HEAD_BYTES + piece->off_bytes, payload,
                              piece->bytes) == 0;
    return same ? PIECE_DUPLICATE : PIECE_OVERLAP;
}

static void piece_place(struct reassembly *entry, const struct piece *piece,
                        const struct ipv4_packet *packet)
{
    uint32_t first = piece->off_bytes / IPV4_FRAGMENT_UNIT_BYTES;
    uint32_t end = (piece->end_bytes + IPV4_FRAGMENT_UNIT_BYTES - 1) / IPV4_FRAGMENT_UNIT_BYTES;
    uint8_t *payload = entry->buffer + REASSEMBLY_HEAD_BYTES;
    for (uint32_t word = first / 64; word * 64 < end; word++) {
        entry->have[word] |= units_mask(word, first, end);
    }
    entry->units += end - first;
    entry->ecn_seen |= (uint8_t)(1u << (packet->header->tos & ECN_MASK));
    entry->high_bytes = piece->end_bytes > entry->high_bytes ? piece->end_bytes : entry->high_bytes;
    entry->total_bytes = piece->last ? piece->end_bytes : entry->total_bytes;
    memcpy(payload + piece->off_bytes, packet->payload, piece->bytes);
    if (piece->off_bytes == 0) {
        entry->header_bytes = ipv4_header_bytes(packet->header);
        uint32_t bytes = ETHERNET_HEADER_BYTES + entry->header_bytes;
        memcpy(payload - bytes, packet->pkt->data, bytes);
    }
}

static bool reassembly_is_whole(const struct reassembly *entry)
{
    return entry->total_bytes != 0 &&
           entry->units ==
               (entry->total_bytes + IPV4_FRAGMENT_UNIT_BYTES - 1) / IPV4_FRAGMENT_UNIT_BYTES;
}

/* ---- a datagram ---- */

/* As it came, or as it is now; packet->pkt is the caller's. */
static struct ipv4_packet reassembly_packet(const struct reassembly *entry)
{
    uint8_t *payload = entry->buffer + REASSEMBLY_HEAD_BYTES;
    return (struct ipv4_packet){
        .header = (const struct wire_ipv4 *)(payload - entry->header_bytes),
        .payload = payload,
        .payload_bytes = entry->total_bytes,
    };
}

/* RFC 3168 5.3: a mark on any fragment is one on the datagram. False: some fragments say that the
 * sender knows no ECN, so nobody may have marked the others. */
static bool reassembly_set_ecn(const struct reassembly *entry, struct wire_ipv4 *header)
{
    if ((entry->ecn_seen & 1u << ECN_CE) == 0) {
        return true;
    }
    header->tos |= ECN_CE;
    return (entry->ecn_seen & 1u << ECN_NONE) == 0;
}

/* The whole datagram as a frame, which goes up as if it had come so. */
static void reassembly_deliver(struct stack *stack, const struct reassembly *entry,
                               const struct ipv4_packet *last)
{
    uint32_t head_bytes = ETHERNET_HEADER_BYTES + entry->header_bytes;
    uint8_t *frame = entry->buffer + REASSEMBLY_HEAD_BYTES - head_bytes;
    struct wire_ipv4 *header = (struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES);
    const struct pkt pkt = {.data = frame,
                            .len_bytes = head_bytes + entry->total_bytes,
                            /* of each fragment's, not the payload's; another queue looks which
                             * VLAN it is of */
                            .flags = PKT_RX_IP_CSUM_GOOD |
                                     (last->pkt->flags & (PKT_VLAN | PKT_VID_BITS)),
                            .rx_tsc = last->pkt->rx_tsc};
    if (entry->header_bytes + entry->total_bytes > IPV4_TOTAL_MAX_BYTES) {
        STACK_COUNT(stack, ip_fragment_malformed);
        return;
    }
    if (!reassembly_set_ecn(entry, header)) {
        STACK_COUNT(stack, ip_fragment_ecn);
        return;
    }
    header->total_len_be16 = rs_be16((uint16_t)(entry->header_bytes + entry->total_bytes));
    header->fragment_be16 = 0;
    header->checksum_be16 = 0;
    header->checksum_be16 = checksum_finish(checksum_add(0, header, entry->header_bytes));
    STACK_COUNT(stack, ip_reassembled);
    struct ipv4_packet packet = reassembly_packet(entry);
    packet.pkt = &pkt;
    packet.multicast = last->multicast;
    packet.broadcast = last->broadcast;
    /* Fragments are steered by their addresses, a connection's segments by ports as well. */
    uint32_t queue_idx = entry->protocol == IPV4_PROTOCOL_TCP
                             ? steer_frame(stack->nic->steering, pkt.data, pkt.len_bytes)
                             : stack->nic->queue_idx;
    if (queue_idx != stack->nic->queue_idx) {
        stack_to_queue(stack, &pkt, queue_idx);
    } else {
        ipv4_deliver(stack, &packet, false);
    }
}

void reassembly_input(struct stack *stack, const struct ipv4_packet *fragment)
{
    struct reassembly_table *table = &stack->reassembly;
    struct piece piece;
    if (table->max == 0) {
        STACK_COUNT(stack, ip_fragment_refused);
        return;
    }
    if (!piece_read(stack, fragment, &piece)) {
        return;
    }
    struct reassembly *entry = reassembly_find(table, fragment->header);
    if (entry == NULL) {
        entry = reassembly_begin(stack, fragment->header);
    }
    enum piece_fate fate =
        entry->dead ? PIECE_OVERLAP : piece_compare(entry, &piece, fragment->payload);
    if (fate == PIECE_OVERLAP) {
        entry->dead = true;
        STACK_COUNT(stack, ip_fragment_overlap);
        return;
    }
    if (fate == PIECE_DUPLICATE) {
        STACK_COUNT(stack, ip_fragment_duplicate);
        return;
    }
    piece_place(entry, &piece, fragment);
    if (!reassembly_is_whole(entry)) {
        STACK_COUNT(stack, ip_fragments_kept);
        return;
    }
    reassembly_deliver(stack, entry, fragment);
    reassembly_free(table, entry);
}

/* RFC 1122 3.3.2: the sender is told, unless the first fragment, which the message would quote, has
 * not come. */
static void reassembly_expire(struct stack *stack, const struct reassembly *entry)
{
    STACK_COUNT(stack, ip_reassembly_timeouts);
    if (entry->header_bytes == 0 || entry->dead) {
        return;
    }
    struct ipv4_packet packet = reassembly_packet(entry);
    /* RFC 1122 3.2.2: no error about an error. The first byte is the type. */
    if (entry->protocol == IPV4_PROTOCOL_ICMP && packet.payload[0] != ICMP_ECHO) {
        return;
    }
    packet.multicast = ipv4_is_multicast(entry->dst_be32);
    packet.broadcast = route_is_broadcast(stack, entry->dst_be32);
    icmp_send_error(stack, &packet, ICMP_TIME_EXCEEDED, ICMP_TIME_EXCEEDED_REASSEMBLY);
}

void reassembly_timer(struct stack *stack)
{
    struct reassembly_table *table = &stack->reassembly;
    uint64_t due_ns = STACK_NEVER;
    while (table->ages.next != &table->ages) {
        struct reassembly *entry = oldest_of_all(table);
        if (entry->due_ns > stack->now_ns) {
            due_ns = entry->due_ns;
            break;
        }
        reassembly_expire(stack, entry);
        reassembly_free(table, entry);
    }
    stack_timer_set(stack, STACK_TIMER_REASSEMBLY, due_ns);
}

/* ---- life ---- */

enum rs_status reassembly_init(struct stack *stack, const struct stack_config *config)
{
    struct reassembly_table *table = &stack->reassembly;
    uint32_t max = stack->wire ? config->reassemblies_max : 0;
    uint32_t bits = stack_table_bits(2 * max);
    table->key = stack_random(stack) | 1;
    if (max == 0) {
        return RS_OK;
    }
    table->max = max;
    table->source_max = max / REASSEMBLY_SOURCE_SHARE > 0 ? max / REASSEMBLY_SOURCE_SHARE : 1;
    table->shift = 64 - bits;
    table->places = calloc(max, sizeof(*table->places));
    table->chains = calloc((size_t)1 << bits, sizeof(struct reassembly *));
    table->buffers = malloc((size_t)max * REASSEMBLY_BUFFER_BYTES);
    if (table->places == NULL || table->chains == NULL || table->buffers == NULL) {
        reassembly_destroy(stack);
        return RS_NO_MEMORY;
    }
    /* Written once, so that the poll loop takes no page fault for them. */
    memset(table->buffers, 0, (size_t)max * REASSEMBLY_BUFFER_BYTES);
    table->ages.next = table->ages.prev = &table->ages;
    for (uint32_t i = 0; i < REASSEMBLY_SOURCES; i++) {
        struct reassembly_links *head = &table->sources[i].list;
        head->next = head->prev = head;
    }
    for (uint32_t i = 0; i < max; i++) {
        table->places[i].buffer = table->buffers + (size_t)i * REASSEMBLY_BUFFER_BYTES;
        table->places[i].chain_next = table->unused;
        table->unused = &table->places[i];
    }
    return RS_OK;
}

void reassembly_destroy(struct stack *stack)
{
    free(stack->reassembly.places);
    free(stack->reassembly.chains);
    free(stack->reassembly.buffers);
    memset(&stack->reassembly, 0, sizeof(stack->reassembly));
}
