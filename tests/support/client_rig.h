/*
 * What the client tests run on: the fake dataplane of fake_dataplane.h (client_rig_fake.c) or the
 * real one in this process with a loopback NIC (client_rig_dataplane.c). A test program links one
 * of them; the tests in client_cases.c pass on both. One rig at a time.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_CLIENT_RIG_H
#define RINGSOCK_TESTS_SUPPORT_CLIENT_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "provider/client/client.h"

struct rig_spec {
    uint32_t limit_sockets;
    uint32_t limit_channels; /* with one queue; one more for each further queue */
    uint32_t recv_ring_bytes, send_ring_bytes;
    uint32_t spin_us; /* RS_SPIN_FOREVER: clients never sleep */
};

/* Queues of the dataplane. */
extern const uint32_t rig_queue_count;

struct dataplane; /* dataplane/dataplane.h */

/* 32 sockets, 8 channels, rings of 128 KiB, 50 us. */
extern const struct rig_spec rig_defaults;
/* A connection inside one program is read where it was written (RS_DESC_RECV_SHARED), so it holds
 * no more than its send ring. */
extern const bool rig_shares_rings;

void rig_start(const struct rig_spec *spec);
/* The real one, for tests that link client_rig_dataplane.c. */
struct dataplane *rig_dataplane(void);
/* As rig_dataplane. SHARE to another process: the oldest of the system's, which does not end. */
void rig_share_with_another(struct client_socket *socket, struct client_share_info *info);
/* Attaches with the spec's spinning, in the shared-core profile. */
struct client *rig_attach(void);
/* The dataplane ends with its clients attached. */
void rig_end_dataplane(void);
/* After the clients were closed; harmless after rig_end_dataplane. */
void rig_stop(void);

#endif
