/*
 * A capture's life in the dataplane (control_capture.c): who may ask for what and when, a reader
 * that says nonsense or dies, and that the queues have let go of the rings before they are gone.
 * What is in the rings of a connection over a wire. The rest is tests/programs/capture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/capture.h"
#include "rings/control.h"
#include "tests/support/check.h"
#include "tests/support/stream_rig.h"

struct asker {
    struct os_conn conn;
    struct os_shm rings, words;
};

static struct asker asker;
static uint32_t guards_before;

static int start(void **state)
{
    (void)state;
    guards_before = os_guard_count();
    stream_rig_start(&(struct stream_rig_spec){.queues = 2});
    memset(&asker, 0, sizeof(asker));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    os_shm_destroy(&asker.rings);
    os_shm_destroy(&asker.words);
    return stream_rig_stop() && os_guard_count() == guards_before ? 0 : -1;
}

/* Sends a request; the answer's status, RS_TIMED_OUT while there is none. */
static enum rs_status answered(struct rs_ctl_answer *answer, intptr_t *handles,
                               uint32_t *handle_count)
{
    size_t bytes = sizeof(*answer);
    enum rs_status status = os_conn_recv(&asker.conn, answer, &bytes, handles, handle_count, 0);
    return status == RS_OK ? (enum rs_status)answer->status : status;
}

static enum rs_status ask(uint32_t type, uint32_t arg)
{
    const struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t count = 0;
    enum rs_status status = RS_TIMED_OUT;
    assert_int_equal(os_conn_send(&asker.conn, &request, sizeof(request), NULL, 0), RS_OK);
    for (int i = 0; i < 1000 && status == RS_TIMED_OUT; i++) {
        rig_turn();
        status = answered(&answer, handles, &count);
    }
    if (status == RS_OK && type == RS_CTL_CAPTURE) {
        assert_int_equal(count, 2);
        assert_int_equal(os_shm_map(handles[0], answer.sizes_bytes[0], false, &asker.rings), RS_OK);
        assert_int_equal(os_shm_map(handles[1], answer.sizes_bytes[1], true, &asker.words), RS_OK);
    } else {
        assert_int_equal(count, 0);
    }
    return status;
}

static void connect_only(void)
{
    assert_int_equal(os_connect(rig_control->configs[0].instance, 0, &asker.conn), RS_OK);
    rig_turn();
}

static void begin(uint32_t arg)
{
    connect_only();
    assert_int_equal(ask(RS_CTL_CAPTURE, RS_CAPTURE_VERSION), RS_OK);
    assert_int_equal(ask(RS_CTL_CAPTURE_START, arg), RS_OK);
    rig_turns(2);
}

static bool nobody_captures(void *context)
{
    (void)context;
    /* The memory goes last. */
    CHECK(rig_control->capture != NULL ||
          (rig_queue(0)->capture == NULL && rig_queue(1)->capture == NULL));
    return rig_control->capture == NULL;
}

static struct capture_reader reader_of(uint32_t queue_idx)
{
    const struct rs_capture_header *header = asker.rings.base;
    const struct rs_capture_queue *queue = &header->queues[queue_idx];
    struct rs_capture_reader_word *words = asker.words.base;
    struct capture_reader reader;
    capture_reader_init(&reader, (const uint8_t *)header + queue->ring_off, queue->ring_bytes,
                        queue, &words[queue_idx].head);
    return reader;
}

/* ---- cases ---- */

static void the_header_says_what_there_is(void **state)
{
    (void)state;
    connect_only();
    assert_int_equal(ask(RS_CTL_CAPTURE, RS_CAPTURE_VERSION), RS_OK);
    const struct rs_capture_header *header = asker.rings.base;
    assert_int_equal(header->magic, RS_CAPTURE_MAGIC);
    assert_int_equal(header->version, RS_CAPTURE_VERSION);
    assert_int_equal(header->queue_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(header->queues[i].nic_queue_idx, i);
        assert_string_equal((const char *)header->queues[i].nic, rig_control->nics[i]->name);
        assert_memory_equal(header->queues[i].mac, rig_control->nics[i]->mac, 6);
        assert_null(rig_queue(i)->capture); /* not before START */
    }
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the capture's end");
}

static void only_what_is_wanted_is_told(void **state)
{
    (void)state;
    begin(RS_CAPTURE_START_ARG(0u, 2u, 100u));
    assert_null(rig_queue(0)->capture);
    assert_non_null(rig_queue(1)->capture);
    assert_int_equal(ask(RS_CTL_CAPTURE_STOP, 0), RS_OK);
    assert_null(rig_queue(1)->capture); /* by the time of the answer */
    assert_non_null(rig_control->capture);
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the capture's end");
}

static void a_reader_that_dies_leaves_nothing(void **state)
{
    (void)state;
    begin(RS_CAPTURE_START_ARG(3u, 3u, 0u));
    assert_non_null(rig_queue(0)->capture);
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the capture's end");
    os_shm_destroy(&asker.rings);
    os_shm_destroy(&asker.words);
    begin(RS_CAPTURE_START_ARG(3u, 3u, 0u)); /* there can be another one */
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the second capture's end");
}

static void one_at_a_time_and_of_this_version(void **state)
{
    struct asker first;
    (void)state;
    connect_only();
    assert_int_equal(ask(RS_CTL_CAPTURE, RS_CAPTURE_VERSION + 1), RS_VERSION_MISMATCH);
    os_conn_close(&asker.conn);
    begin(RS_CAPTURE_START_ARG(1u, 0u, 0u));
    first = asker;
    memset(&asker, 0, sizeof(asker));
    connect_only();
    assert_int_equal(ask(RS_CTL_CAPTURE, RS_CAPTURE_VERSION), RS_ALREADY);
    os_conn_close(&asker.conn);
    asker = first;
    assert_int_equal(ask(RS_CTL_CAPTURE_STOP, 0), RS_OK);
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the capture's end");
}

static void nonsense_ends_it(void **state)
{
    static const struct {
        uint32_t type, arg;
        bool started;
    } cases[] = {
        {RS_CTL_CAPTURE_STOP, 0, false},
        {RS_CTL_CAPTURE_START, 0, false},                                /* no queue */
        {RS_CTL_CAPTURE_START, RS_CAPTURE_START_ARG(4u, 0u, 0u), false}, /* one too many */
        {RS_CTL_CAPTURE_START, RS_CAPTURE_START_ARG(1u, 0x80u, 0u), false},
        {RS_CTL_CAPTURE_START, RS_CAPTURE_START_ARG(1u, 0u, 0u), true}, /* a second time */
        {RS_CTL_ATTACH, RS_LAYOUT_VERSION, true},
        {RS_CTL_REPORT, 0, false},
    };
    uint64_t malformed = rig_control->counts.malformed;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        connect_only();
        assert_int_equal(ask(RS_CTL_CAPTURE, RS_CAPTURE_VERSION), RS_OK);
        if (cases[i].started) {
            assert_int_equal(ask(RS_CTL_CAPTURE_START, RS_CAPTURE_START_ARG(3u, 3u, 0u)), RS_OK);
        }
        assert_int_equal(ask(cases[i].type, cases[i].arg), RS_DATAPLANE_GONE);
        rig_until(nobody_captures, NULL, "the end of a capture that asked for nonsense");
        assert_int_equal(rig_control->counts.malformed, malformed + i + 1);
        os_conn_close(&asker.conn);
        os_shm_destroy(&asker.rings);
        os_shm_destroy(&asker.words);
    }
}

/* Of both queues: frames by flag. */
static void count_frames(uint32_t *rx, uint32_t *tx, uint32_t *local)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct capture_reader reader = reader_of(i);
        struct rs_capture_record record;
        const uint8_t *bytes;
        while (capture_reader_peek(&reader, &record, &bytes) == RS_OK) {
            *rx += record.flags == RS_CAPTURE_RX;
            *tx += record.flags == RS_CAPTURE_TX;
            *local += record.flags == RS_CAPTURE_LOCAL;
            capture_reader_consume(&reader, &record);
        }
    }
}

/* As the queues count them. */
struct frames {
    uint64_t rx, tx;
};

static struct frames frames_now(void)
{
    struct frames frames = {0, 0};
    for (uint32_t i = 0; i < 2; i++) {
        const struct counters *counters = stack_counters(rig_queue(i)->stack);
        frames.rx += counter_get(counters, COUNTER_rx_frames);
        frames.tx += counter_get(counters, COUNTER_tx_frames);
    }
    return frames;
}

/* Frames that come by themselves (announcements, delayed ACKs) may come while the capture begins or
 * ends: at least what there was from its answer to its end's request, at most with those. */
static void a_connection_over_the_wire_shows_both_ways(void **state)
{
    struct rig_program program;
    uint32_t rx = 0, tx = 0, local = 0;
    char text[8] = {0};
    (void)state;
    rig_attach(&program);
    rig_peer_listen(80);
    const struct frames before = frames_now();
    begin(RS_CAPTURE_START_ARG(3u, 3u, 0u));
    const struct frames begun = frames_now();
    struct rig_socket socket = rig_open(&program);
    assert_int_equal(rig_connect(&socket, RIG_PEER ":80"), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED);
    struct rig_peer *peer = rig_peer_accepted();
    assert_int_equal(rig_write(&socket, "ping", 4), 4);
    for (int i = 0; i < 1000 && text[0] == '\0'; i++) {
        rig_turn();
        (void)rig_peer_read(peer, text, 4);
    }
    assert_string_equal(text, "ping");
    rig_turns(100);
    const struct frames ends = frames_now();
    assert_int_equal(ask(RS_CTL_CAPTURE_STOP, 0), RS_OK);
    const struct frames after = frames_now();
    count_frames(&rx, &tx, &local);
    assert_in_range(rx, ends.rx - begun.rx, after.rx - before.rx);
    assert_in_range(tx, ends.tx - begun.tx, after.tx - before.tx);
    assert_true(rx >= 2 && tx >= 3);
    assert_int_equal(local, 0);
    os_conn_close(&asker.conn);
    rig_until(nobody_captures, NULL, "the capture's end");
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_turns(2000);
    rig_die(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_header_says_what_there_is, start, stop),
        cmocka_unit_test_setup_teardown(only_what_is_wanted_is_told, start, stop),
        cmocka_unit_test_setup_teardown(a_reader_that_dies_leaves_nothing, start, stop),
        cmocka_unit_test_setup_teardown(one_at_a_time_and_of_this_version, start, stop),
        cmocka_unit_test_setup_teardown(nonsense_ends_it, start, stop),
        cmocka_unit_test_setup_teardown(a_connection_over_the_wire_shows_both_ways, start, stop),
    };
    return cmocka_run_group_tests_name("control_capture", tests, NULL, NULL);
}
