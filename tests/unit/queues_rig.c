/* queues_rig.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/control.h"
#include "dataplane/queue.h"
#include "dataplane/stack_internal.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"
#include "provider/client/client_internal.h"
#include "tests/support/check.h"
#include "tests/unit/queues_rig.h"

struct queues_rig queues_rig;

/* ---- rig
 * ------------------------------------------------------------------------------------------- */

static void rig_run(void *arg)
{
    (void)arg;
    CHECK(dataplane_run(queues_rig.dataplane, &queues_rig.stop) == RS_OK);
}

/* The device is never opened: it says which files are about one NIC. more: sections, or "". */
static void rig_load_config(uint32_t idx, const char *device, uint32_t queue_idx,
                            const char *subnet, const char *more)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "queues-%u.conf", os_process_id());
    FILE *out = fopen(file, "w");
    CHECK(out != NULL);
    (void)fprintf(out,
                  "[nic]\ndevice = %s\nqueue = %u\n[queue]\nidle = yield\n[ip]\naddress = %s.1/24\n"
                  "[neighbour 1]\naddress = %s.2\nmac = 02:00:0a:%02x:00:02\n"
                  "[instance]\nname = queues-%u\nspin_us = 0\nclient_idle = yield\n"
                  "[log]\nlevel = error\n%s",
                  device, queue_idx, subnet, subnet, (unsigned)strtoul(subnet + 3, NULL, 10),
                  os_process_id(), more);
    CHECK(fclose(out) == 0);
    CHECK(config_load(file, &queues_rig.configs[idx], stderr) == RS_OK);
    CHECK(remove(file) == 0);
}

/* Levels for a report; the queues do not run yet. */
static void rig_pretend_tcp(void)
{
    struct tcp_stack *tcp = &dataplane_control(queues_rig.dataplane)->queues[1]->stack->tcp;
    tcp->conn_count = 3;
    tcp->request_count = 2;
    tcp->time_wait_count = 1;
}

static void rig_start(void)
{
    const struct client_config config = {
        .instance = queues_rig.configs[0].instance, .spin_us = -1, .yield_in_spin = -1};
    CHECK(config_check_set(queues_rig.configs, QUEUES, stderr) == RS_OK);
    CHECK(os_event_create(&queues_rig.stop) == RS_OK);
    CHECK(dataplane_create(queues_rig.configs, queues_rig.nics, QUEUES, &queues_rig.dataplane) ==
          RS_OK);
    rig_pretend_tcp();
    CHECK(os_thread_start(&queues_rig.thread, rig_run, NULL, "rig-dataplane") == RS_OK);
    CHECK(client_open(&config, &queues_rig.client) == RS_OK);
}

static struct nic_memory_config rig_nic(const char *ip, enum steer_mode steering)
{
    struct nic_memory_config config = {.mtu_bytes = 1500,
                                       .buffers = 4096,
                                       .queue_frames = 2048,
                                       .steering = steering,
                                       .threads = true};
    mac_of(config.mac, ip);
    return config;
}

static int start_one_nic(enum steer_mode steering)
{
    struct nic_memory_config config = rig_nic(OWN, steering);
    for (uint32_t i = 0; i < QUEUES; i++) {
        rig_load_config(i, "net_null0", i, "10.0.0", "");
    }
    CHECK(nic_memory_create_queues(&config, QUEUES, queues_rig.nics) == RS_OK);
    rig_start();
    return 0;
}

int queues_start_steered(void **state)
{
    (void)state;
    return start_one_nic(STEER_NIC);
}

int queues_start_missteered(void **state)
{
    (void)state;
    return start_one_nic(STEER_SOFTWARE);
}

static int start_two_nics(const char *more_a, const char *more_b)
{
    struct nic_memory_config a = rig_nic(OWN, STEER_ONE_QUEUE);
    struct nic_memory_config b = rig_nic(NIC_B, STEER_ONE_QUEUE);
    b.mtu_bytes = NIC_B_MTU;
    rig_load_config(0, "net_null0", 0, "10.0.0", more_a);
    rig_load_config(1, "net_null1", 0, "10.1.0", more_b);
    CHECK(nic_memory_create(&a, &queues_rig.nics[0]) == RS_OK);
    CHECK(nic_memory_create(&b, &queues_rig.nics[1]) == RS_OK);
    rig_start();
    return 0;
}

int queues_start_two_nics(void **state)
{
    (void)state;
    return start_two_nics("", "");
}

int queues_start_two_gateways(void **state)
{
    (void)state;
    return start_two_nics("[route 1]\nprefix = " BEYOND "/24\ngateway = " PEER "\n",
                          "[address 2]\naddress = " NIC_B_MORE "/16\n"
                          "[neighbour 2]\naddress = 10.2.0.2\nmac = 02:00:0a:02:00:02\n"
                          "[route 1]\nprefix = " BEYOND "/24\ngateway = 10.2.0.2\n");
}

uint32_t queues_ledger_lines(const char *text)
{
    char line[256];
    uint32_t count = 0;
    FILE *books = tmpfile();
    CHECK(books != NULL);
    (void)dataplane_ledger(queues_rig.dataplane, books);
    rewind(books);
    while (fgets(line, sizeof(line), books) != NULL) {
        count += strstr(line, text) != NULL;
    }
    CHECK(fclose(books) == 0);
    return count;
}

int queues_stop(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < QUEUES; i++) { /* a test that failed half-way */
        nic_memory_limit_tx(queues_rig.nics[i], UINT32_MAX);
    }
    client_close(queues_rig.client);
    os_event_signal(&queues_rig.stop);
    os_thread_join(&queues_rig.thread);
    /* What a test makes the queues drop is no fault, but it must be in the books. */
    bool balances = queues_ledger_lines("balances: yes") == QUEUES + 1;
    if (!balances) {
        (void)dataplane_ledger(queues_rig.dataplane, stderr);
    }
    dataplane_destroy(queues_rig.dataplane);
    os_event_destroy(&queues_rig.stop);
    return balances ? 0 : -1;
}

/* ---- hosts
 * ------------------------------------------------------------------------------------------ */

void queues_push(uint32_t nic_idx, const struct frame *frame)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (
        !nic_memory_push(queues_rig.nics[nic_idx], frame->data, frame->len_bytes, frame->flags)) {
        CHECK(os_monotonic_ns() < give_up_ns); /* the queues take no frames */
        os_yield();
    }
}

void queues_push_udp(uint32_t nic_idx, const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_udp(src, dst, text);
    queues_push(nic_idx, &frame);
}

const char *queues_flow_name(uint32_t flow)
{
    static char name[32];
    (void)snprintf(name, sizeof(name), PEER ":%u", 5000 + flow);
    return name;
}

uint32_t queues_flow_of_queue(uint32_t queue_idx)
{
    for (uint32_t flow = 0; flow < 1000; flow++) {
        if (steer_flow(queues_rig.nics[0]->steering, ip_of(PEER), ip_of(OWN),
                       port_of(queues_flow_name(flow)), port_of(OWN ":7000")) == queue_idx) {
            return flow;
        }
    }
    CHECK(!"no flow for this queue");
    return 0;
}

struct frame queues_pop(uint32_t nic_idx, uint8_t protocol)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    struct frame frame;
    for (;;) {
        frame.len_bytes =
            nic_memory_pop(queues_rig.nics[nic_idx], frame.data, sizeof(frame.data), &frame.flags);
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
        if (frame.len_bytes > ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES &&
            ip->version_ihl == 0x45 && ip->protocol == protocol) {
            return frame;
        }
        CHECK(os_monotonic_ns() < give_up_ns); /* nothing left by this NIC */
        os_yield();
    }
}

uint32_t queues_frame_source(const struct frame *frame)
{
    return ((const struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES))->src_be32;
}

/* ---- the client
 * -------------------------------------------------------------------------------------- */

struct client_socket *queues_bound_to(const char *address)
{
    struct client_socket *socket = NULL;
    struct rs_addr local = rs_addr_v4(ip_of(address), port_of(address));
    CHECK(client_socket_create(queues_rig.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    assert_int_equal(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_NS / 1000000),
                     RS_OK);
    assert_int_equal(client_bind(socket, &local), RS_OK);
    return socket;
}

enum rs_status queues_receive(struct client_socket *socket, char *text, size_t bytes,
                              uint32_t flags)
{
    struct client_iov iov = {.base = text, .len_bytes = bytes - 1};
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, flags, NULL, &got);
    text[got] = '\0';
    return status;
}

void queues_expect_text(struct client_socket *socket, const char *text)
{
    char got[2048];
    assert_int_equal(queues_receive(socket, got, sizeof(got), 0), RS_OK);
    assert_string_equal(got, text);
}

/* After everything pushed before has been looked at: the queues answer a request each. */
void queues_expect_quiet(struct client_socket *socket)
{
    char got[2048];
    struct nic_stats stats;
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    for (uint32_t i = 0; i < QUEUES; i++) {
        do { /* a frame that is counted as received is through when the NIC holds no buffer of it */
            CHECK(os_monotonic_ns() < give_up_ns);
            os_yield();
            queues_rig.nics[i]->ops->stats(queues_rig.nics[i], &stats);
        } while (nic_memory_held(queues_rig.nics[i]) != 0);
    }
    assert_int_equal(client_ping(queues_rig.client), RS_OK);
    assert_int_equal(queues_receive(socket, got, sizeof(got), CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
}

void queues_send_text(struct client_socket *socket, const char *to, const char *text)
{
    char copy[64];
    size_t sent;
    struct rs_addr address = rs_addr_v4(ip_of(to), port_of(to));
    (void)snprintf(copy, sizeof(copy), "%s", text);
    struct client_iov iov = {.base = copy, .len_bytes = strlen(copy)};
    assert_int_equal(client_send(socket, &iov, 1, 0, &address, &sent), RS_OK);
}
