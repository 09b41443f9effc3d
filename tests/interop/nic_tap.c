/*
 * The TAP NIC, see nic_tap.h. A frame passes the line (tap_line) between the device and the rings:
 * there it may be lost, doubled, marked, or held back until others have overtaken it.
 */
#include "nic_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/nic_segment.h"
#include "dataplane/steer.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "rings/os/os.h"
#include "tap_trace.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define TAP_BUFFERS     1024u
#define TAP_BIG_BUFFERS 64u
#define TAP_HELD        16u
#define TAP_DELAYED     4096u
#define TAP_OVERTAKEN   8u
#define TAP_HOLD_NS     2000000u
#define TAP_READY       64u /* received frames between the line and rx_burst */

struct tap_held {
    uint8_t *data;
    uint32_t len_bytes;
    uint32_t overtaken_left;
    uint64_t due_ns;
};

/* A frame on the cable. */
struct tap_delayed {
    uint8_t *data;
    uint32_t len_bytes;
    uint64_t due_ns;
};

/* One direction. */
struct tap_line {
    struct nic_tap_faults faults;
    struct tap_delayed delayed[TAP_DELAYED]; /* a ring, oldest at first */
    uint32_t delayed_first, delayed_count;
    struct tap_held held[TAP_HELD];
    uint32_t held_count;
};

struct tap_pool {
    uint8_t *memory;
    uint32_t buffer_bytes;
    uint32_t *free_idx;
    uint32_t free_count;
};

struct tap_frame {
    uint8_t *data;
    uint32_t len_bytes;
};

struct nic_tap {
    struct nic nic;
    int fd;
    struct test_random random;
    struct tap_pool pool, big;
    struct tap_line in, out;
    struct tap_frame ready[TAP_READY + TAP_HELD];
    uint32_t ready_count;
    uint8_t *scratch; /* one frame that the NIC has cut */
    struct nic_stats stats;
    struct tap_trace trace;
};

static struct nic_tap *tap_of(struct nic *nic)
{
    return (struct nic_tap *)nic;
}

/* ---- buffers ---- */

static void *tap_alloc(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    CHECK(memory != NULL);
    return memory;
}

static void pool_create(struct tap_pool *pool, uint32_t count, uint32_t buffer_bytes)
{
    pool->memory = tap_alloc(count, buffer_bytes);
    pool->free_idx = tap_alloc(count, sizeof(uint32_t));
    pool->buffer_bytes = buffer_bytes;
    while (pool->free_count < count) {
        pool->free_idx[pool->free_count] = pool->free_count;
        pool->free_count++;
    }
}

static void pool_destroy(struct tap_pool *pool)
{
    free(pool->memory);
    free(pool->free_idx);
}

static bool pool_get(struct tap_pool *pool, struct pkt *out)
{
    if (pool->free_count == 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->data = pool->memory + (size_t)pool->free_idx[--pool->free_count] * pool->buffer_bytes;
    out->handle = pool;
    return true;
}

static void pool_put(struct tap_pool *pool, const uint8_t *data)
{
    pool->free_idx[pool->free_count++] =
        (uint32_t)((size_t)(data - pool->memory) / pool->buffer_bytes);
}

/* ---- the line ---- */

static bool tap_chance(struct nic_tap *tap, uint32_t permille)
{
    return permille > 0 && test_random_below(&tap->random, 1000) < permille;
}

static bool tap_is_tcp(const uint8_t *data, uint32_t len_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(data + ETHERNET_HEADER_BYTES);
    return len_bytes > ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES && data[12] == 8 &&
           data[13] == 0 && ip->protocol == IPV4_PROTOCOL_TCP;
}

static bool tap_mark(uint8_t *data)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(data + ETHERNET_HEADER_BYTES);
    if ((ip->tos & 3) == 0) {
        return false;
    }
    ip->tos |= 3;
    ip->checksum_be16 = 0;
    ip->checksum_be16 = checksum_finish(checksum_add(0, ip, IPV4_HEADER_BYTES));
    return true;
}

/* Past the cable: to the device, or to what rx_burst takes. */
static void tap_arrive(struct nic_tap *tap, const struct tap_line *line, const uint8_t *data,
                       uint32_t len_bytes)
{
    struct pkt pkt;
    if (line == &tap->out) {
        ssize_t written = write(tap->fd, data, len_bytes);
        CHECK(written == (ssize_t)len_bytes || errno == EIO); /* EIO: the link is down */
    } else if (tap->ready_count < TAP_READY + TAP_HELD && pool_get(&tap->pool, &pkt)) {
        memcpy(pkt.data, data, len_bytes);
        tap->ready[tap->ready_count++] = (struct tap_frame){pkt.data, len_bytes};
    } else {
        tap->stats.rx_no_buffer_pkts++;
    }
}

/* Past all faults: onto the cable. */
static void tap_emit(struct nic_tap *tap, struct tap_line *line, const uint8_t *data,
                     uint32_t len_bytes)
{
    if (line->faults.delay_us == 0 && line->delayed_count == 0) {
        tap_arrive(tap, line, data, len_bytes);
        return;
    }
    CHECK(line->delayed_count < TAP_DELAYED);
    uint8_t *copy = tap_alloc(1, len_bytes);
    memcpy(copy, data, len_bytes);
    line->delayed[(line->delayed_first + line->delayed_count++) % TAP_DELAYED] =
        (struct tap_delayed){.data = copy,
                             .len_bytes = len_bytes,
                             .due_ns = os_monotonic_ns() + line->faults.delay_us * 1000ull};
}

static void tap_release_delayed(struct nic_tap *tap, struct tap_line *line, uint64_t now_ns)
{
    while (line->delayed_count > 0 && line->delayed[line->delayed_first].due_ns <= now_ns &&
           (line == &tap->out || tap->ready_count < TAP_READY)) {
        struct tap_delayed *delayed = &line->delayed[line->delayed_first];
        tap_arrive(tap, line, delayed->data, delayed->len_bytes);
        free(delayed->data);
        line->delayed_first = (line->delayed_first + 1) % TAP_DELAYED;
        line->delayed_count--;
    }
}

static void tap_release_held(struct nic_tap *tap, struct tap_line *line, uint64_t now_ns)
{
    for (uint32_t i = 0; i < line->held_count;) {
        struct tap_held held = line->held[i];
        if (held.overtaken_left > 0 && now_ns < held.due_ns) {
            i++;
            continue;
        }
        line->held[i] = line->held[--line->held_count];
        tap_emit(tap, line, held.data, held.len_bytes);
        free(held.data);
    }
}

static bool tap_hold(struct tap_line *line, struct nic_tap *tap, const uint8_t *data,
                     uint32_t len_bytes, uint64_t now_ns)
{
    if (line->held_count == TAP_HELD) {
        return false;
    }
    uint8_t *copy = tap_alloc(1, len_bytes);
    memcpy(copy, data, len_bytes);
    line->held[line->held_count++] =
        (struct tap_held){.data = copy,
                          .len_bytes = len_bytes,
                          .overtaken_left = 1 + test_random_below(&tap->random, TAP_OVERTAKEN),
                          .due_ns = now_ns + TAP_HOLD_NS};
    return true;
}

/* What becomes of a TCP frame; what is left of it is emitted. */
static const char *tap_fate(struct nic_tap *tap, struct tap_line *line, uint8_t *data,
                            uint32_t len_bytes, uint64_t now_ns)
{
    struct nic_tap_faults *faults = &line->faults;
    const char *fate = "";
    if (faults->lose_next > 0) {
        faults->lose_next--;
        return "lost on demand";
    }
    if (faults->bytes_max != 0 && len_bytes > faults->bytes_max) {
        return "lost: too long";
    }
    if (tap_chance(tap, faults->loss_permille)) {
        return "lost";
    }
    if (tap_chance(tap, faults->mark_permille) && tap_mark(data)) {
        fate = "marked";
    }
    if (tap_chance(tap, faults->reorder_permille) && tap_hold(line, tap, data, len_bytes, now_ns)) {
        return "held back";
    }
    for (uint32_t i = 0; i < line->held_count; i++) {
        line->held[i].overtaken_left -= line->held[i].overtaken_left > 0 ? 1 : 0;
    }
    if (tap_chance(tap, faults->duplicate_permille)) {
        tap_emit(tap, line, data, len_bytes);
        fate = "doubled";
    }
    tap_emit(tap, line, data, len_bytes);
    return fate;
}

static void tap_pass(struct nic_tap *tap, struct tap_line *line, uint8_t *data, uint32_t len_bytes)
{
    uint64_t now_ns = os_monotonic_ns();
    const char *fate = "";
    if (line->faults.dead) {
        fate = "lost: cut";
    } else if (tap_is_tcp(data, len_bytes)) {
        fate = tap_fate(tap, line, data, len_bytes, now_ns);
    } else {
        tap_emit(tap, line, data, len_bytes);
    }
    tap_trace_add(&tap->trace, line == &tap->out ? "out" : "in", fate, data, len_bytes, now_ns);
    tap_release_held(tap, line, now_ns);
}

/* ---- nic_ops ---- */

static uint32_t tap_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    struct nic_tap *tap = tap_of(nic);
    uint8_t frame[65536];
    ssize_t got = 0;
    const uint64_t now_ns = os_monotonic_ns();
    tap_release_held(tap, &tap->in, now_ns);
    tap_release_held(tap, &tap->out, now_ns);
    tap_release_delayed(tap, &tap->in, now_ns);
    tap_release_delayed(tap, &tap->out, now_ns);
    while (!tap->in.faults.stopped && tap->ready_count + 2 <= TAP_READY && tap->ready_count < max &&
           (got = read(tap->fd, frame, sizeof(frame))) > 0) {
        CHECK((uint32_t)got <= tap->pool.buffer_bytes);
        tap_pass(tap, &tap->in, frame, (uint32_t)got);
    }
    CHECK(got >= 0 || errno == EAGAIN || errno == EIO);
    uint32_t count = tap->ready_count < max ? tap->ready_count : max;
    for (uint32_t i = 0; i < count; i++) {
        pkts[i] = (struct pkt){
            .handle = &tap->pool, .data = tap->ready[i].data, .len_bytes = tap->ready[i].len_bytes};
        tap->stats.rx_pkts++;
        tap->stats.rx_bytes += pkts[i].len_bytes;
    }
    tap->ready_count -= count;
    memmove(tap->ready, tap->ready + count, tap->ready_count * sizeof(tap->ready[0]));
    return count;
}

static void tap_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    (void)nic;
    for (uint32_t i = 0; i < count; i++) {
        pool_put(pkts[i].handle, pkts[i].data);
    }
}

static bool tap_tx_alloc(struct nic *nic, struct pkt *out)
{
    return pool_get(&tap_of(nic)->pool, out);
}

static bool tap_tx_alloc_big(struct nic *nic, struct pkt *out)
{
    return pool_get(&tap_of(nic)->big, out);
}

static void tap_tx_free(struct nic *nic, struct pkt *pkt)
{
    tap_rx_release(nic, pkt, 1);
}

static uint32_t tap_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct nic_tap *tap = tap_of(nic);
    if (tap->out.faults.stopped) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t segments = nic_segment_count(&pkts[i]);
        for (uint32_t k = 0; k < segments; k++) {
            uint32_t len_bytes = nic_segment_emit(&pkts[i], k, tap->scratch);
            tap->stats.tx_pkts++;
            tap->stats.tx_bytes += len_bytes;
            tap_pass(tap, &tap->out, tap->scratch, len_bytes);
        }
        tap_tx_free(nic, &pkts[i]);
    }
    return count;
}

static void tap_stats(struct nic *nic, struct nic_stats *out)
{
    *out = tap_of(nic)->stats;
    out->buffers = TAP_BUFFERS;
    out->buffers_held = TAP_BUFFERS - tap_of(nic)->pool.free_count;
}

static bool tap_link_up(struct nic *nic)
{
    (void)nic;
    return true;
}

static enum rs_status tap_multicast_set(struct nic *nic, const uint8_t (*macs)[6], uint32_t count)
{
    (void)nic;
    (void)macs;
    (void)count;
    return RS_OK;
}

static void line_destroy(struct tap_line *line)
{
    while (line->held_count > 0) {
        free(line->held[--line->held_count].data);
    }
    while (line->delayed_count > 0) {
        free(line->delayed[line->delayed_first].data);
        line->delayed_first = (line->delayed_first + 1) % TAP_DELAYED;
        line->delayed_count--;
    }
}

static void tap_close(struct nic *nic)
{
    struct nic_tap *tap = tap_of(nic);
    line_destroy(&tap->in);
    line_destroy(&tap->out);
    pool_destroy(&tap->pool);
    pool_destroy(&tap->big);
    free(tap->scratch);
    (void)close(tap->fd);
    free(tap);
}

static const struct nic_ops tap_ops = {
    .rx_burst = tap_rx_burst,
    .rx_release = tap_rx_release,
    .tx_alloc = tap_tx_alloc,
    .tx_alloc_big = tap_tx_alloc_big,
    .tx_burst = tap_tx_burst,
    .tx_free = tap_tx_free,
    .stats = tap_stats,
    .link_up = tap_link_up,
    .multicast_set = tap_multicast_set,
    .close = tap_close,
};

int nic_tap_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", name);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

struct nic *nic_tap_create(const struct nic_tap_config *config)
{
    struct nic_tap *tap = tap_alloc(1, sizeof(*tap));
    const uint32_t frame_bytes = (config->mtu_bytes + 18u + 63u) & ~63u;
    const uint32_t big_bytes = nic_tso_bytes(config->mtu_bytes) + NIC_TSO_HEADER_BYTES;
    const bool tso = (config->caps & NIC_CAP_TX_TSO) != 0;
    tap->fd = config->fd;
    tap->random = test_random_make(config->seed);
    pool_create(&tap->pool, TAP_BUFFERS, frame_bytes);
    pool_create(&tap->big, TAP_BIG_BUFFERS, big_bytes);
    tap->scratch = tap_alloc(1, big_bytes > frame_bytes ? big_bytes : frame_bytes);
    tap->nic = (struct nic){.ops = &tap_ops,
                            .kind = RS_NIC_FUNCTIONAL,
                            .mtu_bytes = config->mtu_bytes,
                            .caps = config->caps,
                            .tso_max_bytes = tso ? nic_tso_bytes(config->mtu_bytes) : 0,
                            .queue_count = 1,
                            .steering = &steer_one_queue};
    (void)snprintf(tap->nic.name, sizeof(tap->nic.name), "tap");
    memcpy(tap->nic.mac, config->mac, sizeof(tap->nic.mac));
    tap->trace.start_ns = os_monotonic_ns();
    return &tap->nic;
}

struct nic_tap_faults *nic_tap_in(struct nic *nic)
{
    return &tap_of(nic)->in.faults;
}

struct nic_tap_faults *nic_tap_out(struct nic *nic)
{
    return &tap_of(nic)->out.faults;
}

static uint64_t line_due_ns(const struct tap_line *line, uint64_t due_ns)
{
    for (uint32_t i = 0; i < line->held_count; i++) {
        due_ns = line->held[i].due_ns < due_ns ? line->held[i].due_ns : due_ns;
    }
    const uint64_t delayed_ns = line->delayed[line->delayed_first].due_ns;
    return line->delayed_count > 0 && delayed_ns < due_ns ? delayed_ns : due_ns;
}

uint64_t nic_tap_due_ns(const struct nic *nic)
{
    const struct nic_tap *tap = (const struct nic_tap *)nic;
    return line_due_ns(&tap->in, line_due_ns(&tap->out, UINT64_MAX));
}

void nic_tap_trace(const struct nic *nic, FILE *out, void (*between)(FILE *out, uint64_t until_ns))
{
    tap_trace_print(&((const struct nic_tap *)nic)->trace, out, between);
}
