/*
 * Fuzz target: TCP between a hostile peer and hostile programs. The input is a little script of
 * segments made from the live state of a connection (sequence numbers near its edges, any flags and
 * options, payload that follows a pattern), raw frames, ICMP errors, what programs do, time steps,
 * and a NIC without buffers or room. After each step tcp_fuzz_check.c recomputes what the engine
 * keeps; at the end everything must have come back.
 */
#include <string.h>

#include "dataplane/wire/icmp.h"
#include "tcp_fuzz.h"

#define FRAME_MAX 1600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static uint32_t take_u32(struct input *in)
{
    uint32_t value = take(in);
    value = value << 8 | take(in);
    value = value << 8 | take(in);
    return value << 8 | take(in);
}

/* Steps from an edge: near it, by segments, far away. 15: what the input says. */
static uint32_t take_delta(struct input *in, uint8_t choice)
{
    static const uint32_t deltas[15] = {0,    1,    0xffffffffu, 10,          100,
                                        536,  1460, 0 - 100u,    0 - 536u,    3000,
                                        4096, 8192, 0 - 65536u,  0x7fffffffu, 0x80000000u};
    return (choice & 15) == 15 ? take_u32(in) : deltas[choice & 15];
}

/* ---- segments -------------------------------------------------------------------------------- */

/* Whom a segment is for, and the sequence numbers that matter to it. */
struct target {
    uint16_t own_port_be16, peer_port_be16;
    uint32_t seq, edge;   /* next expected, window's end */
    uint32_t ack, newest; /* oldest not acknowledged, next to be sent */
    uint32_t isn;         /* of the peer; pattern position 0 is one behind it */
    bool opens;           /* there is none: a segment with data would be the stream's first */
    uint32_t tsval, tsecr;
};

static struct target target_of_conn(const struct tcp_conn *conn)
{
    struct target target = {.own_port_be16 = conn->flow.local_port_be16,
                            .peer_port_be16 = conn->flow.peer_port_be16,
                            .opens = conn->flow.state == TCP_SYN_SENT,
                            .seq = conn->rcv_nxt,
                            .edge = conn->rcv_adv,
                            .ack = conn->snd_una,
                            .newest = conn->snd_nxt,
                            .isn = conn->irs,
                            .tsval = conn->ts_recent,
                            .tsecr = tcp_ts_clock(fuzz.stack) + conn->ts_offset};
    if (conn->flow.state == TCP_SYN_SENT) {
        target.seq = 77777;
        target.edge = 77777;
    }
    return target;
}

static struct target target_of_request(const struct tcp_request *request)
{
    return (struct target){.own_port_be16 = request->flow.local_port_be16,
                           .peer_port_be16 = request->flow.peer_port_be16,
                           .seq = request->irs + 1,
                           .edge = request->irs + 1,
                           .ack = request->iss + 1,
                           .newest = request->iss + 1,
                           .isn = request->irs,
                           .tsval = request->ts_recent,
                           .tsecr = tcp_ts_clock(fuzz.stack) + request->ts_offset};
}

static struct target target_of_wait(const struct tcp_time_wait *wait)
{
    return (struct target){.own_port_be16 = wait->flow.local_port_be16,
                           .peer_port_be16 = wait->flow.peer_port_be16,
                           .opens = true,
                           .seq = wait->rcv_nxt,
                           .edge = wait->rcv_nxt,
                           .ack = wait->snd_nxt,
                           .newest = wait->snd_nxt,
                           .tsval = wait->ts_recent,
                           .tsecr = tcp_ts_clock(fuzz.stack) + wait->ts_offset};
}

/* A flow of the peer's to our listener: what there is of it, or nothing yet. */
static struct target target_of_listener(uint8_t which)
{
    const struct target none = {.own_port_be16 = rs_be16(FUZZ_OWN_PORT),
                                .peer_port_be16 = rs_be16((uint16_t)(1000 + which)),
                                .opens = true,
                                .seq = 88888u * which};
    const struct tcp_flow *flow = tcp_flow_find(fuzz.stack, FUZZ_OWN_IP, none.own_port_be16,
                                                FUZZ_PEER_IP, none.peer_port_be16);
    if (flow == NULL) {
        return none;
    }
    switch ((enum tcp_flow_kind)flow->kind) {
    case TCP_FLOW_CONN:
        return target_of_conn((const struct tcp_conn *)flow);
    case TCP_FLOW_REQUEST:
        return target_of_request((const struct tcp_request *)flow);
    case TCP_FLOW_TIME_WAIT:
        break;
    }
    return target_of_wait((const struct tcp_time_wait *)flow);
}

static struct target target_pick(uint8_t which)
{
    const struct tcp_time_wait *wait = fuzz.stack->tcp.time_wait_first;
    const struct tcp_request *request = fuzz.listener.request_first;
    const struct tcp_conn *conn = fuzz.programs[which & 3].conn;
    if ((which & 7) < FUZZ_PROGRAMS && conn != NULL && conn->flow.in_table) {
        return target_of_conn(conn);
    }
    if ((which & 7) == 4 && request != NULL) {
        return target_of_request((which & 8) != 0 && request->next != NULL ? request->next
                                                                           : request);
    }
    if ((which & 7) == 5 && wait != NULL) {
        return target_of_wait(wait);
    }
    return target_of_listener(which >> 4);
}

/* bits: TCP_OPTION_*; more: how their values are. */
static void make_options(struct input *in, const struct target *target, uint8_t bits,
                         struct tcp_options *options)
{
    static const uint16_t sizes[4] = {1460, 536, 88, 0};
    uint8_t how = bits == 0 ? 0 : take(in);
    options->present = bits & 31;
    options->mss = sizes[how & 3];
    options->wscale = how >> 2 & 15;
    options->tsval = target->tsval + ((how & 64) != 0 ? take_delta(in, take(in)) : 1);
    options->tsecr = target->tsecr - ((how & 128) != 0 ? take_delta(in, take(in)) : 0);
    if ((bits & TCP_OPTION_SACK) != 0) {
        uint8_t shape = take(in);
        options->sack_count = (uint8_t)(1 + (shape & 3));
        for (uint32_t i = 0; i < options->sack_count; i++) {
            uint8_t where = take(in);
            options->sack[i].start = target->ack + take_delta(in, where);
            options->sack[i].end = options->sack[i].start + take_delta(in, where >> 4);
        }
    }
}

static void fill_payload(uint8_t *payload, uint32_t bytes, uint32_t pos)
{
    for (uint32_t i = 0; i < bytes; i++) {
        payload[i] = fuzz_pattern(pos + i);
    }
}

static void input_frame(uint8_t *frame, uint32_t len_bytes, uint32_t flags)
{
    /* exactly as long as the frame, so that a sanitizer sees a read behind it */
    uint8_t *exact = malloc(len_bytes);
    MUST(exact != NULL);
    memcpy(exact, frame, len_bytes);
    struct pkt pkt = {.data = exact, .len_bytes = len_bytes, .flags = flags};
    stack_input(fuzz.stack, &pkt);
    free(exact);
}

static void finish_frame(uint8_t *frame, uint32_t segment_bytes, uint8_t protocol, uint8_t tos)
{
    const struct wire_ipv4 ip = {.version_ihl = 0x45,
                                 .tos = tos,
                                 .total_len_be16 = rs_be16((uint16_t)(20 + segment_bytes)),
                                 .ttl = 64,
                                 .protocol = protocol,
                                 .src_be32 = FUZZ_PEER_IP,
                                 .dst_be32 = FUZZ_OWN_IP};
    ethernet_emit(frame, fuzz_own_mac, fuzz_peer_mac, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame + 14, &ip, true);
}

static void step_segment(struct input *in)
{
    static const uint16_t lengths[8] = {0, 0, 1, 10, 100, 536, 1000, 1400};
    static const uint16_t windows[8] = {65535, 65535, 0, 1, 100, 536, 4096, 30000};
    uint8_t frame[FRAME_MAX];
    struct target target = target_pick(take(in));
    uint8_t flags = take(in);
    uint8_t where = take(in);
    uint8_t what = take(in);
    uint8_t bits = take(in);
    uint32_t payload_bytes = lengths[what & 7];
    struct tcp_options options = {0};
    make_options(in, &target, bits, &options);
    uint32_t seq = ((bits & 32) != 0 ? target.edge : target.seq) + take_delta(in, where & 15);
    uint32_t ack = ((bits & 64) != 0 ? target.ack : target.newest) + take_delta(in, where >> 4);
    uint32_t header_bytes = TCP_HEADER_BYTES + tcp_options_emit(frame + 54, &options);
    const struct wire_tcp tcp = {.src_port_be16 = target.peer_port_be16,
                                 .dst_port_be16 = target.own_port_be16,
                                 .seq_be32 = rs_be32(seq),
                                 .ack_be32 = rs_be32(ack),
                                 .offset = tcp_offset(header_bytes),
                                 .flags = flags,
                                 .window_be16 = rs_be16(windows[what >> 3 & 7]),
                                 .urgent_be16 = rs_be16((uint16_t)((what >> 6) * 40))};
    tcp_emit(frame + 34, &tcp);
    fill_payload(frame + 34 + header_bytes, payload_bytes,
                 target.opens ? 0 : seq + ((flags & TCP_FLAG_SYN) != 0 ? 1 : 0) - target.isn - 1);
    finish_frame(frame, header_bytes + payload_bytes, TCP_PROTOCOL, (bits & 128) != 0 ? 3 : 0);
    uint32_t rx_flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD;
    if ((bits & 128) != 0) {
        rx_flags = 0;
        ((struct wire_tcp *)(frame + 34))->checksum_be16 = tcp_checksum(
            frame + 34, (uint16_t)(header_bytes + payload_bytes), FUZZ_PEER_IP, FUZZ_OWN_IP);
    }
    input_frame(frame, 34 + header_bytes + payload_bytes, rx_flags);
}

/* A segment whose TCP header is raw. */
static void step_raw(struct input *in)
{
    uint8_t frame[FRAME_MAX];
    struct target target = target_pick(take(in));
    uint32_t len = take(in);
    for (uint32_t i = 0; i < len; i++) {
        frame[34 + i] = take(in);
    }
    if (len >= 12) {
        memcpy(frame + 34, &target.peer_port_be16, 2);
        memcpy(frame + 36, &target.own_port_be16, 2);
        uint32_t seq_be32 = rs_be32(target.seq);
        uint32_t ack_be32 = rs_be32(target.newest);
        memcpy(frame + 38, &seq_be32, 4);
        memcpy(frame + 42, &ack_be32, 4);
        fuzz.pattern = false;
    }
    finish_frame(frame, len, TCP_PROTOCOL, 0);
    input_frame(frame, 34 + len, PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD);
}

static void step_icmp(struct input *in)
{
    static const uint16_t mtus[4] = {0, 68, 576, 1400};
    uint8_t frame[FRAME_MAX];
    struct target target = target_pick(take(in));
    uint8_t what = take(in);
    uint8_t *message = frame + 34;
    const struct wire_ipv4 ip = {.version_ihl = 0x45,
                                 .total_len_be16 = rs_be16(1000),
                                 .ttl = 1,
                                 .protocol = TCP_PROTOCOL,
                                 .src_be32 = FUZZ_OWN_IP,
                                 .dst_be32 = FUZZ_PEER_IP};
    const struct wire_tcp tcp = {.src_port_be16 = target.own_port_be16,
                                 .dst_port_be16 = target.peer_port_be16,
                                 .seq_be32 = rs_be32(target.ack + take_delta(in, what >> 4))};
    ipv4_emit(message + 8, &ip, true);
    memcpy(message + 28, &tcp, 8);
    uint8_t type = (what & 8) != 0 ? ICMP_TIME_EXCEEDED : ICMP_UNREACHABLE;
    uint8_t code = (what & 4) != 0 ? ICMP_UNREACHABLE_FRAGMENTATION : (what & 3);
    icmp_emit(message, type, code, rs_be32(mtus[what & 3]), 36);
    finish_frame(frame, 36, IPV4_PROTOCOL_ICMP, 0);
    input_frame(frame, 34 + 36, PKT_RX_IP_CSUM_GOOD);
}

/* ---- programs -------------------------------------------------------------------------------- */

static void program_connect(struct input *in)
{
    struct fuzz_program *program = fuzz_program_free();
    struct tcp_rings rings;
    uint8_t how = take(in);
    if (program == NULL) {
        return;
    }
    fuzz_program_rings(program, &rings);
    const struct tcp_settings settings = {.nodelay = (how & 1) != 0,
                                          .ack_immediate = (how & 2) != 0,
                                          .keepalive = (how & 4) != 0,
                                          .keep_idle_ms = 2000,
                                          .keep_count = 2,
                                          .user_timeout_ms = (how & 8) != 0 ? 3000 : 0,
                                          .mss_max = (how & 16) != 0 ? 100 : 0};
    const struct tcp_connect_args args = {.local_port_be16 = (how & 32) != 0 ? rs_be16(6000) : 0,
                                          .peer_be32 = FUZZ_PEER_IP,
                                          .peer_port_be16 =
                                              rs_be16((uint16_t)(FUZZ_PEER_PORT + (how >> 6))),
                                          .rings = &rings,
                                          .settings = &settings,
                                          .owner = program};
    struct tcp_conn *conn = NULL;
    if (tcp_connect(fuzz.stack, &args, &conn) == RS_OK) {
        program->conn = conn;
    }
}

static void program_write(struct fuzz_program *program, struct input *in)
{
    static const uint16_t sizes[8] = {1, 10, 100, 536, 1460, 4000, 20000, 65535};
    uint8_t how = take(in);
    uint32_t room = fuzz.ring_bytes - (program->send_tail - atomic_load(&program->send_head));
    uint32_t bytes = sizes[how & 7] < room ? sizes[how & 7] : room;
    for (uint32_t i = 0; i < bytes; i++) {
        program->send_ring[(program->send_tail + i) & (fuzz.ring_bytes - 1)] =
            fuzz_pattern(program->send_tail + i);
    }
    uint32_t tail = program->send_tail + bytes;
    enum rs_status status = (how & 8) != 0 ? tcp_send_urgent(fuzz.stack, program->conn, tail)
                                           : tcp_send_tail(fuzz.stack, program->conn, tail);
    MUST(status == RS_OK || status == RS_SHUTDOWN || status == RS_NOT_CONNECTED);
    if (status == RS_OK) {
        program->send_tail = tail;
    }
}

static void program_read(struct fuzz_program *program, struct input *in)
{
    uint32_t ready = atomic_load(&program->recv_tail) - atomic_load(&program->recv_head);
    uint32_t bytes = ready * (1 + (take(in) & 7u)) / 8;
    fuzz_check(); /* what is read is looked at first */
    atomic_store(&program->recv_head, atomic_load(&program->recv_head) + bytes);
    enum rs_status status = tcp_recv_consumed(fuzz.stack, program->conn);
    MUST(status == RS_OK || (status == RS_POISONED && program->broken));
}

/* Words that no honest program writes: refused, or the connection fails; never believed. */
static void program_break(struct fuzz_program *program, struct input *in)
{
    uint8_t how = take(in);
    if ((how & 1) != 0) {
        uint32_t tail = atomic_load(&program->send_head) + fuzz.ring_bytes + 1 + (how >> 1);
        enum rs_status status = tcp_send_tail(fuzz.stack, program->conn, tail);
        MUST(status == RS_POISONED || status == RS_SHUTDOWN || status == RS_NOT_CONNECTED);
        return;
    }
    atomic_store(&program->recv_head, atomic_load(&program->recv_tail) + 1 + (how >> 1));
    program->broken = true;
    enum rs_status status = tcp_recv_consumed(fuzz.stack, program->conn);
    MUST(status == RS_POISONED);
}

static void program_set(struct fuzz_program *program, struct input *in)
{
    uint8_t how = take(in);
    const struct tcp_settings settings = {.nodelay = (how & 1) != 0,
                                          .ack_immediate = (how & 2) != 0,
                                          .keepalive = (how & 4) != 0,
                                          .keep_idle_ms = 1000,
                                          .tos = how,
                                          .user_timeout_ms = (how & 8) != 0 ? 500 : 0};
    if ((how & 16) != 0) {
        tcp_set_recv_limit(fuzz.stack, program->conn, 1u << (how >> 5) * 2);
    } else {
        tcp_set_settings(fuzz.stack, program->conn, &settings);
    }
}

static void program_end(struct fuzz_program *program, struct input *in)
{
    uint8_t how = take(in);
    switch (how & 3) {
    case 0: {
        enum rs_status status = tcp_shutdown_send(fuzz.stack, program->conn);
        MUST(status == RS_OK || status == RS_NOT_CONNECTED);
        break;
    }
    case 1:
        tcp_shutdown_recv(fuzz.stack, program->conn);
        break;
    case 2:
        program->closed = true;
        tcp_close(fuzz.stack, program->conn, (how & 4) != 0 ? 700000000ull : 0);
        break;
    default:
        program->closed = true;
        tcp_abort(fuzz.stack, program->conn);
        break;
    }
}

static void step_program(struct input *in)
{
    uint8_t what = take(in);
    struct fuzz_program *program = &fuzz.programs[what >> 4 & 3];
    if ((what & 7) == 0) {
        program_connect(in);
        return;
    }
    if (program->listener_place && (what & 8) != 0) {
        program->listener_place = false;
        tcp_backlog_release(&fuzz.backlog);
    }
    if (program->conn == NULL || program->closed) {
        return;
    }
    switch (what & 7) {
    case 1:
    case 2:
        program_write(program, in);
        break;
    case 3:
    case 4:
        program_read(program, in);
        break;
    case 5:
        program_set(program, in);
        break;
    case 6:
        program_end(program, in);
        break;
    default:
        program_break(program, in);
        break;
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void step_time(struct input *in)
{
    static const uint64_t steps_ns[16] = {
        0,           100000,       1000000,       5000000,        20000000,   40000000,
        100000000,   200000000,    300000000,     1000000000,     2000000000, 5000000000,
        30000000000, 130000000000, 1000000000000, 10000000000000,
    };
    fuzz_world_pass(steps_ns[take(in) & 15]);
}

static void step_limits(struct input *in)
{
    uint8_t what = take(in);
    uint32_t limit = (what & 15) < 15 ? what & 15 : UINT32_MAX;
    switch (what >> 4 & 3) {
    case 0:
        nic_memory_limit_tx(fuzz.nic, limit);
        break;
    case 1:
        nic_memory_limit_alloc(fuzz.nic, limit);
        break;
    case 2:
        fuzz.refuse_accepts = what & 3;
        break;
    default:
        if (fuzz.listener.listening) {
            tcp_listener_close(fuzz.stack, &fuzz.listener);
        } else {
            MUST(tcp_listen(fuzz.stack, &fuzz.listener) == RS_OK);
        }
        break;
    }
}

static void step(struct input *in)
{
    uint8_t what = take(in);
    switch (what & 15) {
    case 8:
    case 9:
    case 10:
    case 11:
        step_program(in);
        break;
    case 12:
        step_time(in);
        break;
    case 13:
        step_raw(in);
        break;
    case 14:
        step_icmp(in);
        break;
    case 15:
        step_limits(in);
        break;
    default:
        step_segment(in);
        break;
    }
    if ((what & 16) == 0) {
        fuzz_world_turn(); /* else the next step belongs to the same iteration */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input in = {data, bytes};
    uint8_t options = take(&in);
    fuzz_world_make(options, take(&in));
    while (in.left > 0) {
        step(&in);
        fuzz_check();
    }
    fuzz_world_end();
    return 0;
}
