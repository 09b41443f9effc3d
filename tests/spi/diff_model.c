/*
 * What diff.h's sequences know about their sockets without asking, and the waits that follow from
 * it. Loopback is not at once: Ringsock's poll loop carries a byte in its next iteration, a kernel
 * in a soft interrupt.
 */
#include "tests/spi/diff.h"

#define LINKS_MAX     128u
#define BARRIER_BYTES 4

struct diff_slot diff_slots[DIFF_SLOTS];
unsigned diff_made[DIFF_SLOTS];
uint32_t diff_own;

static struct diff_link model_links[LINKS_MAX];
static unsigned model_link_count;
static SOCKET barrier = INVALID_SOCKET;
static SOCKET witness = INVALID_SOCKET; /* has network events selected */
static WSAEVENT witness_event;
static SOCKADDR_IN witness_at;

/* ---- connections ---- */

struct diff_link *diff_link_new(void)
{
    if (model_link_count == LINKS_MAX) {
        fprintf(stderr, "a sequence of more than %u connections\n", LINKS_MAX);
        exit(2);
    }
    struct diff_link *link = &model_links[model_link_count++];
    *link = (struct diff_link){0};
    return link;
}

struct diff_pipe *diff_pipe_in(const struct diff_slot *slot)
{
    return slot->link != NULL ? &slot->link->pipes[1 - slot->side] : NULL;
}

struct diff_pipe *diff_pipe_out(const struct diff_slot *slot)
{
    return slot->link != NULL ? &slot->link->pipes[slot->side] : NULL;
}

struct diff_slot *diff_stream_peer(const struct diff_slot *slot)
{
    for (unsigned i = 0; slot->link != NULL && i < DIFF_SLOTS; i++) {
        if (diff_slots[i].link == slot->link && &diff_slots[i] != slot) {
            return &diff_slots[i];
        }
    }
    return NULL;
}

uint32_t diff_unread(const struct diff_slot *slot)
{
    const struct diff_pipe *in = diff_pipe_in(slot);
    return in != NULL ? in->sent - in->taken : 0;
}

void diff_link_ends(struct diff_slot *slot)
{
    struct diff_pipe *out = diff_pipe_out(slot);
    slot->link->gone[slot->side] = true;
    if (slot->aborts || diff_unread(slot) != 0) {
        out->reset = true;
    } else {
        out->fin = true;
    }
}

void diff_model_closed(struct diff_slot *slot)
{
    for (unsigned i = 0; i < slot->pending_count; i++) {
        slot->pending[i]->pipes[1].reset = true;
        slot->pending[i]->gone[1] = true;
    }
    if (slot->link != NULL) {
        diff_link_ends(slot);
    }
    *slot = (struct diff_slot){.s = INVALID_SOCKET};
}

void diff_model_reset(void)
{
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        struct diff_slot *slot = &diff_slots[i];
        if (slot->type != DIFF_NONE) {
            const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(slot->s, SOL_SOCKET, SO_LINGER, (const char *)&at_once,
                             sizeof(at_once));
            (void)closesocket(slot->s);
        }
        *slot = (struct diff_slot){.s = INVALID_SOCKET};
    }
    model_link_count = 0;
    memset(diff_made, 0, sizeof(diff_made));
}

void diff_model_sent(struct diff_slot *slot, uint32_t bytes, DWORD flags)
{
    struct diff_pipe *out = diff_pipe_out(slot);
    if (out == NULL) {
        return;
    }
    out->urgent = out->urgent || (flags & MSG_OOB) != 0;
    out->urgent_waits = out->urgent_waits || (flags & MSG_OOB) != 0;
    out->sent += bytes;
    /* An end that is closed, or takes no more, answers with a reset. */
    if (slot->link->gone[1 - slot->side]) {
        diff_pipe_in(slot)->reset = true;
    }
}

void diff_model_received(struct diff_slot *slot, uint32_t bytes)
{
    if (slot->type == DIFF_TCP && slot->link != NULL) {
        struct diff_pipe *in = diff_pipe_in(slot);
        in->taken += bytes;
        in->taken = in->taken < in->sent ? in->taken : in->sent;
    } else if (slot->queued != 0) {
        slot->queued--;
    }
}

/* ---- names, datagrams ---- */

void diff_learn_name(unsigned slot)
{
    struct diff_slot *at = &diff_slots[slot];
    struct diff_name name;
    SOCKADDR_IN in;
    int bytes = sizeof(name.is.room);
    if (getsockname(at->s, &name.is.any, &bytes) != 0) {
        return;
    }
    (void)diff_name_from(slot, &name, bytes, &in);
    if (in.sin_port != 0) {
        at->bound = true;
        at->specific = in.sin_addr.s_addr != 0;
        at->port_be16 = in.sin_port;
        diff_name_port(in.sin_port, slot);
    }
}

uint32_t diff_group(unsigned n)
{
    return 0xefff4d01u + n; /* 239.255.77.1, .2 */
}

unsigned diff_joined(const struct diff_slot *slot)
{
    return slot->joined_any | slot->joined_from[0] | slot->joined_from[1];
}

bool diff_port_served(u_short port_be16)
{
    unsigned users = 0;
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        users += diff_slots[i].type == DIFF_UDP && diff_slots[i].bound &&
                 diff_slots[i].port_be16 == port_be16;
    }
    return users == 1;
}

void diff_model_datagram(const struct diff_slot *from, u_short to_be16)
{
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        struct diff_slot *to = &diff_slots[i];
        if (to->type == DIFF_UDP && to->bound && to->port_be16 == to_be16 && !to->shut_recv &&
            (!to->connected || to->peer_port_be16 == from->port_be16)) {
            to->queued++;
        }
    }
}

/* ---- waits ---- */

static SOCKET bound_socket(SOCKADDR_IN *at)
{
    int bytes = sizeof(*at);
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    *at = diff_at(INADDR_LOOPBACK, 0);
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)at, sizeof(*at)) != 0 ||
        getsockname(s, (struct sockaddr *)at, &bytes) != 0) {
        fprintf(stderr, "no socket for the barrier: error %d\n", WSAGetLastError());
        exit(2);
    }
    return s;
}

void diff_barrier_open(void)
{
    const char *own = getenv("DIFF_OWN");
    SOCKADDR_IN at;
    diff_own = own != NULL ? ntohl(inet_addr(own)) : INADDR_LOOPBACK;
    barrier = bound_socket(&at);
    witness = bound_socket(&witness_at);
    witness_event = WSACreateEvent();
    WSAPOLLFD first = {.fd = barrier, .events = POLLRDNORM};
    (void)WSAPoll(&first, 1, 0); /* the host finds the provider's function by a socket */
    if (connect(barrier, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        WSAEventSelect(witness, witness_event, FD_READ) != 0) {
        fprintf(stderr, "no barrier: error %d\n", WSAGetLastError());
        exit(2);
    }
}

void diff_barrier_close(void)
{
    (void)closesocket(witness);
    (void)WSACloseEvent(witness_event);
    (void)closesocket(barrier);
}

bool diff_selects(SOCKET s, int set, int most_ms)
{
    fd_set sets = {.fd_count = 1, .fd_array = {s}};
    struct timeval most = {.tv_sec = most_ms / 1000, .tv_usec = most_ms % 1000 * 1000};
    return select(0, set == 0 ? &sets : NULL, set == 1 ? &sets : NULL, set == 2 ? &sets : NULL,
                  &most) == 1;
}

/* A datagram to oneself: what was done before it is done when it is back. */
static void barrier_pass(void)
{
    static uint32_t round;
    uint32_t back = 0;
    round++;
    if (send(barrier, (const char *)&round, BARRIER_BYTES, 0) != BARRIER_BYTES ||
        !diff_selects(barrier, 0, DIFF_MUST_MS) ||
        recv(barrier, (char *)&back, BARRIER_BYTES, 0) != BARRIER_BYTES || back != round) {
        fprintf(stderr, "the barrier's datagram did not come back: error %d\n", WSAGetLastError());
        exit(2);
    }
}

/* A datagram to a socket that has events selected: whoever records events has begun to look at what
 * was there before it. */
static void witness_pass(void)
{
    WSANETWORKEVENTS events;
    char data[BARRIER_BYTES] = {0};
    if (sendto(witness, data, BARRIER_BYTES, 0, (struct sockaddr *)&witness_at,
               sizeof(witness_at)) != BARRIER_BYTES ||
        WSAWaitForMultipleEvents(1, &witness_event, TRUE, DIFF_MUST_MS, FALSE) !=
            WSA_WAIT_EVENT_0 ||
        WSAEnumNetworkEvents(witness, witness_event, &events) != 0 ||
        recv(witness, data, BARRIER_BYTES, 0) != BARRIER_BYTES) {
        fprintf(stderr, "the barrier's event did not come: error %d\n", WSAGetLastError());
        exit(2);
    }
}

static bool unread_is_there(const struct diff_slot *slot)
{
    ULONGLONG end = GetTickCount64() + DIFF_WAIT_MS;
    u_long bytes = 0;
    do {
        if (ioctlsocket(slot->s, FIONREAD, &bytes) == 0 && bytes >= diff_unread(slot)) {
            return true;
        }
        barrier_pass();
    } while (GetTickCount64() < end);
    return false;
}

/* The model was wrong about it: it is not asked again. */
static void give_up(struct diff_slot *slot, const char *what)
{
    diff_note_wait(what);
    slot->strange = true;
}

static void settle_readable(struct diff_slot *slot)
{
    const struct diff_pipe *in = diff_pipe_in(slot);
    if (slot->type == DIFF_NONE || slot->shut_recv || slot->failed || slot->strange) {
        return;
    }
    bool stream_waits = in != NULL && (in->fin || in->reset || diff_unread(slot) != 0);
    if (in != NULL && !in->urgent && !in->reset && diff_unread(slot) != 0) {
        if (!unread_is_there(slot)) {
            give_up(slot, "its bytes");
        }
    } else if ((stream_waits && !in->urgent) || slot->queued != 0 || slot->pending_count != 0) {
        if (!diff_selects(slot->s, 0, DIFF_WAIT_MS)) {
            give_up(slot, "readable");
        }
    }
}

void diff_settle(struct diff_slot *slot)
{
    barrier_pass();
    settle_readable(slot);
    /* What is there is recorded, too, before a call takes it away. The first pass may be reported
     * in one round with what was there before it, or even in the round before; the third begins
     * behind the end of that round. */
    for (unsigned i = 0; slot->watched && i < 3; i++) {
        witness_pass();
    }
}
