/*
 * Who may bind which port, of UDP or TCP: the process-wide authority, one table for each, owned by
 * the control thread. The rules
 * are those of Windows ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" in Microsoft's Winsock
 * documentation), not those of POSIX.
 */
#ifndef RINGSOCK_DATAPLANE_PORTS_H
#define RINGSOCK_DATAPLANE_PORTS_H

#include <stdint.h>

#include "rings/layout.h"
#include "rings/status.h"

enum ports_share { PORTS_DEFAULT, PORTS_REUSE, PORTS_EXCLUSIVE };

struct ports;

/* One bound address, embedded in the socket that owns it. Written by ports.c only. */
struct ports_entry {
    struct ports_entry *next;
    uint32_t ip_be32;
    uint16_t port_be16;
    uint8_t share; /* enum ports_share */
    uint8_t bound;
    uint32_t uid; /* owner's user: another user's socket cannot be shared with */
};

/* random_seed: where the search for ephemeral ports starts. */
RS_CHECK_RESULT enum rs_status ports_create(uint32_t random_seed, struct ports **out);
void ports_destroy(struct ports *ports);
/* Enters the address. *port_be16 0: takes a free port of 49152 to 65535 (RFC 6335) and stores it.
 * ip_be32 0: any. RS_ADDR_IN_USE; RS_ACCESS: somebody holds it exclusively; RS_ADDR_IN_USE also
 * when no ephemeral port is free. */
RS_CHECK_RESULT enum rs_status ports_bind(struct ports *ports, struct ports_entry *entry,
                                          uint32_t ip_be32, uint16_t *port_be16,
                                          enum ports_share share, uint32_t uid);
/* A bit for each port that somebody has: bit (port & 31) of word [port / 32], port in host order.
 * Any thread may read it while the table lives. */
const rs_atomic_u32 *ports_bits(const struct ports *ports);
uint32_t ports_count(const struct ports *ports); /* addresses bound now */
/* Calls back for each, by rising port number; the callback changes nothing. */
void ports_each(const struct ports *ports,
                void (*callback)(void *context, const struct ports_entry *entry), void *context);
void ports_release(struct ports *ports, struct ports_entry *entry); /* harmless when not bound */

#endif
