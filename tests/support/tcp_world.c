/*
 * Stacks, programs and run loop of a TCP world, see tcp_world.h. A turn of a side is an iteration
 * of a queue's poll loop: frames in, what programs do, timers, frames out.
 */
#include "tcp_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "dataplane/stack_internal.h"
#include "dataplane/tcp_internal.h"
#include "tcp_world_internal.h"

#define PATTERN_BYTES 65521u /* a prime, so that no ring size maps the pattern onto itself */
#define START_NS      1000000000ull
#define POLL_NS       20000u /* a NIC without room is asked again then */
#define STALL_MAX     10000u /* turns at the same time */
#define BIG_BUFFERS   32u
#define PORT_FIRST    5000u

struct world_side {
    struct tcp_world *world;
    struct nic *nic;
    struct nic_ops ops; /* the NIC's, with an allocation that can fail */
    const struct nic_ops *nic_ops;
    struct stack *stack;
    struct tcp_backlog backlog;
    struct tcp_listener listeners[TCP_WORLD_CONNECTIONS];
    struct tcp_world_program programs[TCP_WORLD_CONNECTIONS];
    uint8_t *rings; /* send and receive, for each connection */
    uint64_t poll_ns;
    bool missed; /* an allocation failed in this turn */
};

struct tcp_world {
    struct tcp_world_config config;
    struct world_wire wire;
    struct world_side sides[2];
    struct test_random random;
    uint64_t now_ns;
    uint64_t events;
    uint32_t stalls;
    char error[256];
    uint8_t pattern[2 * PATTERN_BYTES];
};

static const uint32_t world_ip_be32[2] = {0x0100000au, 0x0200000au};
static const uint8_t world_mac[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

/* The first thing that is wrong; what follows from it is of no interest. */
__attribute__((format(printf, 2, 3))) static void world_fail(struct tcp_world *world,
                                                             const char *format, ...)
{
    va_list args;
    if (world->error[0] == '\0') {
        va_start(args, format);
        (void)vsnprintf(world->error, sizeof(world->error), format, args);
        va_end(args);
    }
}

static bool world_failed(const struct tcp_world *world)
{
    return world->error[0] != '\0';
}

/* ---- programs -------------------------------------------------------------------------------- */

static char side_letter(const struct world_side *side)
{
    return side == &side->world->sides[0] ? 'A' : 'B';
}

static uint64_t program_pause(struct world_side *side, const struct tcp_world_program *program)
{
    uint64_t pause_ns = program->config.pause_ns;
    return pause_ns == 0 ? 0 : test_random_u64(&side->world->random) % (pause_ns + 1);
}

/* Does something soon, if it has not planned to. */
static void program_wake(struct world_side *side, struct tcp_world_program *program)
{
    uint64_t at_ns = side->world->now_ns + program_pause(side, program);
    if (program->action_ns > at_ns) {
        program->action_ns = at_ns;
    }
}

static struct tcp_world_program *program_of(struct world_side *side, const struct tcp_conn *conn)
{
    for (uint32_t i = 0; i < side->world->config.connections; i++) {
        if (side->programs[i].conn == conn && !side->programs[i].gone) {
            return &side->programs[i];
        }
    }
    return NULL;
}

static uint32_t random_chunk(struct world_side *side, uint32_t limit)
{
    return 1 + test_random_below(&side->world->random, limit);
}

static uint32_t least(uint32_t a, uint64_t b)
{
    return a < b ? a : (uint32_t)b;
}

static uint32_t program_room(const struct tcp_world_program *program)
{
    uint32_t used = (uint32_t)program->written_bytes - atomic_load(&program->send_head);
    uint64_t left = program->config.send_bytes - program->written_bytes;
    return least(program->config.send_ring_bytes - used, left);
}

/* True: it wrote. */
static bool program_write(struct world_side *side, struct tcp_world_program *program)
{
    uint32_t room = program_room(program);
    if (room == 0) {
        return false;
    }
    uint32_t bytes = least(random_chunk(side, program->config.write_max_bytes), room);
    for (uint32_t done = 0; done < bytes;) {
        uint32_t off = (uint32_t)program->written_bytes & (program->config.send_ring_bytes - 1);
        uint32_t piece = least(program->config.send_ring_bytes - off, bytes - done);
        uint64_t from = (program->out_pattern + program->written_bytes) % PATTERN_BYTES;
        piece = least(piece, PATTERN_BYTES);
        memcpy(program->rings.send_base + off, side->world->pattern + from, piece);
        program->written_bytes += piece;
        done += piece;
    }
    enum rs_status status =
        tcp_send_tail(side->stack, program->conn, (uint32_t)program->written_bytes);
    if (status != RS_OK) {
        world_fail(side->world, "%c: tcp_send_tail says %d", side_letter(side), (int)status);
    }
    return true;
}

static bool program_read(struct world_side *side, struct tcp_world_program *program)
{
    uint32_t ready = atomic_load(&program->recv_tail) - (uint32_t)program->read_bytes;
    if (ready == 0) {
        return false;
    }
    if (program->read_bytes + ready > program->expect_bytes) {
        world_fail(side->world, "%c: more bytes than were sent", side_letter(side));
        return false;
    }
    uint32_t bytes = least(ready, random_chunk(side, program->config.read_max_bytes));
    for (uint32_t done = 0; done < bytes;) {
        uint32_t off = (uint32_t)program->read_bytes & (program->config.recv_ring_bytes - 1);
        uint32_t piece = least(program->config.recv_ring_bytes - off, bytes - done);
        uint64_t from = (program->in_pattern + program->read_bytes) % PATTERN_BYTES;
        piece = least(piece, PATTERN_BYTES);
        if (memcmp(program->rings.recv_base + off, side->world->pattern + from, piece) != 0) {
            world_fail(side->world, "%c: wrong bytes between %llu and %llu", side_letter(side),
                       (unsigned long long)program->read_bytes,
                       (unsigned long long)program->read_bytes + piece);
            return false;
        }
        program->read_bytes += piece;
        done += piece;
    }
    atomic_store(&program->recv_head, (uint32_t)program->read_bytes);
    if (tcp_recv_consumed(side->stack, program->conn) != RS_OK) {
        world_fail(side->world, "%c: tcp_recv_consumed refused", side_letter(side));
    }
    return true;
}

static void program_end(struct world_side *side, struct tcp_world_program *program)
{
    bool all_read = program->end && program->read_bytes == program->expect_bytes;
    if (!program->shut && program->written_bytes == program->config.send_bytes &&
        (all_read || !program->config.shut_last)) {
        program->shut = true;
        if (tcp_shutdown_send(side->stack, program->conn) != RS_OK) {
            world_fail(side->world, "%c: tcp_shutdown_send refused", side_letter(side));
        }
    }
    if (program->shut && all_read && (program->finished || program->config.close_at_end)) {
        program->closed = true;
        tcp_close(side->stack, program->conn, 0);
    }
}

static void program_connect(struct world_side *side, struct tcp_world_program *program)
{
    uint32_t i = (uint32_t)(program - side->programs);
    uint32_t own = (uint32_t)(side - side->world->sides);
    bool both = side->world->config.simultaneous;
    const struct tcp_connect_args args = {.local_port_be16 =
                                              both ? rs_be16((uint16_t)(PORT_FIRST + i)) : 0,
                                          .peer_be32 = world_ip_be32[!own],
                                          .peer_port_be16 = rs_be16((uint16_t)(PORT_FIRST + i)),
                                          .rings = &program->rings,
                                          .settings = &program->config.settings,
                                          .owner = program};
    enum rs_status status = tcp_connect(side->stack, &args, &program->conn);
    if (status != RS_OK) {
        world_fail(side->world, "%c: tcp_connect says %d", side_letter(side), (int)status);
    }
}

static void program_act(struct world_side *side, struct tcp_world_program *program)
{
    program->action_ns = TCP_WORLD_NEVER;
    if (program->conn == NULL) {
        program_connect(side, program);
        return;
    }
    if (program->accepted) {
        program->accepted = false;
        tcp_backlog_release(&side->backlog);
    }
    if (!program->connected || program->closed || program->gone) {
        return;
    }
    bool wrote = program_write(side, program);
    bool read = program_read(side, program);
    program_end(side, program);
    if (wrote || read) {
        program_wake(side, program);
    }
}

/* What the peer may send must have room in the ring; a FIN needs none. */
static void program_check_window(struct world_side *side, const struct tcp_world_program *program)
{
    const struct tcp_conn *conn = program->conn;
    if (conn == NULL || program->closed || !program->connected) {
        return;
    }
    bool ended = tcp_has(conn, TCP_FEATURE_PEER_FIN) && conn->rcv_nxt == conn->peer_fin_seq + 1;
    uint32_t end = conn->irs + 1 + (uint32_t)program->read_bytes + program->config.recv_ring_bytes +
                   (ended ? 1 : 0);
    if (rs_seq_before(end, conn->rcv_adv)) {
        world_fail(side->world, "%c: the window ends %u bytes behind the ring", side_letter(side),
                   rs_seq_distance(end, conn->rcv_adv));
    }
}

/* What the words say must fit together, whenever it is looked at. */
static void program_check(struct world_side *side, struct tcp_world_program *program)
{
    uint32_t head = atomic_load(&program->send_head);
    uint32_t tail = atomic_load(&program->recv_tail);
    if (!rs_seq_in_range(head, program->acked, (uint32_t)program->written_bytes)) {
        world_fail(side->world, "%c: send_head %u after %u of %u", side_letter(side), head,
                   program->acked, (uint32_t)program->written_bytes);
    }
    if (!rs_seq_in_range(tail, program->tail,
                         (uint32_t)program->read_bytes + program->config.recv_ring_bytes)) {
        world_fail(side->world, "%c: recv_tail %u after %u", side_letter(side), tail,
                   program->tail);
    }
    program->acked = head;
    program->tail = tail;
    program_check_window(side, program);
}

/* ---- upcalls --------------------------------------------------------------------------------- */

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    (void)socket;
    (void)datagram;
    return false;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
}

static void on_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    struct world_side *side = context;
    struct tcp_world_program *program = program_of(side, conn);
    if (program == NULL) {
        world_fail(side->world, "%c: events %#x of an unknown connection", side_letter(side),
                   events);
        return;
    }
    program_check(side, program);
    if ((events & TCP_EVENT_ERROR) != 0) {
        program->error = tcp_error(conn);
        world_fail(side->world, "%c: the connection fails with status %d", side_letter(side),
                   (int)program->error);
    }
    if (program->closed && (events & ~(uint32_t)TCP_EVENT_GONE) != 0) {
        world_fail(side->world, "%c: events %#x after tcp_close", side_letter(side), events);
    }
    if ((events & TCP_EVENT_END) != 0 && program->end) {
        world_fail(side->world, "%c: a second end", side_letter(side));
    }
    program->connected |= (events & TCP_EVENT_CONNECTED) != 0;
    program->end |= (events & TCP_EVENT_END) != 0;
    program->finished |= (events & TCP_EVENT_FINISHED) != 0;
    if ((events & TCP_EVENT_GONE) != 0) {
        if (!program->closed) {
            world_fail(side->world, "%c: gone without tcp_close", side_letter(side));
        }
        program->gone = true;
    }
    program_wake(side, program);
}

static bool on_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    struct world_side *side = context;
    struct tcp_world_program *program = listener->owner;
    if (program->conn != NULL) {
        world_fail(side->world, "%c: accepted twice", side_letter(side));
        return false;
    }
    program->conn = conn;
    program->connected = true;
    program->accepted = true;
    *rings = program->rings;
    *owner = program;
    program_wake(side, program);
    return true;
}

/* ---- making a world -------------------------------------------------------------------------- */

static bool side_alloc(struct nic *nic, struct pkt *out)
{
    struct tcp_world *world = NULL;
    /* ops is the side's own copy. */
    struct world_side *side =
        (struct world_side *)((uintptr_t)nic->ops - offsetof(struct world_side, ops));
    world = side->world;
    uint32_t own = (uint32_t)(side - world->sides);
    uint32_t miss_ppm = world->config.sides[own].miss_ppm;
    bool made = (miss_ppm == 0 || test_random_below(&world->random, 1000000) >= miss_ppm) &&
                side->nic_ops->tx_alloc(nic, out);
    side->missed |= !made;
    return made;
}

static void side_make_nic(struct world_side *side, const struct tcp_world_side_config *config,
                          uint32_t own)
{
    struct nic_memory_config nic = {.mtu_bytes = config->mtu_bytes,
                                    .caps = config->caps,
                                    .buffers = config->buffers,
                                    .big_buffers =
                                        (config->caps & NIC_CAP_TX_TSO) != 0 ? BIG_BUFFERS : 0,
                                    .queue_frames = config->queue_frames};
    memcpy(nic.mac, world_mac[own], sizeof(nic.mac));
    CHECK(nic_memory_create(&nic, &side->nic) == RS_OK);
    side->nic_ops = side->nic->ops;
    side->ops = *side->nic_ops;
    side->ops.tx_alloc = side_alloc;
    side->nic->ops = &side->ops;
}

static void side_make_stack(struct world_side *side, const struct tcp_world_side_config *config,
                            uint32_t own)
{
    struct stack_config stack = {.ip_be32 = world_ip_be32[own],
                                 .prefix_len = 24,
                                 .neighbours = {{.ip_be32 = world_ip_be32[!own]}},
                                 .neighbour_count = 1,
                                 .neighbours_max = 4,
                                 .sockets_max = 1,
                                 .memberships_max = 1,
                                 .arp_reachable_ns = TCP_WORLD_NEVER / 4,
                                 .arp_retry_ns = 1000000000,
                                 .arp_tries = 3,
                                 .igmp_version = 3,
                                 .random_seed = side->world->config.seed * 2 + own,
                                 .tcp = config->tcp};
    memcpy(stack.neighbours[0].mac, world_mac[!own], 6);
    for (uint32_t i = 0; i < sizeof(stack.tcp.secret); i++) {
        stack.tcp.secret[i] = (uint8_t)test_random_u64(&side->world->random);
    }
    const struct stack_upcalls upcalls = {.context = side,
                                          .deliver = on_deliver,
                                          .error = on_error,
                                          .tcp_event = on_event,
                                          .tcp_accept = on_accept};
    CHECK(stack_create(&stack, side->nic, &upcalls, side->world->now_ns, &side->stack) == RS_OK);
    stack_set_now(side->stack, side->world->now_ns, side->world->now_ns);
}

static void program_init(struct world_side *side, uint32_t own, uint32_t i)
{
    struct tcp_world *world = side->world;
    struct tcp_world_program *program = &side->programs[i];
    memset(program, 0, sizeof(*program));
    program->config = world->config.programs[own][i];
    program->expect_bytes = world->config.programs[!own][i].send_bytes;
    program->out_pattern = (world->config.seed + 1) * (2 * i + own + 1) * 7919 % PATTERN_BYTES;
    program->in_pattern = (world->config.seed + 1) * (2 * i + !own + 1) * 7919 % PATTERN_BYTES;
    program->action_ns = TCP_WORLD_NEVER;
    uint8_t *memory = side->rings + (size_t)i * 2 * TCP_WORLD_RING_MAX_BYTES;
    program->rings = (struct tcp_rings){.send_base = memory,
                                        .recv_base = memory + TCP_WORLD_RING_MAX_BYTES,
                                        .send_bytes = program->config.send_ring_bytes,
                                        .recv_bytes = program->config.recv_ring_bytes,
                                        .recv_limit_bytes = program->config.recv_ring_bytes,
                                        .send_head = &program->send_head,
                                        .recv_tail = &program->recv_tail,
                                        .recv_head = &program->recv_head};
    if (own == 0 || world->config.simultaneous) {
        program->action_ns = world->now_ns + program->config.start_ns;
        return;
    }
    side->listeners[i] =
        (struct tcp_listener){.local_port_be16 = rs_be16((uint16_t)(PORT_FIRST + i)),
                              .settings = program->config.settings,
                              .backlog = &side->backlog,
                              .recv_window_bytes = program->config.recv_ring_bytes,
                              .owner = program};
    CHECK(tcp_listen(side->stack, &side->listeners[i]) == RS_OK);
}

struct tcp_world *tcp_world_create(void)
{
    struct tcp_world *world = calloc(1, sizeof(*world));
    CHECK(world != NULL);
    struct test_random random = test_random_make(20261125);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++) {
        world->pattern[i] = (uint8_t)test_random_u64(&random);
        world->pattern[i + PATTERN_BYTES] = world->pattern[i];
    }
    for (uint32_t own = 0; own < 2; own++) {
        world->sides[own].world = world;
        world->sides[own].rings =
            calloc(TCP_WORLD_CONNECTIONS, 2 * (size_t)TCP_WORLD_RING_MAX_BYTES);
        CHECK(world->sides[own].rings != NULL);
    }
    return world;
}

void tcp_world_destroy(struct tcp_world *world)
{
    world_wire_destroy(&world->wire);
    free(world->sides[0].rings);
    free(world->sides[1].rings);
    free(world);
}

void tcp_world_start(struct tcp_world *world, const struct tcp_world_config *config)
{
    CHECK(config->connections <= TCP_WORLD_CONNECTIONS);
    world->config = *config;
    struct test_random seeds = test_random_make(~config->seed);
    world->random = test_random_make(test_random_u64(&seeds));
    world->now_ns = START_NS;
    world->events = 0;
    world->stalls = 0;
    world->error[0] = '\0';
    world_wire_reset(&world->wire, test_random_u64(&seeds), world->now_ns);
    for (uint32_t own = 0; own < 2; own++) {
        struct world_side *side = &world->sides[own];
        side->poll_ns = TCP_WORLD_NEVER;
        side->backlog = (struct tcp_backlog){.limit = TCP_WORLD_CONNECTIONS};
        side_make_nic(side, &config->sides[own], own);
        side_make_stack(side, &config->sides[own], own);
        for (uint32_t i = 0; i < config->connections; i++) {
            program_init(side, own, i);
        }
    }
}

bool tcp_world_stop(struct tcp_world *world)
{
    bool whole = true;
    for (uint32_t own = 0; own < 2; own++) {
        struct world_side *side = &world->sides[own];
        for (uint32_t i = 0; i < world->config.connections; i++) {
            tcp_listener_close(side->stack, &side->listeners[i]);
            memset(&side->listeners[i], 0, sizeof(side->listeners[i]));
        }
        stack_destroy(side->stack);
        side->stack = NULL;
        whole = whole && nic_memory_held(side->nic) == 0;
        side->nic->ops = side->nic_ops;
        side->nic->ops->close(side->nic);
    }
    return whole;
}

/* ---- running it ------------------------------------------------------------------------------ */

static void side_receive(struct world_side *side)
{
    struct pkt pkts[NIC_BURST_PKTS];
    uint32_t count = side->nic->ops->rx_burst(side->nic, pkts, NIC_BURST_PKTS);
    while (count > 0) {
        stack_prefetch(side->stack, pkts, count);
        for (uint32_t i = 0; i < count; i++) {
            pkts[i].rx_tsc = side->world->now_ns;
            stack_input(side->stack, &pkts[i]);
        }
        side->nic->ops->rx_release(side->nic, pkts, count);
        count = side->nic->ops->rx_burst(side->nic, pkts, NIC_BURST_PKTS);
    }
}

/* RFC 9293 3.8.6: a window that was announced is not taken back, and there is room for it, but for
 * what the scale cuts off (RFC 7323 2.4). */
static void side_check_announced(struct world_side *side, struct world_frame *frame)
{
    uint16_t port_be16;
    uint32_t ack, window;
    if (!world_frame_window(frame, &port_be16, &ack, &window)) {
        return;
    }
    for (uint32_t i = 0; i < side->world->config.connections; i++) {
        struct tcp_world_program *program = &side->programs[i];
        const struct tcp_conn *conn = program->conn;
        if (conn == NULL || program->closed || conn->flow.local_port_be16 != port_be16 ||
            tcp_has(conn, TCP_FEATURE_PEER_FIN)) {
            continue;
        }
        uint32_t granule = (1u << conn->recv_wscale) - 1;
        uint32_t edge = ack + (window << conn->recv_wscale);
        uint32_t end =
            conn->irs + 1 + (uint32_t)program->read_bytes + program->config.recv_ring_bytes;
        if ((program->announced && rs_seq_before(edge + granule, program->edge)) ||
            rs_seq_before(end + granule, edge)) {
            world_fail(side->world, "%c: announces a window to %u after %u, the ring ends at %u",
                       side_letter(side), edge, program->edge, end);
        }
        program->edge = edge;
        program->announced = true;
    }
}

static void side_transmit(struct world_side *side, uint32_t own)
{
    struct tcp_world *world = side->world;
    const struct tcp_world_side_config *config = &world->config.sides[own];
    bool rx_checks = (world->config.sides[!own].caps & NIC_CAP_RX_CSUM) != 0;
    if (config->tx_at_most != 0) {
        nic_memory_limit_tx(side->nic, test_random_below(&world->random, config->tx_at_most + 1));
    }
    stack_flush(side->stack);
    struct world_frame *frame = world_wire_frame(&world->wire);
    uint32_t flags = 0;
    while ((frame->len_bytes =
                nic_memory_pop(side->nic, frame->data, sizeof(frame->data), &flags)) != 0) {
        if (frame->len_bytes > config->mtu_bytes + ETHERNET_HEADER_BYTES) {
            world_fail(world, "%c: sends a frame of %u bytes", side_letter(side), frame->len_bytes);
            break;
        }
        if ((flags & (PKT_TX_IP_CSUM | PKT_TX_TCP_SEG)) != 0) {
            struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
            ip->checksum_be16 = 0;
            ip->checksum_be16 = checksum_finish(checksum_add(0, ip, IPV4_HEADER_BYTES));
        }
        side_check_announced(side, frame);
        world_wire_send(&world->wire, &world->config.links[own], own, frame, world->now_ns,
                        rx_checks, world->config.trace);
        frame = world_wire_frame(&world->wire);
    }
    world_wire_release(&world->wire, frame);
}

static void side_turn(struct world_side *side, uint32_t own)
{
    struct tcp_world *world = side->world;
    side->missed = false;
    stack_set_now(side->stack, world->now_ns, world->now_ns);
    side_receive(side);
    for (uint32_t i = 0; i < world->config.connections; i++) {
        if (side->programs[i].action_ns <= world->now_ns) {
            program_act(side, &side->programs[i]);
        }
    }
    stack_timers(side->stack);
    side_transmit(side, own);
    bool waits = counter_get(stack_counters(side->stack), COUNTER_waiting_tx) > 0;
    side->poll_ns = side->missed || waits ? world->now_ns + POLL_NS : TCP_WORLD_NEVER;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t world_next_ns(const struct tcp_world *world)
{
    uint64_t next_ns = world_wire_next_ns(&world->wire);
    for (uint32_t own = 0; own < 2; own++) {
        const struct world_side *side = &world->sides[own];
        next_ns = earlier(next_ns, side->poll_ns);
        /* With a NIC that has no room, or no buffer, it would only say "now". */
        if (side->poll_ns == TCP_WORLD_NEVER) {
            next_ns = earlier(next_ns, stack_next_timer_ns(side->stack));
        }
        for (uint32_t i = 0; i < world->config.connections; i++) {
            next_ns = earlier(next_ns, side->programs[i].action_ns);
        }
    }
    return next_ns;
}

static void world_step(struct tcp_world *world, uint64_t next_ns)
{
    world->stalls = next_ns <= world->now_ns ? world->stalls + 1 : 0;
    if (world->stalls > STALL_MAX) {
        world_fail(world, "time stands still");
    }
    if (next_ns > world->now_ns) {
        world->now_ns = next_ns;
    }
    world->events++;
    struct world_frame *frame;
    while ((frame = world_wire_take(&world->wire, world->now_ns)) != NULL) {
        (void)nic_memory_push(world->sides[frame->to].nic, frame->data, frame->len_bytes,
                              frame->flags);
        world_wire_release(&world->wire, frame);
    }
    side_turn(&world->sides[0], 0);
    side_turn(&world->sides[1], 1);
}

static bool programs_gone(const struct tcp_world *world)
{
    for (uint32_t own = 0; own < 2; own++) {
        for (uint32_t i = 0; i < world->config.connections; i++) {
            if (!world->sides[own].programs[i].gone) {
                return false;
            }
        }
    }
    return true;
}

bool tcp_world_is_over(const struct tcp_world *world)
{
    if (world->wire.count != 0 || !programs_gone(world)) {
        return false;
    }
    for (uint32_t own = 0; own < 2; own++) {
        const struct tcp_stack *tcp = &world->sides[own].stack->tcp;
        if (tcp->conn_count != 0 || tcp->time_wait_count != 0 || tcp->request_count != 0) {
            return false;
        }
    }
    return true;
}

bool tcp_world_run(struct tcp_world *world, uint64_t until_ns, uint64_t events_max)
{
    uint64_t last = world->events + events_max;
    while (!world_failed(world) && !tcp_world_is_over(world)) {
        uint64_t next_ns = world_next_ns(world);
        if (next_ns == TCP_WORLD_NEVER) {
            world_fail(world, "nothing will ever happen again");
        } else if (next_ns > until_ns) {
            world->now_ns = until_ns;
            break;
        } else if (world->events == last) {
            world_fail(world, "too much happened");
        } else {
            world_step(world, next_ns);
        }
    }
    return !world_failed(world);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static uint32_t free_ranges(const struct tcp_stack *tcp)
{
    uint32_t count = 0;
    for (uint32_t at = tcp->range_free; at != TCP_NO_INDEX; at = tcp->ranges[at].next) {
        count++;
    }
    return count;
}

static uint32_t free_records(const struct tcp_stack *tcp)
{
    uint32_t count = 0;
    for (uint32_t at = tcp->sent_free; at != TCP_NO_INDEX; at = tcp->sent[at].next) {
        count++;
    }
    return count;
}

static uint32_t free_conns(const struct tcp_stack *tcp)
{
    uint32_t count = 0;
    for (const struct tcp_conn *conn = tcp->conn_free; conn != NULL; conn = conn->free_next) {
        count++;
    }
    return count + tcp->config.connections_max - tcp->conns_used;
}

static void side_check_pools(struct world_side *side)
{
    const struct tcp_stack *tcp = &side->stack->tcp;
    char letter = side_letter(side);
    if (free_ranges(tcp) != tcp->config.ranges_max) {
        world_fail(side->world, "%c: %u of %u ranges are back", letter, free_ranges(tcp),
                   tcp->config.ranges_max);
    }
    if (free_records(tcp) != tcp->sent_free_count || free_records(tcp) < tcp->config.records_max) {
        world_fail(side->world, "%c: %u records are back, counted %u, made %u", letter,
                   free_records(tcp), tcp->sent_free_count, tcp->config.records_max);
    }
    if (free_conns(tcp) != tcp->config.connections_max) {
        world_fail(side->world, "%c: %u of %u connections are back", letter, free_conns(tcp),
                   tcp->config.connections_max);
    }
    if (tcp->ready_head != tcp->ready_tail) {
        world_fail(side->world, "%c: something is still ready", letter);
    }
    if (atomic_load(&side->backlog.used) != 0) {
        world_fail(side->world, "%c: %u places of the backlog are taken", letter,
                   atomic_load(&side->backlog.used));
    }
}

bool tcp_world_check(struct tcp_world *world)
{
    for (uint32_t own = 0; own < 2; own++) {
        struct world_side *side = &world->sides[own];
        struct counters_sums sums;
        if (!counters_balance(stack_counters(side->stack), &sums)) {
            world_fail(world, "%c: the books do not balance", side_letter(side));
        }
        if (nic_memory_held(side->nic) != sums.group[COUNTER_GROUP_WAITING]) {
            world_fail(world, "%c: %u buffers held, %llu frames wait", side_letter(side),
                       nic_memory_held(side->nic),
                       (unsigned long long)sums.group[COUNTER_GROUP_WAITING]);
        }
        for (uint32_t i = 0; i < world->config.connections; i++) {
            program_check(side, &side->programs[i]);
        }
        if (tcp_world_is_over(world)) {
            side_check_pools(side);
        }
    }
    return !world_failed(world);
}

/* ---- what a test asks ------------------------------------------------------------------------ */

const char *tcp_world_error(const struct tcp_world *world)
{
    return world->error;
}

uint64_t tcp_world_now_ns(const struct tcp_world *world)
{
    return world->now_ns;
}

uint64_t tcp_world_events(const struct tcp_world *world)
{
    return world->events;
}

struct stack *tcp_world_stack(const struct tcp_world *world, uint32_t side)
{
    return world->sides[side].stack;
}

const struct tcp_world_program *tcp_world_program(const struct tcp_world *world, uint32_t side,
                                                  uint32_t connection)
{
    return &world->sides[side].programs[connection];
}

const struct tcp_world_link_counts *tcp_world_link_counts(const struct tcp_world *world,
                                                          uint32_t sender)
{
    return &world->wire.links[sender].counts;
}
