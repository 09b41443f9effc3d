/*
 * The script language, see script.h. Single-threaded; one script at a time.
 */
#include "script.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nic_loopback.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/igmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"
#include "frame_text.h"

#define MS             1000000ull
#define SOCKETS_MAX    64
#define INBOX_MAX      64
#define TRACE_MAX      512
#define LINE_MAX_BYTES 512
#define TEXT_MAX_BYTES 1600
#define QUEUES         3 /* of a script with several: one leads, so that two follow */
#define HANDED_MAX     64

struct inbox_entry {
    char from[32];
    char text[TEXT_MAX_BYTES];
};

struct script_socket {
    struct udp_socket udp; /* first: an upcall gets its address */
    struct script_queue *queue;
    struct inbox_entry inbox[INBOX_MAX];
    uint32_t inbox_count;
    uint32_t room;
    enum rs_status errors[INBOX_MAX];
    uint32_t error_count;
    bool open;
};

struct script_queue {
    struct nic *nic;
    struct stack *stack;
    struct counters start;
    uint32_t multicast_changes;
};

struct handed_frame {
    struct script_queue *to;
    struct frame frame;
};

static struct {
    struct script_queue queues[QUEUES];
    struct script_queue *queue; /* that the script speaks of */
    uint32_t queue_count;
    struct handed_frame handed[HANDED_MAX];
    uint32_t handed_count;
    uint32_t handed_room;
    bool memory; /* the NIC is a nic_memory */
    uint64_t now_ns;
    struct script_socket *sockets[SOCKETS_MAX];
    uint32_t socket_count;
    char trace[TRACE_MAX][LINE_MAX_BYTES];
    uint32_t trace_count;
    uint32_t notices[STACK_NOTICE_COUNT];
    uint32_t notice_ip_be32[STACK_NOTICE_COUNT];
    const char *file;
    int line;
} script;

/* ---- failing and tracing ---- */

void script_at(const char *file, int line)
{
    script.file = file;
    script.line = line;
}

static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void trace(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char *line = script.trace[script.trace_count++ % TRACE_MAX];
    (void)snprintf(line, LINE_MAX_BYTES, "%10.3f %.*s", (double)script.now_ns / 1e9,
                   LINE_MAX_BYTES - 16, text);
}

static void fail_script(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail_script(const char *format, ...)
{
    uint32_t first = script.trace_count > TRACE_MAX ? script.trace_count - TRACE_MAX : 0;
    fprintf(stderr, "---- trace ----\n");
    for (uint32_t i = first; i < script.trace_count; i++) {
        fprintf(stderr, "%s\n", script.trace[i % TRACE_MAX]);
    }
    char text[LINE_MAX_BYTES * 2];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "---- %s:%d: %s\n", script.file, script.line, text);
    _fail(script.file, script.line);
    abort();
}

/* ---- addresses ---- */

uint32_t ip_of(const char *text)
{
    char host[32];
    (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, ":"), text);
    if (strcmp(host, "any") == 0) {
        return 0;
    }
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) != 1) {
        fail_script("'%s' is no address", text);
    }
    return address.s_addr;
}

uint16_t port_of(const char *text)
{
    const char *colon = strchr(text, ':');
    return rs_be16((uint16_t)(colon != NULL ? strtoul(colon + 1, NULL, 10) : 0));
}

void mac_of(uint8_t mac[6], const char *ip)
{
    uint32_t ip_be32 = ip_of(ip);
    mac[0] = 0x02;
    mac[1] = 0x00;
    memcpy(mac + 2, &ip_be32, 4);
}

/* ---- upcalls ---- */

static bool upcall_deliver(void *context, struct udp_socket *udp,
                           const struct udp_datagram *datagram)
{
    (void)context;
    struct script_socket *socket = (struct script_socket *)udp;
    if (socket->room == 0 || socket->inbox_count == INBOX_MAX) {
        trace("   (no room)");
        return false;
    }
    socket->room--;
    struct inbox_entry *entry = &socket->inbox[socket->inbox_count++];
    char ip[INET_ADDRSTRLEN];
    (void)inet_ntop(AF_INET, &datagram->src_be32, ip, sizeof(ip));
    (void)snprintf(entry->from, sizeof(entry->from), "%s:%u", ip, rs_be16(datagram->src_port_be16));
    uint32_t len =
        datagram->len_bytes < TEXT_MAX_BYTES - 1 ? datagram->len_bytes : TEXT_MAX_BYTES - 1;
    memcpy(entry->text, datagram->payload, len);
    entry->text[len] = '\0';
    trace("   delivered to port %u: from %s, %u bytes", rs_be16(udp->local_port_be16), entry->from,
          datagram->len_bytes);
    return true;
}

static void upcall_error(void *context, struct udp_socket *udp, enum rs_status error)
{
    (void)context;
    struct script_socket *socket = (struct script_socket *)udp;
    trace("   error %d to port %u", (int)error, rs_be16(udp->local_port_be16));
    socket->errors[socket->error_count++ % INBOX_MAX] = error;
}

static void upcall_multicast(void *context)
{
    ((struct script_queue *)context)->multicast_changes++;
}

static bool hand_to(struct script_queue *to, const struct pkt *pkt)
{
    char line[LINE_MAX_BYTES];
    frame_text(pkt->data, pkt->len_bytes, false, line, sizeof(line));
    if (script.handed_room == 0 || script.handed_count == HANDED_MAX) {
        trace("   (no room to hand over) %s", line);
        return false;
    }
    script.handed_room--;
    trace("   handed to queue %d: %s", (int)(to - script.queues), line);
    struct handed_frame *handed = &script.handed[script.handed_count++];
    handed->to = to;
    handed->frame.len_bytes = pkt->len_bytes;
    handed->frame.flags = pkt->flags;
    memcpy(handed->frame.data, pkt->data, pkt->len_bytes);
    return true;
}

static bool upcall_hand_over(void *context, const struct pkt *pkt, enum stack_hand_to to)
{
    struct script_queue *leader = &script.queues[0];
    bool taken = true;
    if (to == STACK_TO_LEADER) {
        assert_ptr_not_equal(context, leader);
        return hand_to(leader, pkt);
    }
    assert_ptr_equal(context, leader);
    for (uint32_t i = 1; i < script.queue_count; i++) {
        taken &= hand_to(&script.queues[i], pkt);
    }
    return taken;
}

static void upcall_notice(void *context, enum stack_notice notice, uint32_t ip_be32,
                          const uint8_t mac[6])
{
    (void)context;
    (void)mac;
    trace("   notice %d", (int)notice);
    script.notices[notice]++;
    script.notice_ip_be32[notice] = ip_be32;
}

/* ---- fixtures ---- */

static void read_counters(struct script_queue *queue)
{
    memset(&queue->start, 0, sizeof(queue->start));
    counters_accumulate(&queue->start, stack_counters(queue->stack));
}

static void drain_frames(void)
{
    uint8_t data[FRAME_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    uint32_t len;
    while (script.memory &&
           (len = nic_memory_pop(script.queue->nic, data, sizeof(data), NULL)) != 0) {
        frame_text(data, len, true, line, sizeof(line));
        trace("   (start) %s", line);
    }
}

static void set_now(uint64_t now_ns)
{
    script.now_ns = now_ns;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        stack_set_now(script.queues[i].stack, now_ns, now_ns);
    }
}

struct options {
    bool gateway, small, loopback, fresh, queues, two_nics;
    uint8_t igmp_version;
    uint32_t caps;
};

static void make_nic(const struct options *options)
{
    if (options->loopback) {
        assert_int_equal(nic_loopback_create(&script.queue->nic), RS_OK);
        return;
    }
    struct nic_memory_config config = {.mtu_bytes = 1500,
                                       .caps = options->caps,
                                       .buffers = 2048,
                                       .queue_frames = 1024,
                                       .steering = STEER_NIC};
    mac_of(config.mac, OWN);
    if (options->queues) {
        struct nic *nics[QUEUES];
        assert_int_equal(nic_memory_create_queues(&config, QUEUES, nics), RS_OK);
        for (uint32_t i = 0; i < QUEUES; i++) {
            script.queues[i].nic = nics[i];
        }
    } else {
        assert_int_equal(nic_memory_create(&config, &script.queue->nic), RS_OK);
    }
    script.memory = true;
}

static void make_stack(struct script_queue *queue, struct stack_config *config)
{
    const struct stack_upcalls upcalls = {.context = queue,
                                          .deliver = upcall_deliver,
                                          .error = upcall_error,
                                          .multicast_changed = upcall_multicast,
                                          .notice = upcall_notice,
                                          .hand_over = upcall_hand_over};
    config->follower = queue != script.queues;
    config->random_seed = 1 + (uint64_t)(queue - script.queues);
    assert_int_equal(stack_create(config, queue->nic, &upcalls, script.now_ns, &queue->stack),
                     RS_OK);
}

static int setup(const struct options *options)
{
    memset(&script, 0, sizeof(script));
    script.file = "set-up";
    script.queue = script.queues;
    script.queue_count = options->queues ? QUEUES : 1;
    script.handed_room = UINT32_MAX;
    make_nic(options);
    struct stack_config config = {
        .ip_be32 = options->loopback ? 0 : ip_of(OWN),
        .prefix_len = 24,
        .neighbours_max = options->small ? 2 : 8,
        .sockets_max = SOCKETS_MAX,
        .memberships_max = options->small ? 2 : 16,
        .arp_reachable_ns = 30000 * MS,
        .arp_retry_ns = 1000 * MS,
        .arp_tries = 3,
        .igmp_version = options->igmp_version != 0 ? options->igmp_version : 3,
    };
    if (options->two_nics) {
        config.local_be32[0] = ip_of("10.1.0.9");
        config.local_be32[1] = ip_of(OTHER_NIC);
        config.local_count = 2;
    }
    if (options->gateway) {
        config.gateway_be32 = ip_of(ROUTER);
        config.routes[0] = (struct stack_route){ip_of("172.16.0.0"), 12, ip_of("10.0.0.253")};
        config.routes[1] = (struct stack_route){ip_of("172.16.5.0"), 24, ip_of("10.0.0.252")};
        config.routes[2] = (struct stack_route){ip_of("192.0.2.0"), 24, 0};
        config.route_count = 3;
    }
    if (options->small) {
        config.neighbours[0].ip_be32 = ip_of("10.0.0.9");
        mac_of(config.neighbours[0].mac, "10.0.0.9");
        config.neighbour_count = 1;
    }
    script.now_ns = 1000000 * MS;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        make_stack(&script.queues[i], &config);
    }
    if (!options->fresh) {
        script_advance_ms(20000);
        drain_frames();
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        read_counters(&script.queues[i]);
    }
    return 0;
}

int script_setup(void **state)
{
    (void)state;
    return setup(&(struct options){0});
}

int script_setup_gateway(void **state)
{
    (void)state;
    return setup(&(struct options){.gateway = true});
}

int script_setup_small(void **state)
{
    (void)state;
    return setup(&(struct options){.small = true});
}

int script_setup_igmp2(void **state)
{
    (void)state;
    return setup(&(struct options){.igmp_version = 2});
}

int script_setup_loopback(void **state)
{
    (void)state;
    return setup(&(struct options){.loopback = true});
}

int script_setup_fresh(void **state)
{
    (void)state;
    return setup(&(struct options){.fresh = true});
}

int script_setup_offload(void **state)
{
    (void)state;
    return setup(&(struct options){.caps = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM});
}

int script_setup_queues(void **state)
{
    (void)state;
    return setup(&(struct options){.queues = true});
}

int script_setup_queues_fresh(void **state)
{
    (void)state;
    return setup(&(struct options){.queues = true, .fresh = true});
}

int script_setup_two_nics(void **state)
{
    (void)state;
    return setup(&(struct options){.two_nics = true});
}

static void check_books(void)
{
    for (uint32_t i = 0; i < script.queue_count; i++) {
        const struct script_queue *queue = &script.queues[i];
        struct counters_sums sums;
        if (!counters_balance(stack_counters(queue->stack), &sums)) {
            fail_script("queue %u's ledger does not balance: frames %d, sends %d, deliveries %d", i,
                        sums.frames_balance, sums.sends_balance, sums.deliveries_balance);
        }
        if (script.memory && nic_memory_held(queue->nic) != sums.group[COUNTER_GROUP_WAITING]) {
            fail_script("queue %u holds %u transmit buffers, %llu frames wait", i,
                        nic_memory_held(queue->nic),
                        (unsigned long long)sums.group[COUNTER_GROUP_WAITING]);
        }
    }
}

int script_teardown(void **state)
{
    (void)state;
    script.file = "teardown";
    script.line = 0;
    script_expect_nothing();
    check_books();
    for (uint32_t i = 0; i < script.socket_count; i++) {
        struct script_socket *socket = script.sockets[i];
        if (socket->inbox_count > 0 || socket->error_count > 0) {
            fail_script("port %u has %u datagrams and %u errors nobody expected",
                        rs_be16(socket->udp.local_port_be16), socket->inbox_count,
                        socket->error_count);
        }
        udp_socket_close(socket->queue->stack, &socket->udp);
        free(socket);
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        struct script_queue *queue = &script.queues[i];
        stack_flush(queue->stack);
        stack_destroy(queue->stack);
        if (script.memory && nic_memory_held(queue->nic) != 0) {
            fail_script("queue %u: %u transmit buffers are lost", i, nic_memory_held(queue->nic));
        }
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        script.queues[i].nic->ops->close(script.queues[i].nic);
    }
    return 0;
}

/* ---- queues ---- */

void script_on_queue(uint32_t queue_idx)
{
    assert_true(queue_idx < script.queue_count);
    trace("queue %u:", queue_idx);
    script.queue = &script.queues[queue_idx];
}

void script_hand_over_room(uint32_t frames)
{
    script.handed_room = frames;
}

/* Gives what was handed over to the stacks it is for; they may hand over more. */
static void pump_handed(void)
{
    for (uint32_t i = 0; i < script.handed_count; i++) {
        struct script_queue *to = script.handed[i].to;
        struct frame *frame = &script.handed[i].frame;
        struct pkt pkt = {
            .data = frame->data, .len_bytes = frame->len_bytes, .flags = frame->flags};
        stack_input_handed(to->stack, &pkt);
        stack_flush(to->stack);
    }
    script.handed_count = 0;
}

/* ---- programs ---- */

struct udp_socket *udp_of(sock socket)
{
    return &socket->udp;
}

sock script_unbound(void)
{
    struct script_socket *socket = calloc(1, sizeof(*socket));
    assert_non_null(socket);
    udp_socket_init(&socket->udp);
    socket->room = INBOX_MAX;
    socket->open = true;
    socket->queue = script.queue;
    script.sockets[script.socket_count++] = socket;
    return socket;
}

static void expect_status(const char *what, enum rs_status got, enum rs_status want)
{
    trace("%s -> %s", what, rs_status_name(got));
    if (got != want) {
        fail_script("%s returned %s, expected %s", what, rs_status_name(got), rs_status_name(want));
    }
}

void script_bind(sock socket, const char *address, enum rs_status status)
{
    expect_status(
        "bind",
        udp_socket_bind(socket->queue->stack, &socket->udp, ip_of(address), port_of(address)),
        status);
}

sock script_bound(const char *address)
{
    sock socket = script_unbound();
    script_bind(socket, address, RS_OK);
    return socket;
}

void script_connect(sock socket, const char *address, enum rs_status status)
{
    uint32_t ip_be32 = address != NULL ? ip_of(address) : 0;
    uint16_t port_be16 = address != NULL ? port_of(address) : 0;
    expect_status("connect",
                  udp_socket_connect(socket->queue->stack, &socket->udp, 0, ip_be32, port_be16),
                  status);
}

void script_close(sock socket)
{
    trace("close port %u", rs_be16(socket->udp.local_port_be16));
    udp_socket_close(socket->queue->stack, &socket->udp);
    stack_flush(socket->queue->stack);
}

static void send_data(sock socket, const char *address, const void *data, uint32_t len_bytes,
                      enum rs_status status)
{
    uint32_t ip_be32 = address != NULL ? ip_of(address) : 0;
    uint16_t port_be16 = address != NULL ? port_of(address) : 0;
    trace("send %u bytes to %s", len_bytes, address != NULL ? address : "the peer");
    expect_status("send",
                  udp_send(socket->queue->stack, &socket->udp, ip_be32, port_be16, data, len_bytes),
                  status);
    stack_flush(socket->queue->stack);
    check_books();
}

void script_send(sock socket, const char *address, const char *text, enum rs_status status)
{
    send_data(socket, address, text, (uint32_t)strlen(text), status);
}

void script_send_bytes(sock socket, const char *address, uint32_t len_bytes, enum rs_status status)
{
    uint8_t *data = malloc(len_bytes + 1);
    assert_non_null(data);
    memset(data, 'x', len_bytes);
    send_data(socket, address, data, len_bytes, status);
    free(data);
}

void script_member(sock socket, uint32_t action, const char *group, const char *source,
                   enum rs_status status)
{
    struct rs_op_member op = {.action = action,
                              .group_be32 = ip_of(group),
                              .source_be32 = source != NULL ? ip_of(source) : 0};
    trace("membership %u of %s from %s", action, group, source != NULL ? source : "any");
    expect_status("membership", udp_socket_member(socket->queue->stack, &socket->udp, &op), status);
    stack_flush(socket->queue->stack);
}

void script_room(sock socket, uint32_t count)
{
    socket->room = count;
}

void script_expect_received(sock socket, const char *from, const char *text)
{
    if (socket->inbox_count == 0) {
        fail_script("port %u received nothing, expected \"%s\" from %s",
                    rs_be16(socket->udp.local_port_be16), text, from);
    }
    struct inbox_entry *entry = &socket->inbox[0];
    if (strcmp(entry->from, from) != 0 || strcmp(entry->text, text) != 0) {
        fail_script("port %u received \"%.100s\" from %s, expected \"%.100s\" from %s",
                    rs_be16(socket->udp.local_port_be16), entry->text, entry->from, text, from);
    }
    socket->inbox_count--;
    memmove(entry, entry + 1, socket->inbox_count * sizeof(*entry));
}

void script_expect_no_datagram(sock socket)
{
    if (socket->inbox_count > 0) {
        fail_script("port %u received \"%.100s\", expected nothing",
                    rs_be16(socket->udp.local_port_be16), socket->inbox[0].text);
    }
}

void script_expect_error(sock socket, enum rs_status status)
{
    if (socket->error_count == 0) {
        fail_script("port %u got no error, expected %s", rs_be16(socket->udp.local_port_be16),
                    rs_status_name(status));
    }
    enum rs_status got = socket->errors[0];
    socket->error_count--;
    memmove(socket->errors, socket->errors + 1, socket->error_count * sizeof(got));
    if (got != status) {
        fail_script("error %s, expected %s", rs_status_name(got), rs_status_name(status));
    }
}

/* ---- the wire: in ---- */

static void inject_frame(const struct frame *frame, bool handed)
{
    char line[LINE_MAX_BYTES];
    frame_text(frame->data, frame->len_bytes, false, line, sizeof(line));
    trace("< %s", line);
    /* An exact-size copy lets the address sanitizer see a read beyond the frame. */
    uint8_t *copy = malloc(frame->len_bytes > 0 ? frame->len_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, frame->data, frame->len_bytes);
    struct pkt pkt = {.data = copy, .len_bytes = frame->len_bytes, .flags = frame->flags};
    if (handed) {
        stack_input_handed(script.queue->stack, &pkt);
    } else {
        stack_input(script.queue->stack, &pkt);
    }
    free(copy);
    stack_flush(script.queue->stack);
    pump_handed();
    check_books();
}

void script_inject(const struct frame *frame)
{
    inject_frame(frame, false);
}

void script_inject_handed(const struct frame *frame)
{
    inject_frame(frame, true);
}

/* ---- the wire: out ---- */

static bool next_line(char *line, size_t size)
{
    uint8_t data[FRAME_MAX_BYTES];
    uint32_t len = 0;
    if (script.memory) {
        len = nic_memory_pop(script.queue->nic, data, sizeof(data), NULL);
    }
    if (len == 0) {
        return false;
    }
    bool checked = (script.queue->nic->caps & NIC_CAP_TX_UDP_CSUM) == 0;
    frame_text(data, len, checked, line, size);
    trace("> %s", line);
    return true;
}

void script_expect_out(const char *format, ...)
{
    char want[LINE_MAX_BYTES];
    char got[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(want, sizeof(want), format, args);
    va_end(args);
    if (!next_line(got, sizeof(got))) {
        fail_script("nothing was sent, expected: %s", want);
    }
    if (strcmp(got, want) != 0) {
        fail_script("sent:     %s\n     expected: %s", got, want);
    }
}

void script_expect_nothing(void)
{
    char got[LINE_MAX_BYTES];
    if (next_line(got, sizeof(got))) {
        fail_script("sent, not expected: %s", got);
    }
}

/* ---- time, counters, notices ---- */

static uint64_t next_timer_ns(void)
{
    uint64_t least_ns = UINT64_MAX;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        uint64_t due_ns = stack_next_timer_ns(script.queues[i].stack);
        least_ns = due_ns < least_ns ? due_ns : least_ns;
    }
    return least_ns;
}

static void run_timers(void)
{
    for (uint32_t i = 0; i < script.queue_count; i++) {
        stack_timers(script.queues[i].stack);
        stack_flush(script.queues[i].stack);
    }
}

void script_advance_ms(uint64_t ms)
{
    uint64_t target_ns = script.now_ns + ms * MS;
    trace("%llu ms pass", (unsigned long long)ms);
    while (next_timer_ns() <= target_ns) {
        uint64_t due_ns = next_timer_ns();
        set_now(due_ns > script.now_ns ? due_ns : script.now_ns);
        run_timers();
    }
    set_now(target_ns);
    run_timers();
    check_books();
}

uint64_t script_wait_for_frame(uint64_t max_ms)
{
    uint64_t start_ns = script.now_ns;
    const struct counters *counters = stack_counters(script.queue->stack);
    uint64_t sent = counter_get(counters, COUNTER_tx_frames);
    while (script.now_ns < start_ns + max_ms * MS &&
           counter_get(counters, COUNTER_tx_frames) == sent) {
        script_advance_ms(1);
    }
    return (script.now_ns - start_ns) / MS;
}

void script_expect_count(enum counter_id id, uint64_t value)
{
    uint64_t got = counter_get(stack_counters(script.queue->stack), id) -
                   counter_get(&script.queue->start, id);
    if (got != value) {
        fail_script("%s is %llu, expected %llu", counter_name(id), (unsigned long long)got,
                    (unsigned long long)value);
    }
}

void script_expect_notice(enum stack_notice notice, const char *ip)
{
    if (script.notices[notice] == 0 || script.notice_ip_be32[notice] != ip_of(ip)) {
        fail_script("notice %d about %s did not come", (int)notice, ip);
    }
    script.notices[notice]--;
}

struct stack *script_stack(void)
{
    return script.queue->stack;
}

struct nic *script_nic(void)
{
    return script.queue->nic;
}

uint32_t script_multicast_changes(void)
{
    return script.queue->multicast_changes;
}

void script_know(const char *ip)
{
    script_inject_arp(ARP_REQUEST, ip, OWN);
    script_expect_out("arp " OWN " is-at " OWN " > %s", ip);
}
