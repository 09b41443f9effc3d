/*
 * Network events. A socket with a selection has a record: which events are nominated, which were
 * told and wait for a call that re-enables them, which an enumeration will find. Whoever may have
 * changed something looks: the selecting call, the calls that re-enable, the helper thread when the
 * watch reports the socket. A look tells what is true and was not told, and arms the watch for the
 * rest. All of it under the record's lock, event objects included, so that an enumeration copies,
 * clears and resets as one step. Any thread; calls the host's upcalls and the helper.
 *
 * The events of a shared socket are those of whoever selected last, whichever process and
 * descriptor: a selection takes a number from the dataplane, and a record whose number is not the
 * last one is cleared when somebody looks (provider/client: client_share_take_events).
 */
#include "provider/spi/events.h"

#include <mimalloc.h>

#include "provider/spi/helper.h"

struct spi_event_object {
    _Atomic uint32_t refs; /* partner: the other sockets' */
    WSAEVENT event;
};

/* Made at a record's first selection; stays with it. */
struct spi_events {
    SRWLOCK selecting; /* around lock: of two selections the later number is the later record */
    SRWLOCK lock;      /* guards all */
    bool closed;
    long mask;     /* nominated; 0: none */
    long told;     /* not to be told again before something re-enables them */
    long recorded; /* since the last enumeration */
    int errors[FD_MAX_EVENTS];
    struct spi_event_target target;
    uint32_t share_number; /* with which it was selected; 0: the socket was not shared */
};

/* In the order in which they are told: a program hears that it is connected before it may write,
 * and of the end last. */
static const struct {
    long event;
    unsigned bit;
} events_order[] = {{FD_CONNECT, FD_CONNECT_BIT}, {FD_ACCEPT, FD_ACCEPT_BIT},
                    {FD_READ, FD_READ_BIT},       {FD_OOB, FD_OOB_BIT},
                    {FD_WRITE, FD_WRITE_BIT},     {FD_CLOSE, FD_CLOSE_BIT}};
#define EVENTS_ORDERED (sizeof(events_order) / sizeof(events_order[0]))

#define READY_ALL                                                                      \
    (CLIENT_POLL_DATA | CLIENT_POLL_URGENT | CLIENT_POLL_FAILED | RS_LEVEL_CONNECTED | \
     RS_LEVEL_WRITABLE | RS_LEVEL_END | RS_LEVEL_ERROR)

static struct spi_events *events_of(struct spi_socket *socket)
{
    /* Acquire, partner events_make. */
    return atomic_load_explicit(&socket->events, memory_order_acquire);
}

static struct spi_events *events_make(struct spi_socket *socket)
{
    struct spi_events *events = events_of(socket);
    if (events != NULL) {
        return events;
    }
    struct spi_events *made = mi_zalloc(sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    InitializeSRWLock(&made->selecting);
    InitializeSRWLock(&made->lock);
    if (atomic_compare_exchange_strong_explicit(&socket->events, &events, made,
                                                memory_order_acq_rel, memory_order_acquire)) {
        return made;
    }
    mi_free(made);
    return events;
}

/* ---- event objects ---- */

/* 0, WSAEINVAL (no event) or WSAENOBUFS. */
static int object_open(WSAEVENT event, struct spi_event_object **out)
{
    HANDLE copy = NULL;
    struct spi_event_object *object = mi_malloc(sizeof(*object));
    if (object == NULL) {
        return WSAENOBUFS;
    }
    if (event == NULL || !DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), &copy, 0,
                                          FALSE, DUPLICATE_SAME_ACCESS)) {
        mi_free(object);
        return WSAEINVAL;
    }
    *object = (struct spi_event_object){.refs = 1, .event = copy};
    *out = object;
    return 0;
}

static void object_drop(struct spi_event_object *object)
{
    /* Acquire and release, partner the other drops: the last closes behind all uses. */
    if (object != NULL && atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) == 1) {
        CloseHandle(object->event);
        mi_free(object);
    }
}

/* ---- what is selected ---- */

/* The record's lock is held, here and in what follows. */
static void events_set(struct spi_socket *socket, struct spi_events *events, long mask,
                       const struct spi_event_target *target)
{
    object_drop(events->target.object);
    events->target = mask != 0 ? *target : (struct spi_event_target){.object = NULL};
    events->mask = mask;
    events->told = 0;
    events->recorded = 0;
    events->share_number = 0;
    if (mask != 0) {
        atomic_fetch_or_explicit(&socket->attention, SPI_ATTENTION_EVENTS, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&socket->attention, ~SPI_ATTENTION_EVENTS, memory_order_relaxed);
    }
}

/* Something is selected here, and nobody who shares the socket has selected since. */
static bool events_selected(struct spi_socket *socket, struct spi_events *events)
{
    uint32_t number = client_share_events(socket->core);
    if (events->mask == 0) {
        return false;
    }
    if (number == 0) { /* never, or not shared any more; a later share counts from 0 */
        events->share_number = 0;
    } else if (number != events->share_number) {
        events_set(socket, events, 0, NULL);
        return false;
    }
    return true;
}

/* ---- telling; the record's lock is held ---- */

static void events_tell(const struct spi_socket *socket, struct spi_events *events, long event,
                        unsigned bit, int error)
{
    INT ignored = 0;
    events->told |= event;
    if (events->target.object != NULL) {
        events->recorded |= event;
        events->errors[bit] = error;
        (void)spi_upcalls.lpWPUSetEvent(events->target.object->event, &ignored);
        return;
    }
    SOCKET s = (SOCKET)atomic_load_explicit(&socket->handle, memory_order_relaxed);
    /* A window that is gone, or whose queue is full, hears of it when something re-enables it. */
    (void)spi_upcalls.lpWPUPostMessage(events->target.window, events->target.message, (WPARAM)s,
                                       WSAMAKESELECTREPLY(event, error));
}

static int events_error(struct spi_socket *socket, long event, uint32_t ready)
{
    /* A connection that was made is FD_CONNECT without an error, whatever became of it. */
    uint32_t failed = event == FD_CONNECT ? CLIENT_POLL_FAILED
                      : event == FD_CLOSE ? CLIENT_POLL_FAILED | RS_LEVEL_ERROR
                                          : 0;
    if ((ready & failed) == 0) {
        return 0;
    }
    enum rs_status status = client_socket_error(socket->core);
    /* The page has one word for a connection that was given up here. */
    return status == RS_NET_RESET ? WSAECONNABORTED : spi_wsa_error(status);
}

static bool events_happened(const struct spi_socket *socket, long event, uint32_t ready)
{
    bool listening = client_is_listening(socket->core);
    switch (event) {
    case FD_CONNECT:
        return (ready & (RS_LEVEL_CONNECTED | CLIENT_POLL_FAILED)) != 0;
    case FD_ACCEPT:
        return listening && ((ready & CLIENT_POLL_DATA) != 0 || spi_accept_waits(socket));
    case FD_READ:
        return !listening && (ready & CLIENT_POLL_DATA) != 0;
    case FD_OOB:
        return (ready & CLIENT_POLL_URGENT) != 0;
    case FD_WRITE: /* sends that cannot be do not block either */
        return (ready & RS_LEVEL_WRITABLE) != 0 && !client_send_is_shut(socket->core) &&
               (!socket->stream || (ready & RS_LEVEL_ERROR) == 0);
    default: /* FD_CLOSE, behind the last byte */
        return socket->stream && (ready & CLIENT_POLL_FAILED) == 0 &&
               (ready & (RS_LEVEL_END | RS_LEVEL_ERROR)) != 0 && (ready & CLIENT_POLL_DATA) == 0;
    }
}

/* What the watch is asked for an event that has not happened. */
static uint32_t events_want(const struct spi_socket *socket, long event)
{
    bool listening = client_is_listening(socket->core);
    switch (event) {
    case FD_CONNECT:
        return socket->stream ? RS_LEVEL_CONNECTED | CLIENT_POLL_FAILED : 0;
    case FD_ACCEPT:
        return socket->stream ? CLIENT_POLL_DATA : 0;
    case FD_READ:
        return listening ? 0 : CLIENT_POLL_DATA;
    case FD_OOB:
        return socket->stream ? CLIENT_POLL_URGENT : 0;
    case FD_WRITE:
        return RS_LEVEL_WRITABLE;
    default:
        return socket->stream ? RS_LEVEL_END | RS_LEVEL_ERROR : 0;
    }
}

/* The core looks ready for everything then, which no socket can be. */
static bool events_is_gone(uint32_t ready)
{
    return (ready & CLIENT_POLL_FAILED) != 0 && (ready & RS_LEVEL_CONNECTED) != 0;
}

/* The dataplane is gone: whatever the program waits for, that is the answer. */
static void events_gone(const struct spi_socket *socket, struct spi_events *events)
{
    bool listening = client_is_listening(socket->core);
    long apt = listening ? FD_ACCEPT : FD_CONNECT | FD_READ | FD_WRITE | FD_CLOSE;
    apt &= socket->stream ? ~0L : ~(FD_CONNECT | FD_CLOSE);
    for (unsigned i = 0; i < EVENTS_ORDERED; i++) {
        if ((events->mask & ~events->told & apt & events_order[i].event) != 0) {
            events_tell(socket, events, events_order[i].event, events_order[i].bit, WSAENETDOWN);
        }
    }
}

static void events_look(struct spi_socket *socket, struct spi_events *events)
{
    uint32_t ready = client_socket_ready(socket->core, READY_ALL);
    uint32_t want = 0;
    if (events_is_gone(ready)) {
        events_gone(socket, events);
        return;
    }
    for (unsigned i = 0; i < EVENTS_ORDERED; i++) {
        long event = events_order[i].event;
        if ((events->mask & event) == 0 || (events->told & event) != 0) {
            continue;
        }
        if (events_happened(socket, event, ready)) {
            events_tell(socket, events, event, events_order[i].bit,
                        events_error(socket, event, ready));
        } else {
            want |= events_want(socket, event);
        }
    }
    /* What is true already and yet no reason to tell anything (an end behind bytes that wait) is
     * looked at again by the call that changes it. */
    want &= ~ready;
    if (want != 0) {
        spi_helper_arm(socket, want);
    }
}

/* A datagram socket is connected when it has a peer. Asked without the record's lock: it waits for
 * requests of other threads. */
static bool events_has_peer(struct spi_socket *socket)
{
    struct rs_addr peer;
    return !socket->stream && client_peer_addr(socket->core, &peer) == RS_OK;
}

static void events_look_with_peer(struct spi_socket *socket, struct spi_events *events,
                                  bool has_peer)
{
    if (has_peer && (events->mask & ~events->told & FD_CONNECT) != 0) {
        events_tell(socket, events, FD_CONNECT, FD_CONNECT_BIT, 0);
    }
    events_look(socket, events);
}

void spi_events_ready(struct spi_socket *socket)
{
    struct spi_events *events = events_of(socket);
    if (events == NULL) {
        return;
    }
    AcquireSRWLockExclusive(&events->lock);
    if (events_selected(socket, events)) {
        events_look(socket, events);
    }
    ReleaseSRWLockExclusive(&events->lock);
}

void spi_events_look(struct spi_socket *socket, long reenabled)
{
    struct spi_events *events = events_of(socket);
    AcquireSRWLockExclusive(&events->lock);
    if (events_selected(socket, events)) {
        events->told &= ~reenabled;
        events_look(socket, events);
    }
    ReleaseSRWLockExclusive(&events->lock);
}

void spi_events_tell(struct spi_socket *socket, long event, int error)
{
    struct spi_events *events = events_of(socket);
    unsigned bit = 0;
    while (event >> bit != 1) {
        bit++;
    }
    if (events == NULL) {
        return;
    }
    AcquireSRWLockExclusive(&events->lock);
    if (events_selected(socket, events) && (events->mask & event) != 0) {
        events_tell(socket, events, event, bit, error);
    }
    ReleaseSRWLockExclusive(&events->lock);
}

/* ---- connecting ---- */

long spi_events_before_connect(struct spi_socket *socket)
{
    struct spi_events *events = events_of(socket);
    long told = 0;
    if (events != NULL) {
        AcquireSRWLockExclusive(&events->lock);
        told = events->told;
        ReleaseSRWLockExclusive(&events->lock);
    }
    return told;
}

void spi_events_after_connect(struct spi_socket *socket, long before, int code)
{
    struct spi_events *events = events_of(socket);
    if (events == NULL || (code != 0 && code != WSAEWOULDBLOCK)) {
        return;
    }
    bool has_peer = events_has_peer(socket);
    AcquireSRWLockExclusive(&events->lock);
    if (events_selected(socket, events)) {
        /* Only what was told of an earlier attempt: of this one something may be told already. */
        events->told &=
            ~(before & (socket->stream ? FD_CONNECT | FD_WRITE | FD_CLOSE : FD_CONNECT));
        events_look_with_peer(socket, events, has_peer);
    }
    ReleaseSRWLockExclusive(&events->lock);
}

long spi_events_before_accept(struct spi_socket *accepting)
{
    struct spi_events *events = events_of(accepting);
    long told = 0;
    if (events != NULL) {
        AcquireSRWLockExclusive(&events->lock);
        told = events->told;
        events->told |= FD_CONNECT;
        ReleaseSRWLockExclusive(&events->lock);
    }
    return told;
}

void spi_events_after_accept(struct spi_socket *accepting, long before)
{
    struct spi_events *events = events_of(accepting);
    if (events == NULL) {
        return;
    }
    AcquireSRWLockExclusive(&events->lock);
    if (events_selected(accepting, events)) {
        events->told &= ~(before & (FD_READ | FD_WRITE | FD_OOB | FD_CLOSE));
        events_look(accepting, events);
    }
    ReleaseSRWLockExclusive(&events->lock);
}

/* ---- selecting ---- */

static int events_select_locked(struct spi_socket *socket, struct spi_events *events, long mask,
                                const struct spi_event_target *target, bool has_peer)
{
    if (events->closed) {
        return WSAENOTSOCK;
    }
    enum rs_status status = client_set_option(socket->core, CLIENT_OPT_NONBLOCKING, 1);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    events_set(socket, events, mask, target);
    /* A connection that is over is none to a new selection; a dataplane that is gone looks like
     * one, but for its FAILED (events_is_gone). */
    const uint32_t over = RS_LEVEL_CONNECTED | RS_LEVEL_ERROR;
    uint32_t ready = client_socket_ready(socket->core, over | CLIENT_POLL_FAILED);
    events->told = ready == over ? FD_CONNECT : 0;
    if (mask != 0) {
        events_look_with_peer(socket, events, has_peer);
    }
    return 0;
}

int spi_events_select(struct spi_socket *socket, long mask, const struct spi_event_target *target)
{
    struct spi_events *events = events_make(socket);
    uint32_t share_number = 0;
    if (events == NULL) {
        return WSAENOBUFS;
    }
    int code = mask != 0 ? spi_helper_use(socket->session) : 0;
    bool has_peer = (mask & FD_CONNECT) != 0 && events_has_peer(socket);
    if (code != 0) {
        return code;
    }
    AcquireSRWLockExclusive(&events->selecting);
    code = spi_wsa_error(client_share_take_events(socket->core, &share_number));
    if (code == 0) {
        AcquireSRWLockExclusive(&events->lock);
        code = events_select_locked(socket, events, mask, target, has_peer);
        if (code == 0) {
            events->share_number = share_number;
        }
        ReleaseSRWLockExclusive(&events->lock);
    }
    ReleaseSRWLockExclusive(&events->selecting);
    return code;
}

int spi_events_set_nonblocking(struct spi_socket *socket, bool nonblocking)
{
    struct spi_events *events = events_of(socket);
    if (events == NULL) {
        return spi_option_set(socket, CLIENT_OPT_NONBLOCKING, nonblocking);
    }
    AcquireSRWLockExclusive(&events->lock);
    int code = !nonblocking && events_selected(socket, events)
                   ? WSAEINVAL
                   : spi_option_set(socket, CLIENT_OPT_NONBLOCKING, nonblocking);
    ReleaseSRWLockExclusive(&events->lock);
    return code;
}

int spi_events_inherit(struct spi_socket *listener, struct spi_socket *accepted)
{
    struct spi_events *from = events_of(listener);
    if (from == NULL) {
        return 0;
    }
    AcquireSRWLockExclusive(&from->lock);
    long mask = from->mask;
    struct spi_event_target target = from->target;
    if (target.object != NULL) {
        atomic_fetch_add_explicit(&target.object->refs, 1, memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&from->lock);
    struct spi_events *events = mask != 0 ? events_make(accepted) : NULL;
    if (events == NULL) {
        object_drop(target.object);
        return mask != 0 ? WSAENOBUFS : 0;
    }
    AcquireSRWLockExclusive(&events->lock);
    events_set(accepted, events, mask, &target);
    events->told = FD_CONNECT; /* it did not connect */
    ReleaseSRWLockExclusive(&events->lock);
    return 0;
}

void spi_events_close(struct spi_socket *socket)
{
    struct spi_events *events = events_of(socket);
    if (events != NULL) {
        AcquireSRWLockExclusive(&events->lock);
        events_set(socket, events, 0, NULL);
        events->closed = true;
        ReleaseSRWLockExclusive(&events->lock);
    }
}

void spi_events_reopen(struct spi_socket *socket)
{
    struct spi_events *events = events_of(socket);
    if (events != NULL) {
        /* A selection that came between the end of the events and that of the socket. */
        events_set(socket, events, 0, NULL);
        events->closed = false;
    }
}

/* ---- the entries ---- */

int WSPAPI spi_event_select(SOCKET s, WSAEVENT event, long mask, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    struct spi_event_target target = {.object = NULL};
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = (mask & ~(long)FD_ALL_EVENTS) != 0 ? WSAEINVAL : 0;
    if (code == 0 && mask != 0) {
        code = object_open(event, &target.object);
    }
    if (code == 0) {
        code = spi_events_select(socket, mask, &target);
        if (code != 0) {
            object_drop(target.object);
        }
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

/* Lock held, or no record. */
static int enum_take(struct spi_socket *socket, struct spi_events *events, WSAEVENT event,
                     LPWSANETWORKEVENTS out)
{
    INT code = 0;
    if (event != NULL && !spi_upcalls.lpWPUResetEvent(event, &code)) {
        return WSAEINVAL;
    }
    if (events != NULL) {
        (void)events_selected(socket, events);
    }
    out->lNetworkEvents = events != NULL ? events->recorded : 0;
    for (unsigned bit = 0; events != NULL && bit < FD_MAX_EVENTS; bit++) {
        if ((events->recorded & 1L << bit) != 0) {
            out->iErrorCode[bit] = events->errors[bit];
        }
    }
    if (events != NULL) {
        events->recorded = 0;
    }
    return 0;
}

int WSPAPI spi_enum_network_events(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    int code = WSAEFAULT;
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct spi_events *events = events_of(socket);
    if (!spi_can_write(out, sizeof(*out))) {
        code = WSAEFAULT;
    } else if (events == NULL) {
        code = enum_take(socket, NULL, event, out);
    } else {
        AcquireSRWLockExclusive(&events->lock);
        code = enum_take(socket, events, event, out);
        ReleaseSRWLockExclusive(&events->lock);
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}
