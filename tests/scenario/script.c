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

struct inbox_entry {
    char from[32];
    char text[TEXT_MAX_BYTES];
};

struct script_socket {
    struct udp_socket udp; /* first: an upcall gets its address */
    struct inbox_entry inbox[INBOX_MAX];
    uint32_t inbox_count;
    uint32_t room;
    enum rs_status errors[INBOX_MAX];
    uint32_t error_count;
    bool open;
};

static struct {
    struct nic *nic;
    struct stack *stack;
    bool memory; /* the NIC is a nic_memory */
    uint64_t now_ns;
    struct script_socket *sockets[SOCKETS_MAX];
    uint32_t socket_count;
    char trace[TRACE_MAX][LINE_MAX_BYTES];
    uint32_t trace_count;
    struct counters start;
    uint32_t notices[STACK_NOTICE_COUNT];
    uint32_t notice_ip_be32[STACK_NOTICE_COUNT];
    uint32_t multicast_changes;
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
    (void)context;
    script.multicast_changes++;
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

static void read_counters(struct counters *out)
{
    memset(out, 0, sizeof(*out));
    counters_accumulate(out, stack_counters(script.stack));
}

static void drain_frames(void)
{
    uint8_t data[FRAME_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    uint32_t len;
    while (script.memory && (len = nic_memory_pop(script.nic, data, sizeof(data), NULL)) != 0) {
        frame_text(data, len, true, line, sizeof(line));
        trace("   (start) %s", line);
    }
}

static void set_now(uint64_t now_ns)
{
    script.now_ns = now_ns;
    stack_set_now(script.stack, now_ns, now_ns);
}

struct options {
    bool gateway, small, loopback, fresh;
    uint8_t igmp_version;
    uint32_t caps;
};

static void make_nic(const struct options *options)
{
    if (options->loopback) {
        assert_int_equal(nic_loopback_create(&script.nic), RS_OK);
        return;
    }
    struct nic_memory_config config = {
        .mtu_bytes = 1500, .caps = options->caps, .buffers = 2048, .queue_frames = 1024};
    mac_of(config.mac, OWN);
    assert_int_equal(nic_memory_create(&config, &script.nic), RS_OK);
    script.memory = true;
}

static int setup(const struct options *options)
{
    memset(&script, 0, sizeof(script));
    script.file = "set-up";
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
        .random_seed = 1,
    };
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
    const struct stack_upcalls upcalls = {.deliver = upcall_deliver,
                                          .error = upcall_error,
                                          .multicast_changed = upcall_multicast,
                                          .notice = upcall_notice};
    script.now_ns = 1000000 * MS;
    assert_int_equal(stack_create(&config, script.nic, &upcalls, script.now_ns, &script.stack),
                     RS_OK);
    if (!options->fresh) {
        script_advance_ms(20000);
        drain_frames();
    }
    read_counters(&script.start);
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

static void check_books(void)
{
    struct counters_sums sums;
    if (!counters_balance(stack_counters(script.stack), &sums)) {
        fail_script("the ledger does not balance: frames %d, sends %d, deliveries %d",
                    sums.frames_balance, sums.sends_balance, sums.deliveries_balance);
    }
    if (script.memory && nic_memory_held(script.nic) != sums.group[COUNTER_GROUP_WAITING]) {
        fail_script("%u transmit buffers are held, %llu frames wait", nic_memory_held(script.nic),
                    (unsigned long long)sums.group[COUNTER_GROUP_WAITING]);
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
        udp_socket_close(script.stack, &socket->udp);
        free(socket);
    }
    stack_flush(script.stack);
    stack_destroy(script.stack);
    if (script.memory && nic_memory_held(script.nic) != 0) {
        fail_script("%u transmit buffers are lost", nic_memory_held(script.nic));
    }
    script.nic->ops->close(script.nic);
    return 0;
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
    expect_status("bind",
                  udp_socket_bind(script.stack, &socket->udp, ip_of(address), port_of(address)),
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
    expect_status("connect", udp_socket_connect(script.stack, &socket->udp, 0, ip_be32, port_be16),
                  status);
}

void script_close(sock socket)
{
    trace("close port %u", rs_be16(socket->udp.local_port_be16));
    udp_socket_close(script.stack, &socket->udp);
    stack_flush(script.stack);
}

static void send_data(sock socket, const char *address, const void *data, uint32_t len_bytes,
                      enum rs_status status)
{
    uint32_t ip_be32 = address != NULL ? ip_of(address) : 0;
    uint16_t port_be16 = address != NULL ? port_of(address) : 0;
    trace("send %u bytes to %s", len_bytes, address != NULL ? address : "the peer");
    expect_status("send", udp_send(script.stack, &socket->udp, ip_be32, port_be16, data, len_bytes),
                  status);
    stack_flush(script.stack);
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
    expect_status("membership", udp_socket_member(script.stack, &socket->udp, &op), status);
    stack_flush(script.stack);
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

void script_inject(const struct frame *frame)
{
    char line[LINE_MAX_BYTES];
    frame_text(frame->data, frame->len_bytes, false, line, sizeof(line));
    trace("< %s", line);
    /* An exact-size copy lets the address sanitizer see a read beyond the frame. */
    uint8_t *copy = malloc(frame->len_bytes > 0 ? frame->len_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, frame->data, frame->len_bytes);
    struct pkt pkt = {.data = copy, .len_bytes = frame->len_bytes, .flags = frame->flags};
    stack_input(script.stack, &pkt);
    free(copy);
    stack_flush(script.stack);
    check_books();
}

void script_inject_udp(const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_udp(src, dst, text);
    script_inject(&frame);
}

void script_inject_arp(uint16_t op, const char *sender, const char *target)
{
    struct frame frame = frame_arp(op, sender, target);
    script_inject(&frame);
}

void script_inject_echo(const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_echo(src, dst, text);
    script_inject(&frame);
}

void script_inject_icmp_error(const char *router, uint8_t type, uint8_t code,
                              const char *quoted_src, const char *quoted_dst)
{
    struct frame frame = frame_icmp_error(router, type, code, quoted_src, quoted_dst);
    script_inject(&frame);
}

void script_inject_query_v3(const char *group, uint8_t max_response, const char *sources)
{
    struct frame frame = frame_igmp_v3_query(ROUTER, group, max_response, sources);
    script_inject(&frame);
}

void script_inject_query_v2(const char *group, uint8_t max_response)
{
    bool general = ip_of(group) == 0;
    struct frame frame =
        frame_igmp_v2(ROUTER, general ? "224.0.0.1" : group, IGMP_QUERY, max_response, group);
    script_inject(&frame);
}

void script_inject_report_v2(const char *src, const char *group)
{
    struct frame frame = frame_igmp_v2(src, group, IGMP_REPORT_V2, 0, group);
    script_inject(&frame);
}

/* ---- the wire: out ---- */

static bool next_line(char *line, size_t size)
{
    uint8_t data[FRAME_MAX_BYTES];
    uint32_t len = 0;
    if (script.memory) {
        len = nic_memory_pop(script.nic, data, sizeof(data), NULL);
    }
    if (len == 0) {
        return false;
    }
    bool checked = (script.nic->caps & NIC_CAP_TX_UDP_CSUM) == 0;
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

void script_advance_ms(uint64_t ms)
{
    uint64_t target_ns = script.now_ns + ms * MS;
    trace("%llu ms pass", (unsigned long long)ms);
    while (stack_next_timer_ns(script.stack) <= target_ns) {
        uint64_t due_ns = stack_next_timer_ns(script.stack);
        set_now(due_ns > script.now_ns ? due_ns : script.now_ns);
        stack_timers(script.stack);
        stack_flush(script.stack);
    }
    set_now(target_ns);
    stack_timers(script.stack);
    check_books();
}

uint64_t script_wait_for_frame(uint64_t max_ms)
{
    uint64_t start_ns = script.now_ns;
    uint64_t sent = counter_get(stack_counters(script.stack), COUNTER_tx_frames);
    while (script.now_ns < start_ns + max_ms * MS &&
           counter_get(stack_counters(script.stack), COUNTER_tx_frames) == sent) {
        script_advance_ms(1);
    }
    return (script.now_ns - start_ns) / MS;
}

void script_expect_count(enum counter_id id, uint64_t value)
{
    uint64_t got = counter_get(stack_counters(script.stack), id) - counter_get(&script.start, id);
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
    return script.stack;
}

struct nic *script_nic(void)
{
    return script.nic;
}

uint32_t script_multicast_changes(void)
{
    return script.multicast_changes;
}

void script_know(const char *ip)
{
    script_inject_arp(ARP_REQUEST, ip, OWN);
    script_expect_out("arp " OWN " is-at " OWN " > %s", ip);
}
