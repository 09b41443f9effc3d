/*
 * Making, running and ending the world of tcp_fuzz.h.
 */
#include "tcp_fuzz.h"

#include <string.h>

#define START_NS    1000000000000ull
#define BACKLOG     2u
#define BUFFERS     128u
#define BIG_BUFFERS 4u
#define TIMERS_MAX  100000u

struct fuzz_world fuzz;
const uint8_t fuzz_own_mac[6] = {2, 0, 10, 0, 0, 1};
const uint8_t fuzz_peer_mac[6] = {2, 0, 10, 0, 0, 2};

static uint8_t ring_memory[FUZZ_PROGRAMS][2][FUZZ_RING_MAX_BYTES];

static struct fuzz_program *program_of(const struct tcp_conn *conn)
{
    for (uint32_t i = 0; i < FUZZ_PROGRAMS; i++) {
        if (fuzz.programs[i].conn == conn) {
            return &fuzz.programs[i];
        }
    }
    return NULL;
}

static bool on_deliver(void *context, struct udp_socket *socket,
                       const struct udp_datagram *datagram)
{
    (void)context;
    (void)socket;
    (void)datagram;
    MUST(false); /* there is no UDP socket */
    return false;
}

static void on_error(void *context, struct udp_socket *socket, enum rs_status error)
{
    (void)context;
    (void)socket;
    (void)error;
    MUST(false);
}

static void on_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    (void)context;
    struct fuzz_program *program = program_of(conn);
    MUST(program != NULL && events != 0);
    if (program->closed) {
        MUST(events == TCP_EVENT_GONE && tcp_owner(conn) == program);
        program->conn = NULL;
        if (program->listener_place) { /* gone before anybody accepted it */
            program->listener_place = false;
            tcp_backlog_release(&fuzz.backlog);
        }
        return;
    }
    MUST((events & TCP_EVENT_GONE) == 0 && tcp_owner(conn) == program);
    MUST(!program->failed || (events & TCP_EVENT_ERROR) == 0);
    MUST(((events & TCP_EVENT_ERROR) != 0) == (tcp_error(conn) != RS_OK) || program->failed);
    program->failed |= (events & TCP_EVENT_ERROR) != 0;
}

static void program_take(struct fuzz_program *program, struct tcp_rings *rings)
{
    uint8_t *send_ring = program->send_ring;
    uint8_t *recv_ring = program->recv_ring;
    memset(program, 0, sizeof(*program));
    program->send_ring = send_ring;
    program->recv_ring = recv_ring;
    *rings = (struct tcp_rings){.send_base = send_ring,
                                .recv_base = recv_ring,
                                .send_bytes = fuzz.ring_bytes,
                                .recv_bytes = fuzz.ring_bytes,
                                .recv_limit_bytes = fuzz.ring_bytes,
                                .send_head = &program->send_head,
                                .recv_tail = &program->recv_tail,
                                .recv_head = &program->recv_head};
}

static bool on_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    (void)context;
    MUST(listener == &fuzz.listener);
    struct fuzz_program *program = fuzz_program_free();
    if (program == NULL || fuzz.refuse_accepts > 0) {
        fuzz.refuse_accepts = (uint8_t)(fuzz.refuse_accepts > 0 ? fuzz.refuse_accepts - 1 : 0);
        return false;
    }
    program_take(program, rings);
    program->conn = conn;
    program->listener_place = true;
    *owner = program;
    return true;
}

struct fuzz_program *fuzz_program_free(void)
{
    return program_of(NULL);
}

void fuzz_program_rings(struct fuzz_program *program, struct tcp_rings *rings)
{
    program_take(program, rings);
}

static void make_stack(uint8_t options, uint8_t more)
{
    struct stack_config config = {.ip_be32 = FUZZ_OWN_IP,
                                  .prefix_len = 24,
                                  .neighbours_max = 4,
                                  .sockets_max = 1,
                                  .memberships_max = 1,
                                  .arp_reachable_ns = UINT64_MAX / 4,
                                  .arp_retry_ns = 1000000000ull,
                                  .arp_tries = 2,
                                  .igmp_version = 3,
                                  .random_seed = options,
                                  .neighbours = {{.ip_be32 = FUZZ_PEER_IP}},
                                  .neighbour_count = 1,
                                  .tcp = tcp_config_default(FUZZ_PROGRAMS)};
    memcpy(config.neighbours[0].mac, fuzz_peer_mac, 6);
    config.tcp.requests_max = 2;
    config.tcp.time_waits_max = 2;
    config.tcp.listeners_max = 1;
    config.tcp.records_max = (more & 1) != 0 ? 3 : 64;
    config.tcp.ranges_max = (more & 2) != 0 ? 2 : 16;
    config.tcp.congestion = (more & 4) != 0 ? TCP_CONGESTION_NONE : TCP_CONGESTION_CUBIC;
    config.tcp.ecn = (uint8_t)((more >> 3 & 3) % 3);
    config.tcp.ack_immediate = (more & 32) != 0;
    const struct stack_upcalls upcalls = {
        .deliver = on_deliver, .error = on_error, .tcp_event = on_event, .tcp_accept = on_accept};
    MUST(stack_create(&config, fuzz.nic, &upcalls, fuzz.now_ns, &fuzz.stack) == RS_OK);
}

void fuzz_world_make(uint8_t options, uint8_t more)
{
    memset(&fuzz, 0, sizeof(fuzz));
    fuzz.now_ns = START_NS;
    fuzz.pattern = true;
    fuzz.ring_bytes = 1024u << (options & 3) * 2;
    for (uint32_t i = 0; i < FUZZ_PROGRAMS; i++) {
        fuzz.programs[i].send_ring = ring_memory[i][0];
        fuzz.programs[i].recv_ring = ring_memory[i][1];
    }
    struct nic_memory_config nic = {.mtu_bytes = (options & 4) != 0 ? 1500 : 576,
                                    .caps = NIC_CAP_RX_CSUM,
                                    .buffers = BUFFERS,
                                    .queue_frames = BUFFERS};
    if ((options & 8) != 0) {
        nic.caps |= NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM;
    }
    if ((options & 24) == 24) {
        nic.caps |= NIC_CAP_TX_TSO;
        nic.big_buffers = BIG_BUFFERS;
    }
    memcpy(nic.mac, fuzz_own_mac, sizeof(nic.mac));
    MUST(nic_memory_create(&nic, &fuzz.nic) == RS_OK);
    make_stack(options, more);
    fuzz.backlog.limit = BACKLOG;
    fuzz.listener = (struct tcp_listener){.local_port_be16 = rs_be16(FUZZ_OWN_PORT),
                                          .reset_when_full = (options & 32) != 0,
                                          .settings = {.nodelay = (options & 64) != 0,
                                                       .keepalive = (options & 128) != 0,
                                                       .keep_idle_ms = 5000},
                                          .backlog = &fuzz.backlog,
                                          .recv_window_bytes = fuzz.ring_bytes};
    stack_set_now(fuzz.stack, fuzz.now_ns, fuzz.now_ns);
    MUST(tcp_listen(fuzz.stack, &fuzz.listener) == RS_OK);
}

static void drain(void)
{
    uint8_t frame[2048];
    stack_flush(fuzz.stack);
    while (nic_memory_pop(fuzz.nic, frame, sizeof(frame), NULL) != 0) {
        MUST(memcmp(frame + 6, fuzz_own_mac, 6) == 0);
        fuzz.digest ^= frame[20];
    }
}

void fuzz_world_turn(void)
{
    stack_timers(fuzz.stack);
    drain();
}

void fuzz_world_pass(uint64_t ns)
{
    uint64_t target_ns = fuzz.now_ns + ns;
    uint32_t timers = 0;
    while (stack_next_timer_ns(fuzz.stack) <= target_ns) {
        uint64_t due_ns = stack_next_timer_ns(fuzz.stack);
        if (due_ns <= fuzz.now_ns && ++timers > 100) {
            break; /* no buffer, no room: it says "now" until there is */
        }
        MUST(timers < TIMERS_MAX);
        fuzz.now_ns = due_ns > fuzz.now_ns ? due_ns : fuzz.now_ns;
        stack_set_now(fuzz.stack, fuzz.now_ns, fuzz.now_ns);
        fuzz_world_turn();
    }
    fuzz.now_ns = target_ns;
    stack_set_now(fuzz.stack, fuzz.now_ns, fuzz.now_ns);
    fuzz_world_turn();
}

void fuzz_world_end(void)
{
    nic_memory_limit_tx(fuzz.nic, UINT32_MAX);
    nic_memory_limit_alloc(fuzz.nic, UINT32_MAX);
    tcp_listener_close(fuzz.stack, &fuzz.listener);
    for (uint32_t i = 0; i < FUZZ_PROGRAMS; i++) {
        struct fuzz_program *program = &fuzz.programs[i];
        if (program->conn != NULL && !program->closed) {
            program->closed = true;
            if ((i & 1) == 0) {
                tcp_abort(fuzz.stack, program->conn);
            } else {
                tcp_close(fuzz.stack, program->conn, 0);
            }
        }
    }
    fuzz_world_turn(); /* who found no buffer goes on now; no timer would say so */
    /* An hour: longer than any orphan lives. */
    fuzz_world_pass(3600ull * STACK_NS_PER_S);
    fuzz_check();
    fuzz_check_empty();
    stack_destroy(fuzz.stack);
    MUST(nic_memory_held(fuzz.nic) == 0);
    fuzz.nic->ops->close(fuzz.nic);
}
