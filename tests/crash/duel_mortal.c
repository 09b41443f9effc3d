/* The program that is killed, see duel.h. One thread, and in DUEL_TRANSFER one for each connection
 * more. What its calls answer matters to nobody but where duel.h promises something. */
#include <string.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/duel.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define UNUSED(status) ((void)!(status))
#define CHUNK_BYTES    3000u

struct mortal {
    struct duel *duel;
    struct client *client;
    struct client_socket *listener;
    struct client_socket *sockets[DUEL_CONNECTIONS];
    uint32_t count, round;
    struct test_random random;
};

void duel_fill(uint8_t *out, uint32_t round, uint32_t idx, uint32_t from, uint32_t bytes)
{
    const struct duel_header header = {.round = round, .idx = idx};
    uint8_t first[sizeof(header)];
    memcpy(first, &header, sizeof(header));
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t place = from + i;
        out[i] = place < sizeof(header) ? first[place] : duel_byte(round, idx, place);
    }
}

bool duel_same(const uint8_t *data, uint32_t round, uint32_t idx, uint32_t from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t place = from + i;
        if (place >= sizeof(struct duel_header) && data[i] != duel_byte(round, idx, place)) {
            return false;
        }
    }
    return true;
}

static struct client_socket *mortal_socket(struct mortal *mortal)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(mortal->client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) == RS_OK);
    return socket;
}

/* Sends the next bytes of the connection's stream; counts what was taken. */
static enum rs_status mortal_send(struct mortal *mortal, uint32_t idx, uint32_t bytes,
                                  uint32_t flags)
{
    uint8_t data[CHUNK_BYTES];
    struct duel_side *side = &mortal->duel->side[idx];
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t sent = 0;
    duel_fill(data, mortal->round, idx, atomic_load(&side->sent_bytes), bytes);
    enum rs_status status = client_send(mortal->sockets[idx], &iov, 1, flags, NULL, &sent);
    atomic_fetch_add(&side->sent_bytes, (uint32_t)sent);
    return status;
}

static enum rs_status mortal_recv(struct mortal *mortal, uint32_t idx, uint32_t flags,
                                  size_t *got_bytes)
{
    uint8_t data[CHUNK_BYTES];
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    return client_recv(mortal->sockets[idx], &iov, 1, flags, NULL, got_bytes);
}

/* Connects, says who it is. False: it did not come to that. */
static bool mortal_connect(struct mortal *mortal, uint32_t idx)
{
    mortal->sockets[idx] = mortal_socket(mortal);
    return client_connect(mortal->sockets[idx], &mortal->duel->survivor_at) == RS_OK &&
           mortal_send(mortal, idx, sizeof(struct duel_header), 0) == RS_OK;
}

static void mortal_connect_all(struct mortal *mortal)
{
    for (uint32_t i = 0; i < mortal->count; i++) {
        CHECK(mortal_connect(mortal, i));
    }
}

static void mortal_ready(struct mortal *mortal)
{
    atomic_store(&mortal->duel->ready, 1);
}

static void mortal_rest(struct mortal *mortal)
{
    mortal_ready(mortal);
    for (;;) {
        size_t got = 0;
        if (mortal->count == 0 || mortal->sockets[0] == NULL ||
            mortal_recv(mortal, 0, 0, &got) != RS_OK || got == 0) {
            os_sleep_ns(NS_PER_S);
        }
    }
}

/* ---- phases ---- */

static void play_connecting(struct mortal *mortal)
{
    mortal_ready(mortal);
    for (;;) {
        if (!mortal_connect(mortal, 0)) {
            os_yield();
        }
        UNUSED(client_socket_close(mortal->sockets[0]));
        /* Each connection's stream begins anew. */
        atomic_store(&mortal->duel->side[0].sent_bytes, 0);
    }
}

static void play_idle(struct mortal *mortal)
{
    mortal_connect_all(mortal);
    mortal_rest(mortal);
}

static void play_transfer(struct mortal *mortal, uint32_t urgent)
{
    mortal_connect_all(mortal);
    mortal_ready(mortal);
    for (uint32_t turn = 0;; turn++) {
        for (uint32_t i = 0; i < mortal->count; i++) {
            size_t got = 0;
            uint32_t bytes = 1 + test_random_below(&mortal->random, CHUNK_BYTES);
            uint32_t flags = urgent != 0 && turn % urgent == 0 ? CLIENT_MSG_OOB : 0;
            UNUSED(mortal_send(mortal, i, bytes, flags | CLIENT_MSG_DONTWAIT));
            UNUSED(mortal_recv(mortal, i, CLIENT_MSG_DONTWAIT, &got));
            if (urgent != 0) {
                UNUSED(mortal_recv(mortal, i, CLIENT_MSG_DONTWAIT | CLIENT_MSG_OOB, &got));
            }
        }
    }
}

static void play_half_by_mortal(struct mortal *mortal)
{
    mortal_connect_all(mortal);
    for (uint32_t i = 0; i < mortal->count; i++) {
        UNUSED(mortal_send(mortal, i, CHUNK_BYTES, 0));
        CHECK(client_shutdown(mortal->sockets[i], CLIENT_SHUT_SEND) == RS_OK);
    }
    mortal_rest(mortal);
}

/* Reads to the survivor's end; then sends, or shuts its side too. */
static void play_other_half(struct mortal *mortal, bool shut)
{
    mortal_connect_all(mortal);
    for (uint32_t i = 0; i < mortal->count; i++) {
        size_t got = 1;
        while (got != 0) {
            CHECK(mortal_recv(mortal, i, 0, &got) == RS_OK);
        }
        UNUSED(mortal_send(mortal, i, 1 + test_random_below(&mortal->random, CHUNK_BYTES), 0));
        if (shut) {
            CHECK(client_shutdown(mortal->sockets[i], CLIENT_SHUT_SEND) == RS_OK);
        }
    }
    mortal_ready(mortal);
    for (;;) {
        for (uint32_t i = 0; i < mortal->count && !shut; i++) {
            UNUSED(mortal_send(mortal, i, CHUNK_BYTES, CLIENT_MSG_DONTWAIT));
        }
        os_sleep_ns(NS_PER_MS);
    }
}

static bool mortal_listens(struct mortal *mortal)
{
    struct client_socket *socket = mortal_socket(mortal);
    CHECK(client_set_option(socket, RS_OPT_EXCLUSIVEADDR, 1) == RS_OK);
    if (client_bind(socket, &mortal->duel->mortal_at) == RS_OK &&
        client_listen(socket, DUEL_BACKLOG) == RS_OK) {
        mortal->listener = socket;
        return true;
    }
    UNUSED(client_socket_close(socket));
    return false;
}

static void play_listening(struct mortal *mortal, bool accepts)
{
    CHECK(mortal_listens(mortal)); /* the round before has waited until it can be */
    mortal_ready(mortal);
    mortal->count = 0;
    for (;;) {
        struct client_socket *socket = NULL;
        uint32_t idx = mortal->count % DUEL_CONNECTIONS;
        if (!accepts || client_accept(mortal->listener, &socket, NULL) != RS_OK) {
            os_sleep_ns(NS_PER_MS);
            continue;
        }
        if (mortal->sockets[idx] != NULL) {
            UNUSED(client_set_option(mortal->sockets[idx], CLIENT_OPT_LINGER_MS, 0));
            UNUSED(client_socket_close(mortal->sockets[idx]));
        }
        mortal->sockets[idx] = socket;
        mortal->count++;
    }
}

static void play_linger(struct mortal *mortal)
{
    mortal_connect_all(mortal);
    for (uint32_t i = 0; i < mortal->count; i++) {
        while (mortal_send(mortal, i, CHUNK_BYTES, CLIENT_MSG_DONTWAIT) == RS_OK) {
        }
        CHECK(client_set_option(mortal->sockets[i], CLIENT_OPT_LINGER_MS, 60000) == RS_OK);
    }
    mortal_ready(mortal);
    UNUSED(client_socket_close(mortal->sockets[0]));
    mortal_rest(mortal);
}

static void play_closed(struct mortal *mortal, bool abort)
{
    mortal_connect_all(mortal);
    for (uint32_t i = 0; i < mortal->count; i++) {
        uint32_t turns = test_random_below(&mortal->random, 150); /* full rings included */
        for (uint32_t k = 0; k < turns; k++) {
            uint32_t bytes = 1 + test_random_below(&mortal->random, CHUNK_BYTES);
            UNUSED(mortal_send(mortal, i, bytes, CLIENT_MSG_DONTWAIT));
        }
        if (abort) {
            UNUSED(client_set_option(mortal->sockets[i], CLIENT_OPT_LINGER_MS, 0));
        }
        UNUSED(client_socket_close(mortal->sockets[i]));
        atomic_store(&mortal->duel->side[i].closed, !abort);
        mortal->sockets[i] = NULL;
    }
    mortal_rest(mortal);
}

static void mortal_play(struct mortal *mortal)
{
    switch (mortal->duel->phase) {
    case DUEL_CONNECTING:
        play_connecting(mortal);
        break;
    case DUEL_TRANSFER:
        play_transfer(mortal, 0);
        break;
    case DUEL_URGENT:
        play_transfer(mortal, 3);
        break;
    case DUEL_HALF_BY_MORTAL:
        play_half_by_mortal(mortal);
        break;
    case DUEL_HALF_BY_SURVIVOR:
    case DUEL_BOTH_SHUT:
        play_other_half(mortal, mortal->duel->phase == DUEL_BOTH_SHUT);
        break;
    case DUEL_LISTENING:
    case DUEL_ACCEPTING:
        play_listening(mortal, mortal->duel->phase == DUEL_ACCEPTING);
        break;
    case DUEL_LINGER:
        play_linger(mortal);
        break;
    case DUEL_ORPHAN:
    case DUEL_ABORT:
        play_closed(mortal, mortal->duel->phase == DUEL_ABORT);
        break;
    default:
        play_idle(mortal);
        break;
    }
}

static void mortal_attach(struct mortal *mortal)
{
    /* Blocked calls of a third of the mortals sleep at once. */
    const struct client_config config = {
        .spin_us = test_random_below(&mortal->random, 3) == 0 ? 0 : -1, .yield_in_spin = -1};
    while (client_open(&config, &mortal->client) != RS_OK) { /* while others still end */
        os_sleep_ns(5 * NS_PER_MS);
    }
}

int duel_mortal_run(void *arg)
{
    struct mortal mortal = {.duel = arg};
    mortal.random = test_random_make(mortal.duel->seed);
    mortal.round = atomic_load(&mortal.duel->round);
    mortal.count = 1 + test_random_below(&mortal.random, 4);
    mortal_attach(&mortal);
    mortal_play(&mortal);
    return 1;
}

bool duel_listens(struct duel *duel)
{
    struct mortal mortal = {.duel = duel, .random = test_random_make(1)};
    mortal_attach(&mortal);
    bool listens = mortal_listens(&mortal);
    client_close(mortal.client);
    return listens;
}
