/*
 * stream_side's many_connect and many_accept: connections by the thousand, each opened, used once
 * (a request of four bytes, the same four bytes back) and closed. One loop over those that are open
 * now; which of them may go on select says.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/interop/stream_side.h"

#define ROUND_MS 100u

enum once_step {
    ONCE_CONNECTING, /* we connect: until it is there, then we ask */
    ONCE_ASKED,      /* the peer's four bytes: the answer, or the request that we answer */
    ONCE_HELD,       /* used; until all are open */
    ONCE_ENDING      /* the peer closes first */
};

struct once {
    struct net_socket *socket;
    enum once_step step;
};

struct many {
    const struct side_many *order;
    struct net_socket *listener; /* NULL: we connect */
    struct once *once;           /* those that are open, at_once at most */
    struct net_item *items;      /* of those; the last one is the listener's */
    uint32_t open, begun, used, done;
};

static bool many_fail(const char *what)
{
    side_say_failed(what);
    return false;
}

static bool many_connect(struct many *many)
{
    struct net_socket *socket = net_socket_new();
    if (socket == NULL) {
        return many_fail("socket");
    }
    many->once[many->open++] = (struct once){.socket = socket, .step = ONCE_CONNECTING};
    many->begun++;
    if (net_connect(socket, many->order->ip_be32, many->order->port) == NET_FAILED) {
        return many_fail("connect");
    }
    return true;
}

static bool many_accept(struct many *many)
{
    int result;
    struct net_socket *socket;
    while (many->open < many->order->at_once && many->begun < many->order->count) {
        result = net_accept(many->listener, &socket);
        if (result == NET_WAIT) {
            return true;
        }
        if (result == NET_FAILED) {
            return many_fail("accept");
        }
        many->once[many->open++] = (struct once){.socket = socket, .step = ONCE_ASKED};
        many->begun++;
    }
    return true;
}

/* Those at the places behind move up: the walk over them is from the last to the first. */
static bool many_close(struct many *many, struct once *once)
{
    if (net_socket_close(once->socket) != NET_OK) {
        return many_fail("closesocket");
    }
    *once = many->once[--many->open];
    many->done++;
    return true;
}

static bool once_use(struct many *many, struct once *once)
{
    uint32_t word = 0;
    if (once->step == ONCE_CONNECTING) {
        if (net_connect_result(once->socket) != NET_OK) {
            return many_fail("connect");
        }
        once->step = ONCE_ASKED;
        return net_send(once->socket, &many->begun, sizeof(word), false) == sizeof(word) ||
               many_fail("send");
    }
    int got = net_recv(once->socket, &word, sizeof(word), false);
    if (got == NET_WAIT) {
        return true;
    }
    if (got != sizeof(word)) {
        return many_fail("recv of four bytes");
    }
    if (many->listener != NULL &&
        net_send(once->socket, &word, sizeof(word), false) != sizeof(word)) {
        return many_fail("send");
    }
    many->used++;
    once->step = ONCE_HELD;
    return true;
}

/* One step of one that select says is ready. */
static bool once_step(struct many *many, struct once *once)
{
    uint8_t byte;
    if (once->step == ONCE_CONNECTING || once->step == ONCE_ASKED) {
        return once_use(many, once);
    }
    int got = net_recv(once->socket, &byte, 1, false);
    if (got == NET_WAIT) {
        return true;
    }
    return got == 0 ? many_close(many, once) : many_fail("the peer's end");
}

static uint32_t once_want(const struct once *once)
{
    return once->step == ONCE_CONNECTING ? NET_WRITE | NET_EXCEPT
           : once->step == ONCE_HELD     ? 0
                                         : NET_READ;
}

/* Those that are used go on to their end, all at once or each in its time. */
static bool many_release(struct many *many)
{
    if (many->order->all_open_first && many->used < many->order->count) {
        return true;
    }
    for (uint32_t i = many->open; i-- > 0;) {
        struct once *once = &many->once[i];
        if (once->step == ONCE_HELD) {
            once->step = ONCE_ENDING;
            if (many->order->we_close_first && !many_close(many, once)) {
                return false;
            }
        }
    }
    return true;
}

static bool many_round(struct many *many)
{
    while (many->listener == NULL && many->open < many->order->at_once &&
           many->begun < many->order->count) {
        if (!many_connect(many)) {
            return false;
        }
    }
    uint32_t count = many->open;
    for (uint32_t i = 0; i < count; i++) {
        many->items[i] =
            (struct net_item){.socket = many->once[i].socket, .want = once_want(&many->once[i])};
    }
    const bool accepts = many->listener != NULL && many->open < many->order->at_once &&
                         many->begun < many->order->count;
    if (accepts) {
        many->items[count] = (struct net_item){.socket = many->listener, .want = NET_READ};
    }
    if (net_wait(many->items, count + accepts, ROUND_MS) != NET_OK) {
        return many_fail("select");
    }
    for (uint32_t i = count; i-- > 0;) {
        if (many->items[i].ready != 0 && !once_step(many, &many->once[i])) {
            return false;
        }
    }
    return (!accepts || many->items[count].ready == 0 || many_accept(many)) && many_release(many);
}

static void many_run(struct many *many)
{
    const struct side_many *order = many->order;
    bool well = true;
    many->once = calloc(order->at_once, sizeof(*many->once));
    many->items = calloc((size_t)order->at_once + 1, sizeof(*many->items));
    if (many->once == NULL || many->items == NULL) {
        side_say("error no memory for %u connections", order->at_once);
        well = false;
    }
    while (well && many->done < order->count) {
        well = many_round(many);
        if (well && side_now_ms() > order->deadline_ms) {
            side_say("error waited in vain: of %u connections %u begun, %u open, %u used, %u done",
                     order->count, many->begun, many->open, many->used, many->done);
            well = false;
        }
    }
    free(many->items);
    free(many->once);
    if (well) {
        side_say("ok %u", many->done);
    }
}

void side_many_connect(const struct side_many *many)
{
    struct many run = {.order = many};
    many_run(&run);
}

void side_many_accept(struct net_socket *listener, const struct side_many *many)
{
    struct many run = {.order = many, .listener = listener};
    many_run(&run);
}
