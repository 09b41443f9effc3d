/*
 * IPv4 reassembly (RFC 791 section 3.2, RFC 1122 3.3.2): fragments wait here until the rest of
 * their datagram has come. Queue thread, from ipv4_input; what is complete goes up by ipv4_deliver.
 *
 * All memory is taken at the start: so many datagrams, 64 KiB each. Nobody can have more than a
 * part of it, and who needs a place finds one: a source with too many incomplete datagrams loses
 * its oldest, and when all places are taken the oldest of all goes. A datagram whose fragments
 * arrive together is complete within microseconds, so a flood of others does not reach it; if new
 * ones were refused instead, a flood would shut everybody out for REASSEMBLY_NS.
 *
 * Where fragments overlap (other than the same bytes again, which is a duplicate) the datagram is
 * given up, with all of it that is still to come: nobody honest makes such, and every rule for
 * which copy wins has been used to get something past a filter (RFC 1858, 3128; RFC 5722 for IPv6).
 */
#ifndef RINGSOCK_DATAPLANE_REASSEMBLY_H
#define RINGSOCK_DATAPLANE_REASSEMBLY_H

#include <stdint.h>

#include "rings/status.h"

struct stack;
struct stack_config;
struct ipv4_packet;
struct reassembly;

#define REASSEMBLY_NS           (60 * 1000000000ull) /* RFC 1122 3.3.2: from 60 to 120 s, fixed */
#define REASSEMBLY_SOURCES      64u                  /* buckets of sources; a power of two */
#define REASSEMBLY_SOURCE_SHARE 4u                   /* of all places, for one bucket */

/* A circle of entries with its head among them, the oldest behind the head. */
struct reassembly_links {
    struct reassembly_links *next, *prev;
};

struct reassembly_source {
    struct reassembly_links list;
    uint32_t count;
};

struct reassembly_table {
    struct reassembly *places;
    uint8_t *buffers;
    struct reassembly **chains; /* by source, destination, identification, protocol */
    struct reassembly *unused;
    struct reassembly_links ages; /* all that are under way */
    struct reassembly_source sources[REASSEMBLY_SOURCES];
    uint32_t max, source_max;
    uint32_t shift; /* of a 64-bit hash */
    uint64_t key;   /* odd, random: nobody can aim at one chain, or at another one's bucket */
};

/* config->reassemblies_max 0: fragments are refused. RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status reassembly_init(struct stack *stack,
                                               const struct stack_config *config);
void reassembly_destroy(struct stack *stack);
/* A checked packet for us that is a fragment. */
void reassembly_input(struct stack *stack, const struct ipv4_packet *fragment);
void reassembly_timer(struct stack *stack);

#endif
