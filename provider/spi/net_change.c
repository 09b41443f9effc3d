/*
 * SIO_ADDRESS_LIST_CHANGE and SIO_ROUTING_INTERFACE_CHANGE: operations that end when an address has
 * come or gone since they began, with a call that waits, with notice, or with a network event. The
 * dataplane tells of a change by a word in memory and wakes nobody for it, so the helper looks at
 * that word while somebody waits, and only then. SIO_IDEAL_SEND_BACKLOG_CHANGE is the same, without
 * an event; the helper asks the dataplane for the figure each time it looks. Any thread; calls the
 * client core and the events.
 */
#include <mimalloc.h>

#include "provider/spi/events.h"
#include "provider/spi/helper.h"
#include "provider/spi/net_change.h"
#include "provider/spi/overlapped.h"

struct change_op {
    struct spi_op op;
    bool backlog;    /* what is waited for is another ideal send backlog, not an address */
    uint32_t before; /* client_address_changes, or the ideal send backlog, when it began */
    long event;      /* FD_*: nobody has notice, the event is told; 0 */
    bool listed;
    struct change_op *next, **link; /* change_first's list */
};

static SRWLOCK change_lock = SRWLOCK_INIT; /* the list; taken under a queue's lock, not around it */
static struct change_op *change_first;
static _Atomic uint32_t change_count; /* listed ones; partner: spi_net_change_waits in the helper */

static void change_list(struct change_op *change)
{
    AcquireSRWLockExclusive(&change_lock);
    if (!change->listed) {
        change->listed = true;
        change->next = change_first;
        change->link = &change_first;
        if (change_first != NULL) {
            change_first->link = &change->next;
        }
        change_first = change;
        atomic_fetch_add_explicit(&change_count, 1, memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&change_lock);
}

static void change_unlist(struct change_op *change)
{
    AcquireSRWLockExclusive(&change_lock);
    if (change->listed) {
        change->listed = false;
        *change->link = change->next;
        if (change->next != NULL) {
            change->next->link = change->link;
        }
        atomic_fetch_sub_explicit(&change_count, 1, memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&change_lock);
}

static uint32_t change_bit(long event)
{
    return event == FD_ADDRESS_LIST_CHANGE ? 1u : 2u;
}

/* The list's lock is held, or the operation's queue's. code: how it ended. */
static bool change_is_over(const struct change_op *change, int *code)
{
    const struct client *client = change->op.socket->session->client;
    *code = client_alive(client) ? 0 : WSAENETDOWN;
    return client_address_changes(client) != change->before || *code != 0;
}

/* The same for a backlog: a request, so not under the list's lock. A connection that ends has none
 * any more. */
static bool change_backlog_is_over(const struct change_op *change, int *code)
{
    ULONG bytes = 0;
    *code = spi_ideal_backlog(change->op.socket, &bytes);
    return *code != 0 || bytes != change->before;
}

/* ---- the operation ---- */

static void change_end(struct spi_op *op)
{
    struct change_op *change = (struct change_op *)op;
    change_unlist(change);
    if (change->event != 0) {
        atomic_fetch_and_explicit(&op->socket->changes_asked, ~change_bit(change->event),
                                  memory_order_relaxed);
    }
}

static int change_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct change_op *change = (struct change_op *)op;
    (void)transferred, (void)flags;
    int code = 0;
    /* The first step is the caller's, which gives no notice (ioctl.c would give it twice); the
     * helper looks at once. */
    if (!op->helped || !(change->backlog ? change_backlog_is_over(change, &code)
                                         : change_is_over(change, &code))) {
        change_list(change);
        return SPI_OP_PENDING;
    }
    change_end(op);
    if (change->event != 0) {
        spi_events_tell(op->socket, change->event, code);
    }
    return code;
}

/* Where no step and no abort was its end: it could not be queued. */
static void change_drop(struct spi_op *op)
{
    change_unlist((struct change_op *)op);
    mi_free(op);
}

/* ---- in the helper ---- */

bool spi_net_change_waits(void)
{
    return atomic_load_explicit(&change_count, memory_order_relaxed) != 0;
}

void spi_net_change_look(void)
{
    if (!spi_net_change_waits()) {
        return;
    }
    AcquireSRWLockShared(&change_lock);
    for (const struct change_op *change = change_first; change != NULL; change = change->next) {
        int code;
        if (change->backlog || change_is_over(change, &code)) {
            spi_helper_look(change->op.socket);
        }
    }
    ReleaseSRWLockShared(&change_lock);
}

/* ---- the call ---- */

static struct change_op *change_make(const struct spi_net_change *call, long event, uint32_t before)
{
    struct change_op *change = mi_zalloc(sizeof(*change));
    if (change != NULL) {
        change->op = (struct spi_op){.way = SPI_WAY_OTHER,
                                     .step = change_step,
                                     .aborted = change_end,
                                     .drop = change_drop,
                                     .overlapped = event == 0 ? call->overlapped : NULL,
                                     .routine = event == 0 ? call->routine : NULL,
                                     .thread = event == 0 ? call->thread : NULL,
                                     .s = call->s};
        change->backlog = call->event == 0;
        change->before = before;
        change->event = event;
    }
    return change;
}

/* A socket that does not block: the network event comes once for all that ask until then. */
static int change_ask(const struct spi_net_change *call, uint32_t before)
{
    struct spi_socket *socket = call->socket;
    uint32_t bit = change_bit(call->event);
    uint32_t asked = atomic_fetch_or_explicit(&socket->changes_asked, bit, memory_order_relaxed);
    if ((asked & bit) != 0) {
        return WSAEWOULDBLOCK;
    }
    struct change_op *change = change_make(call, call->event, before);
    int code = change != NULL ? spi_op_leave(socket, &change->op) : WSAENOBUFS;
    if (code != 0) {
        atomic_fetch_and_explicit(&socket->changes_asked, ~bit, memory_order_relaxed);
    }
    return code != 0 ? code : WSAEWOULDBLOCK;
}

int spi_net_change(const struct spi_net_change *call)
{
    struct spi_socket *socket = call->socket;
    uint32_t nonblocking = 0;
    DWORD none = 0;
    ULONG before = client_address_changes(socket->session->client);
    int code = call->event == 0 ? spi_ideal_backlog(socket, &before) : 0;
    if (code == 0 && !call->notice) {
        code = spi_wsa_error(client_get_option(socket->core, CLIENT_OPT_NONBLOCKING, &nonblocking));
    }
    if (code != 0) {
        return code;
    }
    if (nonblocking != 0) {
        return call->event == 0 ? WSAEWOULDBLOCK : change_ask(call, before);
    }
    struct change_op *change = change_make(call, 0, before);
    if (change == NULL) {
        return WSAENOBUFS;
    }
    if (call->notice) {
        (void)spi_op_submit(socket, &change->op, NULL, NULL, &code);
        return code;
    }
    return spi_op_wait(socket, &change->op, 0, &none, NULL);
}
