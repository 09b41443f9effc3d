/*
 * The port table of ports.h: one list of owners per port number. Control thread only; called by
 * control.c at bind and close. Lists are as long as sockets share a port, which is short; the table
 * is 512 KiB.
 */
#include "dataplane/ports.h"

#include <stdbool.h>
#include <stdlib.h>

#include "rings/byteorder.h"

#define PORTS_COUNT     65536u
#define PORTS_EPHEMERAL 49152u

struct ports {
    struct ports_entry *list[PORTS_COUNT]; /* by port number in host order */
    /* A bit for each list that is not empty. Relaxed; partner: tcp_connect's choice of a port. */
    rs_atomic_u32 used[PORTS_COUNT / 32];
    uint32_t count;          /* entries in all lists */
    uint32_t next_ephemeral; /* 0 .. 16383 */
};

enum rs_status ports_create(uint32_t random_seed, struct ports **out)
{
    struct ports *ports = calloc(1, sizeof(*ports));
    if (ports == NULL) {
        return RS_NO_MEMORY;
    }
    ports->next_ephemeral = random_seed % (PORTS_COUNT - PORTS_EPHEMERAL);
    *out = ports;
    return RS_OK;
}

void ports_destroy(struct ports *ports)
{
    free(ports);
}

/*
 * Microsoft's table of first bind × second bind. Same address means both any, or both the same
 * specific one. An exclusive owner of 'any' denies every other address of the port; an exclusive
 * newcomer needs the address itself free.
 */
static enum rs_status ports_conflict(const struct ports_entry *owner, uint32_t ip_be32,
                                     enum ports_share share, uint32_t uid)
{
    bool same = owner->ip_be32 == ip_be32;
    if (owner->share == PORTS_EXCLUSIVE) {
        bool owner_any = owner->ip_be32 == 0;
        if (share == PORTS_REUSE && (same || owner_any)) {
            return RS_ACCESS;
        }
        if (same) {
            return RS_ADDR_IN_USE;
        }
        return owner_any ? RS_ACCESS : RS_OK;
    }
    if (!same) {
        return RS_OK;
    }
    if (share == PORTS_REUSE) {
        return owner->uid == uid ? RS_OK : RS_ACCESS;
    }
    return RS_ADDR_IN_USE;
}

static enum rs_status ports_check(const struct ports *ports, uint32_t port, uint32_t ip_be32,
                                  enum ports_share share, uint32_t uid)
{
    for (const struct ports_entry *owner = ports->list[port]; owner != NULL; owner = owner->next) {
        enum rs_status status = ports_conflict(owner, ip_be32, share, uid);
        if (status != RS_OK) {
            return status;
        }
    }
    return RS_OK;
}

/* An ephemeral port nobody holds on any address, so that a later specific bind cannot take its
 * datagrams. */
static enum rs_status ports_find_free(struct ports *ports, uint32_t *port)
{
    const uint32_t range = PORTS_COUNT - PORTS_EPHEMERAL;
    for (uint32_t tried = 0; tried < range; tried++) {
        uint32_t candidate = PORTS_EPHEMERAL + ports->next_ephemeral;
        ports->next_ephemeral = (ports->next_ephemeral + 1) % range;
        if (ports->list[candidate] == NULL) {
            *port = candidate;
            return RS_OK;
        }
    }
    return RS_ADDR_IN_USE;
}

enum rs_status ports_bind(struct ports *ports, struct ports_entry *entry, uint32_t ip_be32,
                          uint16_t *port_be16, enum ports_share share, uint32_t uid)
{
    uint32_t port = rs_be16(*port_be16);
    enum rs_status status =
        port == 0 ? ports_find_free(ports, &port) : ports_check(ports, port, ip_be32, share, uid);
    if (status != RS_OK) {
        return status;
    }
    *port_be16 = rs_be16((uint16_t)port);
    *entry = (struct ports_entry){.next = ports->list[port],
                                  .ip_be32 = ip_be32,
                                  .port_be16 = *port_be16,
                                  .share = (uint8_t)share,
                                  .bound = 1,
                                  .uid = uid};
    ports->list[port] = entry;
    atomic_fetch_or_explicit(&ports->used[port / 32], 1u << port % 32, memory_order_relaxed);
    ports->count++;
    return RS_OK;
}

const rs_atomic_u32 *ports_bits(const struct ports *ports)
{
    return ports->used;
}

uint32_t ports_count(const struct ports *ports)
{
    return ports->count;
}

void ports_each(const struct ports *ports,
                void (*callback)(void *context, const struct ports_entry *entry), void *context)
{
    for (uint32_t word = 0; word < PORTS_COUNT / 32; word++) {
        uint32_t bits = atomic_load_explicit(&ports->used[word], memory_order_relaxed);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t port = word * 32 + (uint32_t)__builtin_ctz(bits);
            for (const struct ports_entry *each = ports->list[port]; each != NULL;
                 each = each->next) {
                callback(context, each);
            }
        }
    }
}

void ports_release(struct ports *ports, struct ports_entry *entry)
{
    if (!entry->bound) {
        return;
    }
    uint32_t port = rs_be16(entry->port_be16);
    struct ports_entry **link = &ports->list[port];
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    entry->bound = 0;
    ports->count--;
    if (ports->list[port] == NULL) {
        atomic_fetch_and_explicit(&ports->used[port / 32], ~(1u << port % 32),
                                  memory_order_relaxed);
    }
}
