/*
 * What tests of several queues share: the real control thread and queue threads of this process on
 * in-memory NICs, a client over the real control connection. The test plays the other hosts: it
 * pushes frames and pops what was sent. Frames are those of the packet scripts.
 */
#ifndef RINGSOCK_TESTS_UNIT_QUEUES_RIG_H
#define RINGSOCK_TESTS_UNIT_QUEUES_RIG_H

#include "dataplane/config.h"
#include "dataplane/dataplane.h"
#include "dataplane/steer.h"
#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/scenario/script.h"

#define QUEUES     2u
#define WAIT_NS    5000000000ull /* for what comes at once on a machine that is not busy */
#define NIC_B      "10.1.0.1"
#define NIC_B_PEER "10.1.0.2"
#define NIC_B_MORE "10.2.0.1" /* in the network of its gateway, where it has one */
#define BEYOND     "198.51.100.0"
#define NIC_B_MTU  9000u

struct queues_rig {
    struct queue_config configs[QUEUES];
    struct nic *nics[QUEUES];
    struct dataplane *dataplane;
    struct os_event stop;
    struct os_thread thread;
    struct client *client;
};
extern struct queues_rig queues_rig;

/* Of cmocka. One NIC whose two queues it fills as its steering says, or at random; two NICs. */
int queues_start_steered(void **state);
int queues_start_missteered(void **state);
int queues_start_two_nics(void **state);
int queues_start_two_gateways(void **state); /* both lead to BEYOND */
int queues_stop(void **state);
/* How many lines of the ledger have this text: one for each queue, one for the sum. */
uint32_t queues_ledger_lines(const char *text);

void queues_push(uint32_t nic_idx, const struct frame *frame);
void queues_push_udp(uint32_t nic_idx, const char *src, const char *dst, const char *text);
/* "10.0.0.2:PORT" for flow number `flow`. */
const char *queues_flow_name(uint32_t flow);
/* The number of a flow to OWN:7000 that belongs to this queue. */
uint32_t queues_flow_of_queue(uint32_t queue_idx);
/* The next frame of this protocol (IPV4_PROTOCOL_*) that leaves by the NIC. */
struct frame queues_pop(uint32_t nic_idx, uint8_t protocol);
uint32_t queues_frame_source(const struct frame *frame);

/* Datagram sockets. */
struct client_socket *queues_bound_to(const char *address);
enum rs_status queues_receive(struct client_socket *socket, char *text, size_t bytes,
                              uint32_t flags);
void queues_expect_text(struct client_socket *socket, const char *text);
void queues_expect_quiet(struct client_socket *socket);
void queues_send_text(struct client_socket *socket, const char *to, const char *text);

#endif
