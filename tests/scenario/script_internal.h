/*
 * What the files of the script language share: the one script that runs, its queues, its time, its
 * trace. Scripts include script.h or tcp_script.h only.
 */
#ifndef RINGSOCK_TESTS_SCENARIO_SCRIPT_INTERNAL_H
#define RINGSOCK_TESTS_SCENARIO_SCRIPT_INTERNAL_H

#include "script.h"
#include "tcp_text.h"

#define MS             1000000ull
#define SOCKETS_MAX    64
#define TRACE_MAX      2048
#define LINE_MAX_BYTES 512
#define QUEUES         3 /* of a script with several: one leads, so that two follow */
#define HANDED_MAX     64

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

/* A frame that came out and that no expectation has taken yet. */
struct out_frame {
    struct out_frame *next;
    uint64_t sent_ns;
    char line[LINE_MAX_BYTES];
    struct tcp_text_flow *flow; /* NULL: no segment, of a script with TCP */
    struct tcp_line segment;
    struct frame frame;
};

struct script {
    struct script_queue queues[QUEUES];
    struct script_queue *queue; /* that the script speaks of */
    uint32_t queue_count;
    struct handed_frame handed[HANDED_MAX];
    uint32_t handed_count;
    uint32_t handed_room;
    bool memory;    /* the NIC is a nic_memory */
    bool tcp;       /* an injected frame or a call ends an iteration */
    bool iteration; /* several of them end it together */
    bool failed;    /* the rest is only cleared away */
    uint64_t start_ns, now_ns;
    struct out_frame *out_first, **out_last;
    char trace[TRACE_MAX][LINE_MAX_BYTES];
    uint32_t trace_count;
    uint32_t notices[STACK_NOTICE_COUNT];
    uint32_t notice_ip_be32[STACK_NOTICE_COUNT];
    const char *file;
    int line;
};
extern struct script script;

struct script_options {
    bool gateway, small, loopback, fresh, queues, two_nics, addresses;
    uint8_t igmp_version;
    uint8_t vlan_id, vlan_priority;
    uint32_t caps;
    uint32_t mtu_bytes;           /* 0: 1500 */
    uint64_t later_ns;            /* the clock's start is so much later than usual */
    const struct tcp_config *tcp; /* NULL: no TCP */
};

/* ---- script.c ---- */

void script_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void script_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void script_expect_status(const char *what, enum rs_status got, enum rs_status want);
void script_check_books(void);
/* After an injected frame or a program's call. */
void script_settle(void);
/* The oldest frame that came out; NULL: none. The caller frees it. */
struct out_frame *script_take_frame(void);
/* Timers of the queues up to then, in steps. */
void script_advance_to(uint64_t target_ns);
/* Or until a frame comes out. */
void script_advance_to_frame(uint64_t target_ns);

void script_multicast_changed(void *context);
bool script_hand_over(void *context, const struct pkt *pkt, enum stack_hand_to to,
                      uint32_t queue_idx);
void script_notice(void *context, enum stack_notice notice, uint32_t ip_be32, const uint8_t mac[6]);

/* ---- frame_make.c ---- */

/* Ethernet and IPv4 header around payload_bytes already in place. */
void frame_ip(struct frame *frame, const char *src, const char *dst, uint8_t protocol, uint8_t ttl,
              uint32_t payload_bytes);

/* ---- script_setup.c ---- */

int script_setup_with(const struct script_options *options);
void script_read_counters(struct script_queue *queue);
void script_set_now(uint64_t now_ns);

/* ---- script_udp.c ---- */

bool script_udp_deliver(void *context, struct udp_socket *udp, const struct udp_datagram *datagram);
void script_udp_error(void *context, struct udp_socket *udp, enum rs_status error);
void script_udp_stamped(void *context, uint64_t stamp);
/* Fails when a socket has something nobody expected; closes and frees them all. */
void script_udp_teardown(void);

/* ---- tcp_script.c ---- */

void script_tcp_event(void *context, struct tcp_conn *tcp, uint32_t events);
bool script_tcp_accept(void *context, struct tcp_listener *listener, struct tcp_conn *tcp,
                       struct tcp_rings *rings, void **owner);
void script_tcp_setup(void);
/* Fails when a connection has an end nobody expected; ends them all, then looks for what is lost.
 */
void script_tcp_teardown(void);

#endif
