/*
 * provider/client: calls without a reference (client_claim), on whatever rig is linked. Here the
 * facade is a table of one handle, as provider/spi/handle.c has many. What a claim guards against
 * is tried by hand, and with threads that close and open under the calls of others; all orders of
 * that are tests/model/claim.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define BYTES  40u
#define ROUNDS 400u

#define CALLS_A_TURN 64u /* of a thread, before it yields */

/* A facade's record and the table's place. */
static struct {
    void *_Atomic place;
    _Atomic uintptr_t life;
    struct client_socket *_Atomic core;
} handle;

static void handle_open(struct client_socket *core)
{
    atomic_store(&handle.core, NULL);
    atomic_fetch_add(&handle.life, 1);
    atomic_store(&handle.core, core);
    atomic_store(&handle.place, &handle);
}

static struct client_claim claim_of_handle(struct client_socket **core)
{
    struct client_claim claim = {.place = &handle.place,
                                 .record = &handle,
                                 .life = &handle.life,
                                 .life_seen = atomic_load(&handle.life)};
    *core = atomic_load(&handle.core);
    return claim;
}

/* What a send that was done said; RS_NOT_READY and RS_WOULD_BLOCK are the long way's. */
static _Thread_local enum rs_status send_status;

static bool claimed_send(char fill, const struct rs_addr *to)
{
    char data[BYTES];
    struct client_socket *core;
    const struct client_claim claim = claim_of_handle(&core);
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    size_t sent_bytes = 0;
    memset(data, fill, sizeof(data));
    send_status = RS_OK;
    bool done =
        core != NULL && client_send_claimed(core, &claim, &iov, 1, to, &sent_bytes, &send_status);
    CHECK(!done || send_status != RS_OK || sent_bytes == BYTES);
    return done && send_status == RS_OK;
}

/* *status and the first byte. */
static bool claimed_recv(enum rs_status *status, char *first, struct rs_addr *from)
{
    char data[BYTES + 1];
    struct client_socket *core;
    const struct client_claim claim = claim_of_handle(&core);
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    struct client_recv_info info;
    size_t got_bytes = 0;
    if (core == NULL || !client_recv_claimed(core, &claim, &iov, 1, from != NULL ? &info : NULL,
                                             &got_bytes, status)) {
        return false;
    }
    if (*status == RS_OK) {
        *first = data[0];
        CHECK(got_bytes == BYTES && data[0] == data[BYTES - 1]);
        if (from != NULL) {
            *from = info.from;
        }
    }
    return true;
}

static struct client_socket *dgram_bound(struct rs_addr *at)
{
    struct client_socket *socket = NULL;
    const struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
    CHECK(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    return socket;
}

static void dgram_wait(struct client_socket *socket)
{
    assert_int_equal(stream_poll(socket, RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static void test_dgram(void **state)
{
    (void)state;
    struct rs_addr at, from;
    enum rs_status status = RS_OK;
    char first = 0;
    struct client_socket *socket = dgram_bound(&at);
    handle_open(socket);
    assert_true(claimed_send('a', &at)); /* to itself */
    dgram_wait(socket);
    assert_true(claimed_recv(&status, &first, &from));
    assert_int_equal(status, RS_OK);
    assert_int_equal(first, 'a');
    assert_int_equal(from.port_be16, at.port_be16);
    /* Without an address it is the peer, and there is none. */
    assert_false(claimed_send('b', NULL));
    assert_int_equal(send_status, RS_NOT_CONNECTED);
    assert_int_equal(client_connect(socket, &at), RS_OK);
    assert_true(claimed_send('b', NULL));
    dgram_wait(socket);
    assert_true(claimed_recv(&status, &first, NULL));
    assert_int_equal(first, 'b');
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static void test_nothing_there(void **state)
{
    (void)state;
    struct rs_addr at;
    enum rs_status status = RS_OK;
    char first;
    struct client_socket *socket = dgram_bound(&at);
    handle_open(socket);
    assert_false(claimed_recv(&status, &first, NULL)); /* it would wait */
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    assert_true(claimed_recv(&status, &first, NULL));
    assert_int_equal(status, RS_WOULD_BLOCK);
    assert_int_equal(client_shutdown(socket, CLIENT_SHUT_RECV), RS_OK);
    assert_true(claimed_recv(&status, &first, NULL));
    assert_int_equal(status, RS_SHUTDOWN);
    assert_int_equal(client_socket_close(socket), RS_OK);
    assert_true(claimed_recv(&status, &first, NULL)); /* closed before its place was cleared */
    assert_int_equal(status, RS_NOT_SOCKET);
    assert_false(claimed_send('c', &at));
    assert_int_equal(send_status, RS_NOT_SOCKET);
}

static void test_claim_is_false(void **state)
{
    (void)state;
    struct rs_addr at;
    enum rs_status status = RS_OK;
    char data[BYTES] = {0};
    size_t bytes;
    struct client_socket *core;
    struct client_socket *socket = dgram_bound(&at);
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    handle_open(socket);
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    const struct client_claim before = claim_of_handle(&core);
    handle_open(socket); /* another life, the same place */
    assert_false(client_send_claimed(core, &before, &iov, 1, &at, &bytes, &status));
    assert_false(client_recv_claimed(core, &before, &iov, 1, NULL, &bytes, &status));
    const struct client_claim now = claim_of_handle(&core);
    atomic_store(&handle.place, NULL); /* about to be closed */
    assert_false(client_send_claimed(core, &now, &iov, 1, &at, &bytes, &status));
    assert_false(client_recv_claimed(core, &now, &iov, 1, NULL, &bytes, &status));
    atomic_store(&handle.place, (void *)&status); /* another record's */
    assert_false(client_send_claimed(core, &now, &iov, 1, &at, &bytes, &status));
    atomic_store(&handle.place, &handle);
    assert_true(client_send_claimed(core, &now, &iov, 1, &at, &bytes, &status));
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static void other_thread_sends(void *arg)
{
    CHECK(!claimed_send('d', arg));
}

/* No channel is opened under a socket's lock. */
static void test_thread_without_a_channel(void **state)
{
    (void)state;
    struct rs_addr at;
    struct os_thread thread;
    struct client_socket *socket = dgram_bound(&at);
    handle_open(socket);
    assert_int_equal(os_thread_start(&thread, other_thread_sends, &at, "sends"), RS_OK);
    os_thread_join(&thread);
    assert_true(claimed_send('d', &at));
    assert_int_equal(client_socket_close(socket), RS_OK);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void test_stream(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    enum rs_status status = RS_OK;
    char first = 0;
    struct client_socket *listener = stream_make_listener(&to);
    handle_open(listener);
    assert_false(claimed_send('e', NULL));
    assert_int_equal(send_status, RS_WOULD_BLOCK);
    assert_true(claimed_recv(&status, &first, NULL));
    assert_int_equal(status, RS_NOT_CONNECTED);
    stream_make_pair(listener, &to, ends);
    handle_open(ends[0]);
    stream_set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    assert_true(claimed_recv(&status, &first, NULL));
    assert_int_equal(status, RS_WOULD_BLOCK);
    uint32_t sent = 0;
    while (claimed_send('f', NULL)) { /* all of it, or the long way */
        sent++;
    }
    assert_true(sent > 0);
    handle_open(ends[1]);
    /* The sender waits for room that only these reads make. */
    for (uint32_t got = 0; got < sent; got++) {
        assert_int_not_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS), 0);
        char data[BYTES];
        size_t bytes = 0, done = 0;
        while (done < BYTES) {
            struct client_socket *core;
            const struct client_claim claim = claim_of_handle(&core);
            const struct client_iov iov = {.base = data, .len_bytes = BYTES - done};
            if (client_recv_claimed(core, &claim, &iov, 1, NULL, &bytes, &status)) {
                assert_int_equal(status, RS_OK);
                assert_int_equal(data[0], 'f');
                done += bytes;
            } else {
                assert_int_not_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS), 0);
            }
        }
    }
    assert_int_not_equal(stream_poll(ends[0], RS_LEVEL_WRITABLE, STREAM_WAIT_NS), 0);
    assert_int_equal(client_socket_close(ends[0]), RS_OK);
    assert_int_not_equal(stream_poll(ends[1], RS_LEVEL_END, STREAM_WAIT_NS), 0);
    assert_int_equal(client_socket_close(ends[1]), RS_OK);
    assert_int_equal(client_socket_close(listener), RS_OK);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The attach is gone, its sockets' memory is not. */
static void test_after_the_client(void **state)
{
    (void)state;
    struct rs_addr at;
    enum rs_status status = RS_OK;
    char data[BYTES];
    size_t bytes;
    struct client_socket *core;
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    handle_open(dgram_bound(&at));
    const struct client_claim claim = claim_of_handle(&core);
    atomic_store(&handle.place, NULL);
    client_close(stream_client);
    assert_false(client_recv_claimed(core, &claim, &iov, 1, NULL, &bytes, &status));
    assert_false(client_send_claimed(core, &claim, &iov, 1, &at, &bytes, &status));
    stream_client = rig_attach(); /* whose sockets are in that memory */
    struct client_socket *socket = dgram_bound(&at);
    assert_false(client_recv_claimed(core, &claim, &iov, 1, NULL, &bytes, &status));
    handle_open(socket);
    assert_true(claimed_send('g', &at));
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static _Atomic bool callers_end;

/* What comes in this handle's sockets is 'h', in the others' 'x'. The processor goes to those who
 * close and open now and then, who else wait for the end of a time slice at each step. */
static void caller_run(void *arg)
{
    _Atomic uint32_t *taken = arg;
    for (uint32_t calls = 1; !atomic_load(&callers_end); calls++) {
        enum rs_status status = RS_OK;
        char first = 0;
        if (claimed_recv(&status, &first, NULL) && status == RS_OK) {
            CHECK(first == 'h');
            atomic_fetch_add(taken, 1);
        }
        if (calls % CALLS_A_TURN == 0) {
            os_yield();
        }
    }
}

static void send_one(struct client_socket *socket, char fill, const struct rs_addr *to)
{
    char data[BYTES];
    size_t sent_bytes;
    const struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    memset(data, fill, sizeof(data));
    CHECK(client_send(socket, &iov, 1, CLIENT_MSG_WAIT, to, &sent_bytes) == RS_OK);
}

static void test_closed_under_calls(void **state)
{
    (void)state;
    struct os_thread threads[2];
    _Atomic uint32_t taken = 0;
    struct rs_addr at, other_at;
    struct client_socket *sender = dgram_bound(&at);
    atomic_store(&callers_end, false);
    handle_open(dgram_bound(&at));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(os_thread_start(&threads[i], caller_run, &taken, "calls"), RS_OK);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        send_one(sender, 'h', &at);
        atomic_store(&handle.place, NULL);
        assert_int_equal(client_socket_close(atomic_load(&handle.core)), RS_OK);
        /* The core that was just closed comes again, as another handle's. */
        struct client_socket *other = dgram_bound(&other_at);
        send_one(sender, 'x', &other_at);
        handle_open(dgram_bound(&at));
        assert_int_equal(client_socket_close(other), RS_OK);
    }
    send_one(sender, 'h', &at);
    const uint64_t deadline_ns = os_monotonic_ns() + STREAM_WAIT_NS;
    struct client_socket *last = atomic_load(&handle.core);
    while (atomic_load(&taken) == 0 && os_monotonic_ns() < deadline_ns) {
        os_yield(); /* the last one at least is not closed under them */
    }
    atomic_store(&callers_end, true);
    os_thread_join(&threads[0]);
    os_thread_join(&threads[1]);
    assert_int_not_equal(atomic_load(&taken), 0);
    assert_int_equal(client_socket_close(last), RS_OK);
    assert_int_equal(client_socket_close(sender), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dgram, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_claim_is_false, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_thread_without_a_channel, stream_setup,
                                        stream_teardown),
        cmocka_unit_test_setup_teardown(test_stream, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_after_the_client, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_closed_under_calls, stream_setup, stream_teardown),
    };
    return cmocka_run_group_tests_name("client_claim", tests, NULL, NULL);
}
