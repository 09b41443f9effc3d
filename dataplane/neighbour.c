/*
 * The neighbour table, see neighbour.h. Idle entries have no timer: age is looked at when an entry
 * is used. Only entries with a question outstanding are on a list, and as the interval is the same
 * for all, appending keeps that list sorted by due time.
 */
#include "dataplane/neighbour.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/ipv4.h"
#include "dataplane/stack_internal.h"

enum neighbour_state {
    NEIGHBOUR_INCOMPLETE,
    NEIGHBOUR_REACHABLE,
    NEIGHBOUR_PROBING,
    NEIGHBOUR_DEAD,
    NEIGHBOUR_STATIC
};

struct neighbour {
    struct neighbour *chain_next;
    uint32_t ip_be32;
    uint8_t mac[6];
    uint8_t state;  /* enum neighbour_state */
    bool used;      /* since the hand passed last */
    bool asking;    /* on the asking list */
    bool tcp_waits; /* connections wait, too: tcp_neighbour_known */
    uint8_t tries;  /* requests sent and not answered */
    uint8_t waiting_count;
    uint64_t since_ns; /* REACHABLE, PROBING: last confirmed; DEAD: given up */
    uint64_t due_ns;   /* asking: when the answer is late */
    struct neighbour *asking_next, *asking_prev;
    struct neighbour_waiting *waiting_first, *waiting_last;
};

struct neighbour_waiting {
    struct neighbour_waiting *next;
    uint64_t since_ns;
    struct pkt pkt;
    bool tied; /* to the one behind it: fragments of one packet stay and go together */
};

static struct neighbour **neighbour_chain(const struct neighbour_table *table, uint32_t ip_be32)
{
    return &table->chains[(uint32_t)(ip_be32 * 0x9e3779b1u) >> table->shift];
}

static struct neighbour *neighbour_find(const struct neighbour_table *table, uint32_t ip_be32)
{
    struct neighbour *entry = *neighbour_chain(table, ip_be32);
    while (entry != NULL && entry->ip_be32 != ip_be32) {
        entry = entry->chain_next;
    }
    return entry;
}

/* ---- the asking list ---- */

static void asking_remove(struct neighbour_table *table, struct neighbour *entry)
{
    if (!entry->asking) {
        return;
    }
    entry->asking = false;
    *(entry->asking_prev != NULL ? &entry->asking_prev->asking_next : &table->asking_first) =
        entry->asking_next;
    *(entry->asking_next != NULL ? &entry->asking_next->asking_prev : &table->asking_last) =
        entry->asking_prev;
}

static void asking_append(struct stack *stack, struct neighbour *entry)
{
    struct neighbour_table *table = &stack->neighbours;
    asking_remove(table, entry);
    entry->asking = true;
    entry->due_ns = stack->now_ns + table->retry_ns;
    entry->asking_next = NULL;
    entry->asking_prev = table->asking_last;
    *(table->asking_last != NULL ? &table->asking_last->asking_next : &table->asking_first) = entry;
    table->asking_last = entry;
    if (table->asking_first == entry) {
        stack_timer_set(stack, STACK_TIMER_NEIGHBOUR, entry->due_ns);
    }
}

/* Sends the next request and waits for its answer: one host is asked while its MAC is still
 * believed, everybody otherwise. */
static void neighbour_ask(struct stack *stack, struct neighbour *entry)
{
    entry->tries++;
    arp_send_request(stack, entry->ip_be32, entry->state == NEIGHBOUR_PROBING ? entry->mac : NULL);
    asking_append(stack, entry);
}

/* ---- waiting frames ---- */

static struct neighbour_waiting *waiting_take(struct stack *stack, struct neighbour *entry)
{
    struct neighbour_waiting *waiting = entry->waiting_first;
    if (waiting != NULL) {
        entry->waiting_first = waiting->next;
        entry->waiting_count = (uint8_t)(entry->waiting_count - !waiting->tied);
        counter_sub(&stack->counters, COUNTER_waiting_neighbour, 1);
        waiting->next = stack->neighbours.waiting_free;
        stack->neighbours.waiting_free = waiting;
        stack->neighbours.waiting_left++;
    }
    return waiting;
}

static void waiting_add(struct stack *stack, struct neighbour *entry, const struct pkt *pkt,
                        bool tied)
{
    struct neighbour_table *table = &stack->neighbours;
    struct neighbour_waiting *waiting = table->waiting_free;
    table->waiting_free = waiting->next;
    table->waiting_left--;
    waiting->pkt = *pkt;
    waiting->since_ns = stack->now_ns;
    waiting->tied = tied;
    waiting->next = NULL;
    *(entry->waiting_first != NULL ? &entry->waiting_last->next : &entry->waiting_first) = waiting;
    entry->waiting_last = waiting;
    entry->waiting_count = (uint8_t)(entry->waiting_count + !tied);
    STACK_COUNT(stack, waiting_neighbour);
}

static void waiting_drop_oldest(struct stack *stack, struct neighbour *entry)
{
    struct neighbour_waiting *waiting;
    do {
        waiting = waiting_take(stack, entry);
        STACK_COUNT(stack, neighbour_queue_full);
        stack->nic->ops->tx_free(stack->nic, &waiting->pkt);
    } while (waiting->tied);
}

/* RFC 1122 2.3.2.2 wants the latest packet kept, so a full queue gives up its oldest. */
static void neighbour_wait(struct stack *stack, struct neighbour *entry, struct pkt *pkts,
                           uint32_t count)
{
    struct neighbour_table *table = &stack->neighbours;
    while (entry->waiting_count == NEIGHBOUR_QUEUE_PKTS ||
           (count > table->waiting_left && entry->waiting_count > 0)) {
        waiting_drop_oldest(stack, entry);
    }
    bool room = count <= table->waiting_left;
    for (uint32_t i = 0; i < count; i++) {
        if (room) {
            waiting_add(stack, entry, &pkts[i], i + 1 < count);
        } else {
            STACK_COUNT(stack, neighbour_queue_full);
            stack->nic->ops->tx_free(stack->nic, &pkts[i]);
        }
    }
}

static void neighbour_transmit(struct stack *stack, struct neighbour *entry, struct pkt *pkt)
{
    ethernet_emit(pkt->data, entry->mac, stack->mac, ETHERNET_TYPE_IPV4);
    stack_transmit(stack, pkt);
}

static void neighbour_tell_tcp(struct stack *stack, struct neighbour *entry, enum rs_status status)
{
    if (entry->tcp_waits) {
        entry->tcp_waits = false;
        tcp_neighbour_known(stack, entry->ip_be32, status);
    }
}

/* A SYN that came behind the last request has not been asked for: its connection is not told, and
 * sends it again, which begins anew. The host may be back since that request. */
static void neighbour_give_up(struct stack *stack, struct neighbour *entry)
{
    static const uint8_t no_mac[6] = {0};
    const uint64_t asked_ns = entry->due_ns - stack->neighbours.retry_ns;
    asking_remove(&stack->neighbours, entry);
    entry->state = NEIGHBOUR_DEAD;
    entry->since_ns = stack->now_ns;
    STACK_COUNT(stack, neighbours_dead);
    stack_notify(stack, STACK_NOTICE_NEIGHBOUR_DEAD, entry->ip_be32, no_mac);
    struct neighbour_waiting *waiting;
    while ((waiting = waiting_take(stack, entry)) != NULL) {
        STACK_COUNT(stack, neighbour_no_answer);
        udp_report_unsent(stack, &waiting->pkt, RS_HOST_UNREACHABLE);
        if (waiting->since_ns <= asked_ns) {
            tcp_report_unsent(stack, &waiting->pkt, RS_HOST_UNREACHABLE);
        }
        stack->nic->ops->tx_free(stack->nic, &waiting->pkt);
    }
    neighbour_tell_tcp(stack, entry, RS_HOST_UNREACHABLE);
}

/* ---- entries ---- */

static void neighbour_link(struct neighbour_table *table, struct neighbour *entry, uint32_t ip_be32)
{
    struct neighbour **chain = neighbour_chain(table, ip_be32);
    memset(entry, 0, sizeof(*entry));
    entry->ip_be32 = ip_be32;
    entry->chain_next = *chain;
    *chain = entry;
}

/* An entry nobody used since the hand passed last, and for which nothing waits. Two rounds at most:
 * the first may only clear marks. */
static struct neighbour *neighbour_evict(struct stack *stack)
{
    struct neighbour_table *table = &stack->neighbours;
    for (uint32_t left = 2 * table->max; left > 0; left--) {
        struct neighbour *entry = &table->entries[table->hand];
        table->hand = table->hand + 1 == table->max ? 0 : table->hand + 1;
        bool waits = entry->state == NEIGHBOUR_INCOMPLETE && entry->asking;
        if (entry->state == NEIGHBOUR_STATIC || waits) {
            continue;
        }
        if (entry->used) {
            entry->used = false;
            continue;
        }
        asking_remove(table, entry);
        struct neighbour **link = neighbour_chain(table, entry->ip_be32);
        while (*link != entry) {
            link = &(*link)->chain_next;
        }
        *link = entry->chain_next;
        STACK_COUNT(stack, neighbours_evicted);
        return entry;
    }
    return NULL;
}

static struct neighbour *neighbour_make(struct stack *stack, uint32_t ip_be32)
{
    struct neighbour_table *table = &stack->neighbours;
    struct neighbour *entry =
        table->count < table->max ? &table->entries[table->count++] : neighbour_evict(stack);
    if (entry != NULL) {
        neighbour_link(table, entry, ip_be32);
    }
    return entry;
}

struct neighbour *neighbour_get(struct stack *stack, uint32_t ip_be32)
{
    struct neighbour *entry = neighbour_find(&stack->neighbours, ip_be32);
    return entry != NULL ? entry : neighbour_make(stack, ip_be32);
}

struct neighbour *neighbour_get_kept(struct stack *stack, uint32_t ip_be32, struct neighbour **kept)
{
    if (*kept == NULL || (*kept)->ip_be32 != ip_be32) {
        *kept = neighbour_get(stack, ip_be32);
    }
    return *kept;
}

bool neighbour_is_dead(const struct stack *stack, const struct neighbour *neighbour)
{
    return neighbour->state == NEIGHBOUR_DEAD &&
           stack->now_ns - neighbour->since_ns < NEIGHBOUR_DEAD_NS;
}

bool neighbour_has_room(const struct stack *stack, struct neighbour *neighbour)
{
    /* Who is not asked yet is asked by the next frame. */
    bool waits = neighbour->state == NEIGHBOUR_INCOMPLETE && neighbour->asking &&
                 (neighbour->waiting_count == NEIGHBOUR_QUEUE_PKTS ||
                  stack->neighbours.waiting_free == NULL);
    neighbour->tcp_waits |= waits;
    return !waits;
}

void neighbour_send_train(struct stack *stack, struct neighbour *neighbour, struct pkt *pkts,
                          uint32_t count)
{
    neighbour->used = true;
    switch ((enum neighbour_state)neighbour->state) {
    case NEIGHBOUR_REACHABLE:
        if (stack->now_ns - neighbour->since_ns >= stack->neighbours.reachable_ns) {
            neighbour->state = NEIGHBOUR_PROBING;
            neighbour->tries = 0;
            neighbour_ask(stack, neighbour);
        }
        for (uint32_t i = 0; i < count; i++) {
            neighbour_transmit(stack, neighbour, &pkts[i]);
        }
        break;
    case NEIGHBOUR_PROBING:
    case NEIGHBOUR_STATIC:
        for (uint32_t i = 0; i < count; i++) {
            neighbour_transmit(stack, neighbour, &pkts[i]);
        }
        break;
    case NEIGHBOUR_DEAD:
        neighbour->state = NEIGHBOUR_INCOMPLETE;
        neighbour->tries = 0;
        /* fall through */
    case NEIGHBOUR_INCOMPLETE:
        neighbour_wait(stack, neighbour, pkts, count);
        if (!neighbour->asking) {
            neighbour_ask(stack, neighbour);
        }
        break;
    }
}

void neighbour_send(struct stack *stack, struct neighbour *neighbour, struct pkt *pkt)
{
    neighbour_send_train(stack, neighbour, pkt, 1);
}

void neighbour_warm(const struct stack *stack, uint32_t ip_be32, struct pkt *pkt)
{
    const struct neighbour *neighbour = neighbour_find(&stack->neighbours, ip_be32);
    if (neighbour != NULL) {
        ethernet_emit(pkt->data, neighbour->mac, stack->mac, ETHERNET_TYPE_IPV4);
    }
}

bool neighbour_learn(struct stack *stack, uint32_t ip_be32, const uint8_t mac[6], bool make)
{
    struct neighbour *entry = neighbour_find(&stack->neighbours, ip_be32);
    if (entry == NULL && make) {
        entry = neighbour_make(stack, ip_be32);
    }
    if (entry == NULL) {
        return false;
    }
    if (entry->state == NEIGHBOUR_STATIC) {
        return true;
    }
    asking_remove(&stack->neighbours, entry);
    memcpy(entry->mac, mac, sizeof(entry->mac));
    entry->state = NEIGHBOUR_REACHABLE;
    entry->since_ns = stack->now_ns;
    struct neighbour_waiting *waiting;
    while ((waiting = waiting_take(stack, entry)) != NULL) {
        neighbour_transmit(stack, entry, &waiting->pkt);
    }
    neighbour_tell_tcp(stack, entry, RS_OK);
    return true;
}

void neighbour_timer(struct stack *stack)
{
    struct neighbour_table *table = &stack->neighbours;
    struct neighbour *entry;
    while ((entry = table->asking_first) != NULL && entry->due_ns <= stack->now_ns) {
        if (entry->tries < table->tries) {
            neighbour_ask(stack, entry);
        } else if (entry->state == NEIGHBOUR_PROBING) {
            entry->state = NEIGHBOUR_INCOMPLETE;
            entry->tries = 0;
            neighbour_ask(stack, entry);
        } else {
            neighbour_give_up(stack, entry);
        }
    }
    stack_timer_set(stack, STACK_TIMER_NEIGHBOUR, entry != NULL ? entry->due_ns : STACK_NEVER);
}

void neighbour_forget(struct stack *stack)
{
    struct neighbour_table *table = &stack->neighbours;
    for (uint32_t i = 0; i < table->count; i++) {
        struct neighbour *entry = &table->entries[i];
        if (entry->state == NEIGHBOUR_REACHABLE || entry->state == NEIGHBOUR_PROBING ||
            entry->state == NEIGHBOUR_DEAD) {
            asking_remove(table, entry);
            entry->state = NEIGHBOUR_INCOMPLETE;
            entry->tries = 0;
        }
    }
}

/* ---- life ---- */

enum rs_status neighbour_init(struct stack *stack, const struct stack_config *config)
{
    struct neighbour_table *table = &stack->neighbours;
    uint32_t statics = config->neighbour_count;
    table->max = config->neighbours_max + statics;
    table->tries = config->arp_tries > 0 ? config->arp_tries : 1;
    table->reachable_ns = config->arp_reachable_ns;
    table->retry_ns = config->arp_retry_ns;
    uint32_t bits = stack_table_bits(2 * table->max);
    table->shift = 32 - bits;
    table->entries = calloc(table->max > 0 ? table->max : 1, sizeof(*table->entries));
    table->chains = calloc(1u << bits, sizeof(struct neighbour *));
    table->waiting = calloc(NEIGHBOUR_WAITING_PKTS, sizeof(*table->waiting));
    if (table->entries == NULL || table->chains == NULL || table->waiting == NULL) {
        neighbour_destroy(stack);
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < NEIGHBOUR_WAITING_PKTS; i++) {
        table->waiting[i].next = table->waiting_free;
        table->waiting_free = &table->waiting[i];
    }
    table->waiting_left = NEIGHBOUR_WAITING_PKTS;
    for (uint32_t i = 0; i < statics; i++) {
        struct neighbour *entry = &table->entries[table->count++];
        neighbour_link(table, entry, config->neighbours[i].ip_be32);
        memcpy(entry->mac, config->neighbours[i].mac, sizeof(entry->mac));
        entry->state = NEIGHBOUR_STATIC;
    }
    return RS_OK;
}

void neighbour_destroy(struct stack *stack)
{
    struct neighbour_table *table = &stack->neighbours;
    for (uint32_t i = 0; table->entries != NULL && i < table->count; i++) {
        struct neighbour_waiting *waiting;
        while ((waiting = waiting_take(stack, &table->entries[i])) != NULL) {
            stack->nic->ops->tx_free(stack->nic, &waiting->pkt);
        }
    }
    free(table->waiting);
    free(table->chains);
    free(table->entries);
    memset(table, 0, sizeof(*table));
}
