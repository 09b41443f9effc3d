/*
 * Which queue of a NIC a frame belongs to: the rule that the NIC's receive side scaling follows, or
 * that the queues follow in its place. Made at start-up by the nic's implementation, read by every
 * queue of that NIC and by the control thread; never changed afterwards, so it needs no lock.
 *
 * TCP and UDP go by addresses and ports, other IPv4 (fragments too: their ports are in the first
 * one only) by addresses, all else to queue 0. So all packets of a flow meet on one queue.
 */
#ifndef RINGSOCK_DATAPLANE_STEER_H
#define RINGSOCK_DATAPLANE_STEER_H

#include <stdint.h>

#include "dataplane/toeplitz.h"
#include "rings/status.h"

#define STEER_TABLE_MAX 512u /* the largest redirection table that NICs have */

enum steer_mode {
    STEER_ONE_QUEUE, /* nothing to decide */
    STEER_NIC,       /* the NIC steers by this key and table: a frame is where it belongs */
    STEER_SOFTWARE   /* the NIC steers by something else: the queue that gets a frame asks
                        steer_frame and hands it over */
};

struct nic_steering {
    enum steer_mode mode;
    uint32_t queue_count;
    uint32_t table_mask;
    uint8_t key[TOEPLITZ_KEY_BYTES];
    uint8_t table[STEER_TABLE_MAX]; /* queue by the low bits of the hash */
    struct toeplitz toeplitz;
};

#define STEER_NO_QUEUE UINT32_MAX

/* For every NIC with one queue. */
extern const struct nic_steering steer_one_queue;

/* table NULL: the queues in turn. table_size: a power of two, at most STEER_TABLE_MAX. The key
 * should be secret outside of tests: who knows it can send flows that all meet on one queue.
 * RS_INVALID: table_size, or a queue beyond queue_count, or queue_count of 0 or above 256. */
RS_CHECK_RESULT enum rs_status steer_init(struct nic_steering *steering, enum steer_mode mode,
                                          const uint8_t key[TOEPLITZ_KEY_BYTES],
                                          const uint16_t *table, uint32_t table_size,
                                          uint32_t queue_count);
/* The queue of a received frame, len_bytes from its Ethernet header on; any bytes. Malformed: 0.
 * In STEER_SOFTWARE IGMP is queue 0's, and an ICMP error its connection's queue's: only
 * they act on it, and a frame is handed over once. */
uint32_t steer_frame(const struct nic_steering *steering, const uint8_t *frame, uint32_t len_bytes);
/* The queue that has the TCP connection of the segment that an ICMP error quotes, from its IPv4
 * header on; any bytes. STEER_NO_QUEUE: they quote none. */
uint32_t steer_quoted(const struct nic_steering *steering, const uint8_t *quote,
                      uint32_t quote_bytes);
/* The queue of the UDP or TCP packets that come from remote to local; network order. */
uint32_t steer_flow(const struct nic_steering *steering, uint32_t remote_be32, uint32_t local_be32,
                    uint16_t remote_port_be16, uint16_t local_port_be16);

#endif
