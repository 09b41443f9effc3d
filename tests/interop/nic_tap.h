/*
 * A NIC for tests on a TAP device: what the stack sends the kernel receives, and the other way
 * round, with the faults of a bad line made here from a seed. Not for programs: each frame costs a
 * system call. One thread.
 */
#ifndef RINGSOCK_TESTS_INTEROP_NIC_TAP_H
#define RINGSOCK_TESTS_INTEROP_NIC_TAP_H

#include <stdio.h>

#include "dataplane/nic.h"

/* Of one direction, each TCP frame for itself; frames of other protocols always pass. */
struct nic_tap_faults {
    uint32_t loss_permille;
    uint32_t duplicate_permille;
    uint32_t reorder_permille; /* up to 8 frames overtake it, or 2 ms pass */
    uint32_t mark_permille;    /* a frame that may be marked (RFC 3168) gets "congestion" */
    uint32_t bytes_max;        /* longer frames vanish: a router that says nothing; 0: any pass */
    uint32_t delay_us;         /* a longer cable: of each frame that passes, in order */
    uint32_t lose_next;        /* so many frames from now on vanish */
    bool stopped;              /* in: frames stay in the device; out: the NIC takes none */
    bool dead;                 /* nothing passes, ARP neither: the cable is cut */
};

struct nic_tap_config {
    int fd; /* of nic_tap_open; the NIC's from now on */
    uint8_t mac[6];
    uint32_t mtu_bytes;
    uint32_t caps; /* NIC_CAP_TX_*: done in software on the way to the kernel */
    uint64_t seed;
};

/* A TAP device of that name in the thread's network namespace, non-blocking, without offloads: its
 * frames are as on a cable. -1: errno says why. */
int nic_tap_open(const char *name);
/* Ends the program when there is no memory. Closed with ops->close. */
struct nic *nic_tap_create(const struct nic_tap_config *config);
/* To be changed at any time. in: what the kernel sent. */
struct nic_tap_faults *nic_tap_in(struct nic *nic);
struct nic_tap_faults *nic_tap_out(struct nic *nic);
/* When a frame held back is due; UINT64_MAX: none is held. */
uint64_t nic_tap_due_ns(const struct nic *nic);
/* The newest frames, those that were lost too, oldest first; between: see tap_trace_print. */
void nic_tap_trace(const struct nic *nic, FILE *out, void (*between)(FILE *out, uint64_t until_ns));

#endif
