/*
 * scribble INSTANCE SECONDS SEED STAMP: attaches by hand, again and again, and misbehaves: random
 * bytes over all it may write from several threads while it posts plausible requests, holes, every
 * control message, memory without end, and more, a way for each life (styles, below). After each
 * life it looks for STAMP, which others send in their datagrams, in all memory it shares with the
 * dataplane. Says what it did as one line of JSON; status 1 when a stamp was found, or when the
 * dataplane stopped answering.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rings/byteorder.h"
#include "tests/crash/scribble_session.h"
#include "tests/support/check.h"

#define THREADS       2u
#define CHANNELS      6u
#define SOCKETS       12u
#define PORT_FIRST    7100u
#define VICTIM_FIRST  6100u /* the honest programs' ports */
#define STREAM_FIRST  7200u /* listeners of this program, by its id */
#define STREAMS       6u
#define SILENT        20u
#define LIFE_LEAST_NS 150000000u
#define LIFE_MOST_NS  900000000u
#define MS            1000000u

static struct {
    const char *instance;
    uint8_t stamp[SCRIBBLE_STAMP];
    struct test_random random;
    struct scribble_session session;
    _Atomic uint32_t stop; /* partner: the threads of scribble_start */
    bool gentle;           /* nothing that poisons the session at once */
    uint64_t lives, refused, poisoned, slots, messages, scanned_bytes, extents, rules;
} scribble;

static uint32_t below(uint32_t bound)
{
    return test_random_below(&scribble.random, bound);
}

static uint32_t loopback(void)
{
    return rs_be32(0x7f000001u);
}

/* ---- threads that write everywhere
 * ------------------------------------------------------------------- */

struct scribble_thread {
    struct os_thread thread;
    struct test_random random;
};

static void scribble_words(struct test_random *random, const struct os_shm *shm)
{
    uint32_t words = (uint32_t)(shm->size_bytes / sizeof(uint32_t));
    uint32_t near_words = words < 65536 ? words : 65536; /* where tables and first rings lie */
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t word = test_random_below(random, i % 2 == 0 ? near_words : words);
        atomic_store_explicit((rs_atomic_u32 *)shm->base + word,
                              i % 4 == 0 ? test_random_below(random, 16) * RS_LINE_BYTES
                                         : (uint32_t)test_random_u64(random),
                              memory_order_relaxed);
    }
}

static void scribble_hole(struct test_random *random, const struct os_shm *shm)
{
    uint32_t pages = (uint32_t)(shm->size_bytes / RS_PAGE_BYTES);
    uint32_t page = test_random_below(random, pages);
    uint32_t most = pages - page < 16 ? pages - page : 16;
    (void)madvise((uint8_t *)shm->base + (size_t)page * RS_PAGE_BYTES,
                  (size_t)(1 + test_random_below(random, most)) * RS_PAGE_BYTES, MADV_REMOVE);
}

/* Arms every socket for everything on all channels, and sleeps on every channel. */
static void scribble_arm(struct test_random *random)
{
    const struct rs_session_view *view = &scribble.session.view;
    struct rs_socket_client *sockets = rs_view_region(view, RS_REGION_SOCKET_CLIENT);
    struct rs_channel_client *channels = rs_view_region(view, RS_REGION_CHANNEL_CLIENT);
    for (uint32_t i = 0; i < view->limit_sockets; i++) {
        atomic_store(&sockets[i].channels, UINT64_MAX);
        atomic_store(&sockets[i].arm_events, 15);
        atomic_fetch_add(&sockets[i].arm_seq, 1);
    }
    for (uint32_t i = 0; i < view->limit_channels; i++) {
        atomic_store(&channels[i].need_wakeup, test_random_below(random, 1000));
        atomic_store(&channels[i].pressure, 1);
    }
}

static void scribble_run(void *arg)
{
    struct scribble_thread *thread = arg;
    while (atomic_load_explicit(&scribble.stop, memory_order_relaxed) == 0) {
        uint32_t idx = test_random_below(&thread->random, RS_EXTENTS_MAX);
        const struct os_shm *shm = &scribble.session.extents[idx];
        bool writable =
            shm->base != NULL && scribble.session.view.extents[idx].kind == RS_EXTENT_CL;
        uint32_t what = test_random_below(&thread->random, 16);
        if (what == 0) {
            scribble_arm(&thread->random);
        } else if (writable && what < 4) {
            scribble_hole(&thread->random, shm);
        } else if (writable && !scribble.gentle) {
            scribble_words(&thread->random, shm);
        } else if (what == 15) {
            os_yield();
        }
    }
}

static struct scribble_thread threads[THREADS];

static void scribble_start(bool gentle)
{
    atomic_store(&scribble.stop, 0);
    scribble.gentle = gentle;
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i].random = test_random_make(test_random_u64(&scribble.random));
        CHECK(os_thread_start(&threads[i].thread, scribble_run, &threads[i], "scribble") == RS_OK);
    }
}

static void scribble_stop(void)
{
    atomic_store(&scribble.stop, 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        os_thread_join(&threads[i].thread);
    }
}

/* ---- requests
 * ------------------------------------------------------------------------------------------ */

static void make_sockets(uint32_t count, uint32_t ring_bytes)
{
    struct scribble_session *session = &scribble.session;
    uint32_t channel;
    for (uint32_t i = 0; i < CHANNELS; i++) {
        (void)scribble_channel_open(session, i % session->view.queue_count, &channel);
    }
    for (uint32_t i = 0; i < count && session->channels[0].open; i++) {
        (void)scribble_socket_make(session, 0, i % 3 == 0 ? 0 : loopback(),
                                   (uint16_t)(i % 4 == 3 ? 0 : PORT_FIRST + below(16)), ring_bytes);
    }
}

static struct scribble_socket *any_socket(void)
{
    struct scribble_session *session = &scribble.session;
    return session->socket_count != 0 ? &session->sockets[below(session->socket_count)] : NULL;
}

static struct rs_addr any_addr(void)
{
    static const uint32_t ips[6] = {0x7f000001u, 0x7f000001u, 0xef010101u,
                                    0x7f000005u, 0xffffffffu, 0x0a000002u};
    uint32_t port = below(4) == 0 ? VICTIM_FIRST + below(4) : PORT_FIRST + below(16);
    return rs_addr_v4(rs_be32(ips[below(6)]), rs_be16((uint16_t)port));
}

static void fill_payload(struct rs_request *request)
{
    const struct rs_addr addr = any_addr();
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                                    .type = RS_SOCK_DGRAM,
                                    .recv_ring_bytes = below(1u << 16),
                                    .send_ring_bytes = below(1u << 16)};
    const struct rs_op_option option = {.option = below(RS_OPT_COUNT + 1), .value = below(2000)};
    const struct rs_op_member member = {.action = below(8),
                                        .group_be32 = rs_be32(0xef010101u + below(40)),
                                        .source_be32 = rs_be32(0x0a000001u + below(40))};
    for (uint32_t i = 0; i < RS_INLINE_BYTES; i++) {
        request->payload[i] = (uint8_t)below(256);
    }
    switch (request->op) {
    case RS_OP_SEND_INLINE:
        request->arg = addr.ip.v4_be32;
        request->port_be16 = addr.port_be16;
        request->len_bytes = (uint8_t)below(RS_INLINE_BYTES + 1);
        break;
    case RS_OP_OPEN:
        memcpy(request->payload, &open, sizeof(open));
        break;
    case RS_OP_OPTION:
        memcpy(request->payload, &option, sizeof(option));
        break;
    case RS_OP_MEMBER:
        memcpy(request->payload, &member, sizeof(member));
        break;
    default:
        memcpy(request->payload, &addr, sizeof(addr));
        break;
    }
}

/* A request as a program might make it; wrong: now and then with anything in one field. */
static void post_any(bool wrong)
{
    struct scribble_session *session = &scribble.session;
    const struct scribble_socket *socket = any_socket();
    struct rs_request request = {.op = (uint8_t)(1 + below(RS_OP_COUNT - 1)),
                                 .socket_idx = socket != NULL ? socket->idx : RS_NO_INDEX,
                                 .generation = socket != NULL ? socket->generation : 0,
                                 .arg = below(RS_REPLY_CELLS),
                                 .serial = ++session->serial};
    if (request.op == RS_OP_POST || (request.op == RS_OP_CLOSE && below(8) != 0)) {
        request.op = RS_OP_SEND_INLINE;
    }
    fill_payload(&request);
    if (wrong && below(64) == 0) {
        uint32_t value = below(2) == 0 ? below(4096) : (uint32_t)test_random_u64(&scribble.random);
        memcpy((uint8_t *)&request + (size_t)below(16) * sizeof(value), &value, sizeof(value));
    }
    uint32_t channel = below(CHANNELS);
    if (session->channels[channel].open && scribble_post(session, channel, &request)) {
        scribble.slots++;
    }
}

/* Fills a send ring with datagrams of up to len_bytes, or none, and posts them. */
static void post_ring(uint32_t len_bytes)
{
    struct scribble_socket *socket = any_socket();
    const struct rs_socket_state *states =
        rs_view_region(&scribble.session.view, RS_REGION_SOCKET_STATE);
    if (socket == NULL || socket->send_base == NULL) {
        return;
    }
    uint32_t head = atomic_load(&states[socket->idx].send_head);
    for (;;) {
        const struct rs_addr addr = any_addr();
        struct rs_send_dgram header = {.len_bytes = (uint16_t)below(len_bytes + 1),
                                       .family = RS_FAMILY_IPV4,
                                       .port_be16 = addr.port_be16,
                                       .dst_be32 = addr.ip.v4_be32};
        uint32_t off = socket->send_tail & (socket->send_bytes - 1);
        uint32_t span = rs_dgram_span(sizeof(header), header.len_bytes);
        if (span > socket->send_bytes - off) {
            header = (struct rs_send_dgram){.flags = RS_DGRAM_PAD};
            span = socket->send_bytes - off;
        }
        if (rs_seq_distance(head, socket->send_tail + span) > socket->send_bytes) {
            break;
        }
        memcpy(socket->send_base + off, &header, sizeof(header));
        socket->send_tail += span;
    }
    const struct rs_request request = {.op = RS_OP_POST,
                                       .socket_idx = socket->idx,
                                       .generation = socket->generation,
                                       .arg = socket->send_tail};
    scribble.slots += scribble_post(&scribble.session, socket->channel, &request);
}

static bool life_goes_on(uint64_t end_ns)
{
    return os_monotonic_ns() < end_ns && !scribble_poisoned(&scribble.session);
}

/* ---- styles
 * ------------------------------------------------------------------------------------------- */

static void style_random(uint64_t end_ns)
{
    make_sockets(SOCKETS, 16384);
    scribble_start(false);
    while (life_goes_on(end_ns)) {
        post_any(true);
        post_ring(2000);
    }
    os_sleep_ns(20 * MS); /* what a poisoned session writes is nobody's business */
    scribble_stop();
}

/* Nothing that ends the session: a neighbour who takes all it can get. */
static void style_flood(uint64_t end_ns)
{
    make_sockets(SOCKETS, 1u << 17);
    scribble_start(true);
    while (life_goes_on(end_ns)) {
        post_any(false);
        post_ring(below(3) == 0 ? 0 : 60000);
    }
    scribble_stop();
}

static void style_slots(uint64_t end_ns)
{
    make_sockets(SOCKETS, 4096);
    while (life_goes_on(end_ns)) {
        post_any(true);
    }
}

/* Old slots again: each slot of the ring gets the seq that it would have next. */
static void style_replay(uint64_t end_ns)
{
    struct scribble_session *session = &scribble.session;
    make_sockets(SOCKETS, 4096);
    for (uint32_t i = 0; i < 2 * session->view.request_slots && life_goes_on(end_ns); i++) {
        post_any(false);
    }
    while (life_goes_on(end_ns)) {
        struct scribble_channel *channel = &session->channels[below(CHANNELS)];
        for (uint32_t i = 0; channel->open && i < 64; i++) {
            uint32_t position = (uint32_t)channel->producer.tail;
            struct rs_request *slot = slot_producer_reserve(&channel->producer);
            if (slot == NULL) {
                break;
            }
            memcpy(slot, &channel->producer.slots[below(position | 1) & channel->producer.mask],
                   sizeof(*slot));
            (void)slot_producer_publish(&channel->producer);
            scribble.slots++;
        }
    }
}

/* Memory without end: the largest rings until the dataplane refuses, then bind and close. */
static void style_hog(uint64_t end_ns)
{
    struct scribble_session *session = &scribble.session;
    struct rs_reply reply;
    make_sockets(1, 4096);
    if (!session->channels[0].open) {
        return;
    }
    for (uint32_t i = 0; i < SCRIBBLE_SOCKETS && life_goes_on(end_ns); i++) {
        const struct scribble_socket *socket =
            scribble_socket_make(session, 0, loopback(), 0, UINT32_MAX);
        if (socket == NULL && session->socket_count != 0 && below(4) == 0) {
            session->socket_count--;
            (void)scribble_request(session, 0, RS_OP_CLOSE,
                                   &session->sockets[session->socket_count], "", 0, &reply);
        }
    }
    for (uint32_t i = 0; i < RS_EXTENTS_MAX; i++) {
        scribble.extents += session->extents[i].base != NULL;
    }
}

/* Every message, any argument, sometimes of another length; answers are read now and then. */
static void style_control(uint64_t end_ns)
{
    static const uint32_t types[5] = {RS_CTL_CHANNEL_OPEN, RS_CTL_CHANNEL_CLOSE, RS_CTL_EXTENT,
                                      RS_CTL_MAPPED, RS_CTL_SLEEPS};
    struct scribble_session *session = &scribble.session;
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    make_sockets(2, 4096);
    scribble_start(true);
    while (life_goes_on(end_ns)) {
        struct rs_ctl_request request = {
            .magic = RS_MAGIC,
            .type = below(512) == 0 ? below(256) : types[below(5)],
            .arg = below(8) == 0 ? (uint32_t)test_random_u64(&scribble.random) : below(12)};
        size_t bytes = below(2000) == 0 ? 1 + below(sizeof(request)) : sizeof(request);
        (void)!os_conn_send(&session->conn, &request, bytes, NULL, 0);
        scribble.messages++;
        size_t got = sizeof(answer);
        uint32_t count = 0;
        if (below(16) != 0 &&
            os_conn_recv(&session->conn, &answer, &got, handles, &count, below(2) * MS) == RS_OK) {
            for (uint32_t i = 0; i < count; i++) {
                os_handle_close(handles[i]);
            }
        }
    }
    scribble_stop();
}

/* Connects and says nothing; then is gone in the middle of its requests. */
static void style_silent(uint64_t end_ns)
{
    struct os_conn conns[SILENT];
    uint32_t count = 0;
    make_sockets(4, 4096);
    while (count < SILENT && os_connect(scribble.instance, 0, &conns[count]) == RS_OK) {
        count++;
    }
    while (life_goes_on(end_ns)) {
        post_any(false);
    }
    while (count > 0) {
        os_conn_close(&conns[--count]);
    }
}

/* A listener and connections to it, which nobody accepts. Their number; 0: not even a listener. */
static uint32_t make_streams(uint32_t count)
{
    struct scribble_session *session = &scribble.session;
    uint16_t port = (uint16_t)(STREAM_FIRST + (uint32_t)getpid() % 2000);
    uint32_t channel;
    uint32_t made = 0;
    if (!scribble_channel_open(session, 0, &channel) ||
        scribble_stream_make(session, channel, true, port) == NULL) {
        return 0;
    }
    while (made + 1 < count && scribble_stream_make(session, channel, false, port) != NULL) {
        made++;
    }
    return made + 1;
}

static void post_stream(uint8_t op, const struct scribble_socket *socket, uint32_t arg)
{
    const struct rs_request request = {
        .op = op, .socket_idx = socket->idx, .generation = socket->generation, .arg = arg};
    scribble.slots += scribble_post(&scribble.session, socket->channel, &request);
}

/* Bytes, ends, urgent marks, announcements, and everything else, while threads write over all of
 * it, or not. */
static void style_streams(uint64_t end_ns)
{
    bool threaded = below(2) == 0;
    if (make_streams(STREAMS) < 2) {
        return;
    }
    make_sockets(2, 4096);
    if (threaded) {
        scribble_start(false);
    }
    while (life_goes_on(end_ns)) {
        struct scribble_socket *socket = any_socket();
        socket->send_tail += socket->send_bytes != 0 ? below(512) : 0;
        switch (below(8)) {
        case 0:
            post_stream(RS_OP_URGENT, socket, socket->send_tail);
            break;
        case 1:
            post_stream(RS_OP_CONSUMED, socket, 0);
            break;
        case 2:
            post_any(threaded || below(16) == 0);
            break;
        default:
            post_stream(RS_OP_POST, socket, socket->send_tail);
            break;
        }
    }
    if (threaded) {
        scribble_stop();
    }
}

/* One broken rule each, on sound connections: the session must be ended for it. */
static void style_stream_rules(uint64_t end_ns)
{
    struct scribble_session *session = &scribble.session;
    struct rs_socket_client *clients = rs_view_region(&session->view, RS_REGION_SOCKET_CLIENT);
    uint32_t rule = below(5);
    (void)end_ns;
    if (make_streams(3) < 3) {
        return;
    }
    const struct scribble_socket *listener = &session->sockets[0];
    const struct scribble_socket *connected = &session->sockets[1];
    switch (rule) {
    case 0: /* a tail outside the ring */
        post_stream(RS_OP_POST, connected, connected->send_bytes + 1);
        break;
    case 1:
        post_stream(RS_OP_URGENT, connected, connected->send_bytes + 1 + below(1u << 30));
        break;
    case 2: /* more read than there was */
        atomic_store(&clients[connected->idx].recv_head[0], 1 + below(1u << 30));
        post_stream(RS_OP_CONSUMED, connected, 0);
        break;
    case 3: /* more accepted; found by the next connection */
        atomic_store(&clients[listener->idx].recv_head[0], RS_LINE_BYTES * (100 + below(1u << 20)));
        (void)scribble_stream_make(session, 0, false,
                                   (uint16_t)(STREAM_FIRST + (uint32_t)getpid() % 2000));
        break;
    default: /* a datagram */
        post_stream(RS_OP_SEND_INLINE, connected, loopback());
        break;
    }
    for (uint64_t give_up_ns = os_monotonic_ns() + 5000ull * MS; !scribble_poisoned(session);) {
        if (os_monotonic_ns() > give_up_ns) {
            fprintf(stderr, "stream rule %u was broken and the session lives on\n", rule);
            exit(1);
        }
        os_sleep_ns(MS / 10);
    }
    scribble.rules++;
}

static const struct {
    const char *name;
    void (*run)(uint64_t end_ns);
} styles[] = {{"random", style_random},
              {"flood", style_flood},
              {"slots", style_slots},
              {"replay", style_replay},
              {"hog", style_hog},
              {"control", style_control},
              {"silent", style_silent},
              {"random", style_random},
              {"streams", style_streams},
              {"stream rules", style_stream_rules},
              {"stream rules", style_stream_rules}};

#define STYLES (sizeof(styles) / sizeof(styles[0]))

/* ---- lives
 * -------------------------------------------------------------------------------------------- */

/* A search that finds nothing must be able to find something: a stamp of our own. */
static void check_scan(void)
{
    uint64_t bytes = 0;
    uint8_t *at = (uint8_t *)scribble.session.extents[1].base + RS_PAGE_BYTES - 5;
    uint8_t before[SCRIBBLE_STAMP];
    memcpy(before, at, SCRIBBLE_STAMP);
    memcpy(at, scribble.stamp, SCRIBBLE_STAMP);
    CHECK(scribble_find(&scribble.session, scribble.stamp, &bytes) == 1);
    memcpy(at, before, SCRIBBLE_STAMP);
    CHECK(scribble_find(&scribble.session, scribble.stamp, &bytes) == 0);
}

static void live(uint32_t style)
{
    uint64_t life_ns = LIFE_LEAST_NS + below(LIFE_MOST_NS - LIFE_LEAST_NS);
    uint32_t flags = below(4) == 0 ? RS_CTL_ATTACH_NEVER_SLEEPS : RS_CTL_ATTACH_SLEEPS;
    if (!scribble_attach(&scribble.session, scribble.instance, flags)) {
        scribble.refused++;
        os_sleep_ns(20 * MS); /* too many silent connections, or sessions: for a while */
        return;
    }
    if (scribble.lives == 0) {
        check_scan();
    }
    scribble.session.forgetful = below(8) == 0;
    styles[style].run(os_monotonic_ns() + life_ns);
    scribble.lives++;
    scribble.poisoned += scribble_poisoned(&scribble.session);
    if (scribble_find(&scribble.session, scribble.stamp, &scribble.scanned_bytes) != 0) {
        fprintf(stderr, "style %s: bytes of another program are in this one's memory\n",
                styles[style].name);
        exit(1);
    }
    scribble_detach(&scribble.session);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5 && strlen(argv[4]) == (size_t)2 * SCRIBBLE_STAMP);
    scribble.instance = argv[1];
    scribble.random = test_random_make(strtoull(argv[3], NULL, 10));
    for (uint32_t i = 0; i < SCRIBBLE_STAMP; i++) {
        char pair[3] = {argv[4][2 * i], argv[4][2 * i + 1], '\0'};
        scribble.stamp[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    CHECK(nice(10) != -1);
    uint64_t end_ns = os_monotonic_ns() + strtoull(argv[2], NULL, 10) * 1000000000u;
    for (uint32_t style = 0; os_monotonic_ns() < end_ns; style++) {
        live(style % STYLES);
    }
    printf("{\"lives\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"poisoned\": %" PRIu64
           ", \"slots\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"extents\": %" PRIu64
           ", \"rules\": %" PRIu64 ", \"scanned_mib\": %" PRIu64 "}\n",
           scribble.lives, scribble.refused, scribble.poisoned, scribble.slots, scribble.messages,
           scribble.extents, scribble.rules, scribble.scanned_bytes >> 20);
    return scribble.lives == 0;
}
