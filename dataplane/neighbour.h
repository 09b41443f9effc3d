/*
 * The neighbour table: MAC addresses of hosts on the link, and the frames that wait for one. Queue
 * thread. Senders come through neighbour_get and neighbour_send, ARP through neighbour_learn.
 *
 *   INCOMPLETE -- reply --> REACHABLE -- older than arp_reachable, used --> PROBING -- reply -->
 * REACHABLE | arp_tries unanswered                                                 | arp_tries
 * unanswered v                                                                      v DEAD (sends
 * are refused for NEIGHBOUR_DEAD_NS, then INCOMPLETE again)   INCOMPLETE
 *
 * In PROBING the MAC is still used, and only its owner is asked (RFC 1122 2.3.2.1).
 */
#ifndef RINGSOCK_DATAPLANE_NEIGHBOUR_H
#define RINGSOCK_DATAPLANE_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/nic.h"
#include "rings/status.h"

struct stack;
struct stack_config;
struct neighbour;
struct neighbour_waiting;

#define NEIGHBOUR_QUEUE_PKTS   16u  /* that wait for one neighbour, fragments counted as one */
#define NEIGHBOUR_WAITING_PKTS 256u /* frames that wait for all of them */
#define NEIGHBOUR_DEAD_NS      (1000 * 1000000ull)

struct neighbour_table {
    struct neighbour *entries;
    struct neighbour **chains;
    struct neighbour *asking_first, *asking_last; /* INCOMPLETE and PROBING, by due time */
    struct neighbour_waiting *waiting;
    struct neighbour_waiting *waiting_free;
    uint32_t waiting_left; /* of those */
    uint32_t count;        /* entries ever used; they are filled in order */
    uint32_t max;
    uint32_t hand;  /* where the next search for an entry to reuse starts */
    uint32_t shift; /* of the hash */
    uint32_t tries;
    uint64_t reachable_ns;
    uint64_t retry_ns;
};

RS_CHECK_RESULT enum rs_status neighbour_init(struct stack *stack,
                                              const struct stack_config *config);
void neighbour_destroy(struct stack *stack);
void neighbour_timer(struct stack *stack);
/* No MAC that ARP told is believed any longer, no host is known to be dead. */
void neighbour_forget(struct stack *stack);
/* The entry for ip, made when missing. NULL: all entries are waiting for a reply. */
struct neighbour *neighbour_get(struct stack *stack, uint32_t ip_be32);
/* The same, through a place where the caller keeps the answer: entries are reused but never freed,
 * so a kept one is good while it still has the address. */
struct neighbour *neighbour_get_kept(struct stack *stack, uint32_t ip_be32,
                                     struct neighbour **kept);
/* The neighbour did not answer a moment ago; a send to it shall be refused. */
bool neighbour_is_dead(const struct stack *stack, const struct neighbour *neighbour);
/* False: one more frame that waits for the neighbour's MAC would cost another one its place, or
 * find none; then tcp_neighbour_known is called when the MAC is there or the neighbour is given up.
 */
bool neighbour_has_room(const struct stack *stack, struct neighbour *neighbour);
/* Takes over an IPv4 frame without Ethernet header: sends it, or lets it wait for the reply. */
void neighbour_send(struct stack *stack, struct neighbour *neighbour, struct pkt *pkt);
/* The same with the fragments of one packet: all of them wait, or none. */
void neighbour_send_train(struct stack *stack, struct neighbour *neighbour, struct pkt *pkts,
                          uint32_t count);
/* The Ethernet header of a frame to ip, if the table knows its MAC. Changes nothing. */
void neighbour_warm(const struct stack *stack, uint32_t ip_be32, struct pkt *pkt);
/* ARP says that ip is at mac. Makes an entry only when asked to. True: the table knows ip. */
bool neighbour_learn(struct stack *stack, uint32_t ip_be32, const uint8_t mac[6], bool make);

#endif
