/*
 * The counters of one queue, and the closing ledger made of them: every frame that came in is
 * delivered, consumed by a protocol, or dropped under one of these names. Written by the queue's
 * thread, read by others as relaxed words. One list; names, ledger and ringsockctl come from it.
 */
#ifndef RINGSOCK_DATAPLANE_COUNTERS_H
#define RINGSOCK_DATAPLANE_COUNTERS_H

#include <stdint.h>

/* X(name, group, "what it means, for an operator") ; group: IN total of frames, USED consumed by a
 * protocol, DROP_IN dropped frame, OUT sent, DROP_OUT a send that did not leave, LOCAL local
 * datagrams, INFO not part of a balance */
#define COUNTERS(X)                                  \
    X(rx_frames, IN, "frames received from the NIC") \
    X(tx_frames, OUT, "frames handed to the NIC")

enum counter_id {
#define COUNTER_ENUM(name, group, text) COUNTER_##name,
    COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTER_COUNT
};

enum counter_group {
    COUNTER_GROUP_IN,
    COUNTER_GROUP_USED,
    COUNTER_GROUP_DROP_IN,
    COUNTER_GROUP_OUT,
    COUNTER_GROUP_DROP_OUT,
    COUNTER_GROUP_LOCAL,
    COUNTER_GROUP_INFO
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
};

enum stack_notice {
    STACK_NOTICE_ADDRESS_CONFLICT,
    STACK_NOTICE_NEIGHBOUR_DEAD,
    STACK_NOTICE_SPOOFED_SOURCE,
    STACK_NOTICE_COUNT
};

#endif
