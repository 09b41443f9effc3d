/*
 * The language of the packet scripts: one stack with its NIC on an in-memory wire, a virtual clock,
 * sockets with an inbox. A script reads like a trace: what comes in (inject_*), what programs do
 * (bound, send_to, join), what passes (advance_ms), and what must come out (expect_*).
 *
 * This host is 10.0.0.1/24. Every other host's MAC is 02:00 followed by its IP, so a script names
 * hosts by IP only. Frames that come out are turned into one line each, checksums and lengths
 * checked, and compared as text; on failure the whole trace is printed.
 *
 *   arp who-has 10.0.0.2 tell 10.0.0.1 > all        arp probe 10.0.0.1 > all
 *   arp 10.0.0.1 is-at 10.0.0.1 > 10.0.0.2          arp announce 10.0.0.1 > all
 *   udp 10.0.0.1:7000 > 10.0.0.2:5000 "hello" ttl 128 via 10.0.0.2
 *   icmp echo-reply 10.0.0.1 > 10.0.0.2 "ping" via 10.0.0.2
 *   icmp unreachable 3 10.0.0.1 > 10.0.0.2 [udp 10.0.0.2:5000 > 10.0.0.1:9] via 10.0.0.2
 *   fragment 17 10.0.0.1 > 10.0.0.2 at 1480 + 8 more via 10.0.0.2
 *   vlan 7 priority 5: arp probe 10.0.0.1 > all
 *   igmp v3 TO_EX 239.1.1.1 {}                      igmp v2 report 239.1.1.1
 *
 * A script may have several queues of one NIC: on_queue says of which one the next lines speak.
 * What one hands over, the others get at once. What comes out of the NIC comes out for all of them.
 *
 * The teardown fails a script that leaves a frame unexpected, a datagram unread, an error unseen, a
 * transmit buffer lost, or a ledger that does not balance.
 */
#ifndef RINGSOCK_TESTS_SCENARIO_SCRIPT_H
#define RINGSOCK_TESTS_SCENARIO_SCRIPT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>
/* clang-format on */

#include "dataplane/nic_memory.h"
#include "dataplane/stack.h"
#include "dataplane/udp.h"

#define OWN             "10.0.0.1"
#define PEER            "10.0.0.2"
#define PEER2           "10.0.0.3"
#define ROUTER          "10.0.0.254"
#define FAR             "192.168.7.7"
#define OTHER_NIC       "10.1.0.1"
#define OWN_B           "10.0.0.11" /* of script_setup_addresses */
#define OWN_C           "192.0.2.1"
#define ROUTER_C        "192.0.2.254"
#define GROUP           "239.1.1.1"
#define GROUP2          "239.1.1.2"
#define FRAME_MAX_BYTES 9216

typedef struct script_socket *sock;

/* ---- fixtures: cmocka set-up functions; each leaves a quiet stack that has announced itself ----
 */

int script_setup(void **state);         /* as described above, no gateway */
int script_setup_gateway(void **state); /* gateway 10.0.0.254; 172.16.0.0/12 by 10.0.0.253 */
int script_setup_small(void **state);   /* 2 neighbours, 2 memberships, static neighbour 10.0.0.9 */
int script_setup_igmp2(void **state);   /* igmp_version 2 */
int script_setup_loopback(void **state); /* nic_loopback, no address */
int script_setup_fresh(void **state);    /* not yet announced */
int script_setup_offload(void **state);  /* the NIC fills in checksums */
int script_setup_queues(void **state);   /* three queues, queue 0 leads */
int script_setup_queues_fresh(void **state);
int script_setup_small_link(void **state);  /* an MTU of 576 */
int script_setup_vlan(void **state);        /* all in VLAN 7, with priority 5 */
int script_setup_vlan_by_tos(void **state); /* the same with the TOS's */
int script_setup_vlan_fresh(void **state);
int script_setup_vlan_queues(void **state); /* three queues */
int script_setup_two_nics(void **state); /* another NIC of the process has the address OTHER_NIC */
/* OWN_B/24 and OWN_C/24, too; 172.16.0.0/12 by ROUTER_C, 172.20.0.0/16 by ROUTER with source OWN_B,
 * the rest by ROUTER */
int script_setup_addresses(void **state);
int script_setup_addresses_fresh(void **state);
int script_teardown(void **state);

#define SCRIPT(name) cmocka_unit_test_setup_teardown(name, script_setup, script_teardown)
#define SCRIPT_WITH(name, setup_name) \
    cmocka_unit_test_setup_teardown(name, script_setup_##setup_name, script_teardown)

/* Notes the script's place for messages; every macro below does. */
void script_at(const char *file, int line);
#define SCRIPT_AT script_at(__FILE__, __LINE__)

/* ---- queues ---- */

#define on_queue(queue_idx) (SCRIPT_AT, script_on_queue(queue_idx))
/* So many frames more can be handed over; a copy for each follower counts as one. */
#define hand_over_room(frames) (SCRIPT_AT, script_hand_over_room(frames))

void script_on_queue(uint32_t queue_idx);
void script_hand_over_room(uint32_t frames);

/* ---- programs ---- */

/* "any:7000", "10.0.0.1:7000", "127.0.0.1:7000", "239.1.1.1:7000" */
#define bound(address)                      (SCRIPT_AT, script_bound(address))
#define unbound()                           (SCRIPT_AT, script_unbound())
#define bind_to(socket, address, status)    (SCRIPT_AT, script_bind(socket, address, status))
#define connect_to(socket, address)         (SCRIPT_AT, script_connect(socket, address, RS_OK))
#define connect_fails(socket, address, why) (SCRIPT_AT, script_connect(socket, address, why))
#define disconnect(socket)                  (SCRIPT_AT, script_connect(socket, NULL, RS_OK))
#define close_socket(socket)                (SCRIPT_AT, script_close(socket))
/* address NULL: to the peer. bytes: of script_pattern. */
#define send_to(socket, address, text)         (SCRIPT_AT, script_send(socket, address, text, RS_OK))
#define send_fails(socket, address, text, why) (SCRIPT_AT, script_send(socket, address, text, why))
/* control: what it has of struct udp_control, in braces without them. */
#define send_with(socket, address, text, why, ...) \
    (SCRIPT_AT, script_send_control(socket, address, text, &(struct udp_control){__VA_ARGS__}, why))
#define send_bytes(socket, address, len, why) \
    (SCRIPT_AT, script_send_bytes(socket, address, len, why))
#define join(socket, group)  (SCRIPT_AT, script_member(socket, RS_MEMBER_JOIN, group, NULL, RS_OK))
#define leave(socket, group) (SCRIPT_AT, script_member(socket, RS_MEMBER_LEAVE, group, NULL, RS_OK))
#define join_source(socket, group, source) \
    (SCRIPT_AT, script_member(socket, RS_MEMBER_JOIN_SOURCE, group, source, RS_OK))
#define leave_source(socket, group, source) \
    (SCRIPT_AT, script_member(socket, RS_MEMBER_LEAVE_SOURCE, group, source, RS_OK))
#define block_source(socket, group, source) \
    (SCRIPT_AT, script_member(socket, RS_MEMBER_BLOCK_SOURCE, group, source, RS_OK))
#define unblock_source(socket, group, source) \
    (SCRIPT_AT, script_member(socket, RS_MEMBER_UNBLOCK_SOURCE, group, source, RS_OK))
#define member_fails(socket, action, group, source, why) \
    (SCRIPT_AT, script_member(socket, action, group, source, why))
/* The receive ring takes this many datagrams more. */
#define room_for(socket, count)             (SCRIPT_AT, script_room(socket, count))
#define expect_received(socket, from, text) (SCRIPT_AT, script_expect_received(socket, from, text))
#define expect_received_bytes(socket, from, len) \
    (SCRIPT_AT, script_expect_received_bytes(socket, from, len))
/* Of the datagram that expect_received takes next. */
#define expect_header(socket, ttl, tos) (SCRIPT_AT, script_expect_header(socket, ttl, tos))
#define expect_no_datagram(socket)      (SCRIPT_AT, script_expect_no_datagram(socket))
#define expect_error(socket, status)    (SCRIPT_AT, script_expect_error(socket, status))
/* The oldest datagram of which the stack told that it was sent; none. */
#define expect_stamp(stamp) (SCRIPT_AT, script_expect_stamp(stamp))
#define expect_no_stamp()   (SCRIPT_AT, script_expect_no_stamp())

struct udp_socket *udp_of(sock socket);

sock script_bound(const char *address);
sock script_unbound(void);
void script_bind(sock socket, const char *address, enum rs_status status);
void script_connect(sock socket, const char *address, enum rs_status status);
void script_close(sock socket);
void script_send(sock socket, const char *address, const char *text, enum rs_status status);
void script_send_bytes(sock socket, const char *address, uint32_t len_bytes, enum rs_status status);
void script_send_control(sock socket, const char *address, const char *text,
                         const struct udp_control *control, enum rs_status status);
void script_member(sock socket, uint32_t action, const char *group, const char *source,
                   enum rs_status status);
void script_room(sock socket, uint32_t count);
void script_expect_received(sock socket, const char *from, const char *text);
void script_expect_header(sock socket, unsigned ttl, unsigned tos);
void script_expect_received_bytes(sock socket, const char *from, uint32_t len_bytes);
void script_expect_no_datagram(sock socket);
uint8_t script_pattern(uint32_t off_bytes);
void script_expect_error(sock socket, enum rs_status status);
void script_expect_stamp(uint64_t stamp);
void script_expect_no_stamp(void);

/* ---- the wire: in ---- */

struct frame {
    uint8_t data[FRAME_MAX_BYTES];
    uint32_t len_bytes;
    uint32_t flags; /* PKT_RX_* */
};

/* Right frames, for a script to spoil or to inject. Source and destination are "ip:port". */
struct frame frame_udp(const char *src, const char *dst, const char *text);
struct frame frame_arp(uint16_t op, const char *sender, const char *target);
struct frame frame_echo(const char *src, const char *dst, const char *text);
/* An ICMP error about a datagram this host sent. */
struct frame frame_icmp_error(const char *router, uint8_t type, uint8_t code,
                              const char *quoted_src, const char *quoted_dst);
struct frame frame_igmp_v2(const char *src, const char *dst, uint8_t type, uint8_t max_response,
                           const char *group);
/* sources: separated by spaces, "" none */
struct frame frame_igmp_v3_query(const char *src, const char *group, uint8_t max_response,
                                 const char *sources);
/* Bytes off to off + bytes - 1 of the IPv4 payload of a UDP datagram of len_bytes of pattern. */
struct frame frame_fragment(const char *src, const char *dst, uint32_t len_bytes, uint16_t id,
                            uint32_t off_bytes, uint32_t bytes);
/* Recomputes the IPv4 header's checksum, and UDP's, ICMP's or IGMP's, after an edit. */
void frame_fix_ip(struct frame *frame);
void frame_fix_payload(struct frame *frame);
/* Lays `bytes` of no-operation options into the IPv4 header. */
void frame_add_options(struct frame *frame, uint32_t bytes);
/* Of "ip" or "ip:port", network order; "any" is 0. */
uint32_t ip_of(const char *text);
uint16_t port_of(const char *text);
void mac_of(uint8_t mac[6], const char *ip);

/* With a tag in front of the type: priority (3 bits), drop eligible (1), VLAN (12). */
struct frame frame_tagged(const struct frame *frame, uint16_t tci);

void script_inject(const struct frame *frame);
/* As if another queue had handed it over. */
void script_inject_handed(const struct frame *frame);
#define inject(frame)        (SCRIPT_AT, script_inject(frame))
#define inject_handed(frame) (SCRIPT_AT, script_inject_handed(frame))
#define inject_fragment(src, dst, len, id, off, bytes) \
    (SCRIPT_AT, script_inject_fragment(src, dst, len, id, off, bytes))
#define inject_udp(src, dst, text)         (SCRIPT_AT, script_inject_udp(src, dst, text))
#define inject_arp_request(sender, target) (SCRIPT_AT, script_inject_arp(1, sender, target))
#define inject_arp_reply(sender, target)   (SCRIPT_AT, script_inject_arp(2, sender, target))
#define inject_echo(src, dst, text)        (SCRIPT_AT, script_inject_echo(src, dst, text))
#define inject_unreachable(router, code, quoted_src, quoted_dst) \
    (SCRIPT_AT, script_inject_icmp_error(router, 3, code, quoted_src, quoted_dst))
#define inject_query_v3(group, max_response, sources) \
    (SCRIPT_AT, script_inject_query_v3(group, max_response, sources))
#define inject_query_v2(group, max_response) \
    (SCRIPT_AT, script_inject_query_v2(group, max_response))
#define inject_report_v2(src, group) (SCRIPT_AT, script_inject_report_v2(src, group))

void script_inject_fragment(const char *src, const char *dst, uint32_t len_bytes, uint16_t id,
                            uint32_t off_bytes, uint32_t bytes);
void script_inject_udp(const char *src, const char *dst, const char *text);
void script_inject_arp(uint16_t op, const char *sender, const char *target);
void script_inject_echo(const char *src, const char *dst, const char *text);
void script_inject_icmp_error(const char *router, uint8_t type, uint8_t code,
                              const char *quoted_src, const char *quoted_dst);
void script_inject_query_v3(const char *group, uint8_t max_response, const char *sources);
void script_inject_query_v2(const char *group, uint8_t max_response);
void script_inject_report_v2(const char *src, const char *group);

/* ---- the wire: out ---- */

#define expect_out(line) (SCRIPT_AT, script_expect_out("%s", line))
/* So many fragments, in order and with one identification, which together are the frame of `line`.
 * Returns the identification. */
#define expect_fragments(count, line) (SCRIPT_AT, script_expect_fragments(count, line))
#define expect_nothing()              (SCRIPT_AT, script_expect_nothing())
#define expect_arp_request(target) \
    (SCRIPT_AT, script_expect_out("arp who-has %s tell " OWN " > all", target))
#define expect_arp_request_to(target) \
    (SCRIPT_AT, script_expect_out("arp who-has %s tell " OWN " > %s", target, target))
#define expect_arp_reply(asker) \
    (SCRIPT_AT, script_expect_out("arp " OWN " is-at " OWN " > %s", asker))
#define expect_arp_probe()        (SCRIPT_AT, script_expect_out("arp probe " OWN " > all"))
#define expect_arp_announcement() (SCRIPT_AT, script_expect_out("arp announce " OWN " > all"))
#define expect_udp(src, dst, text, via) \
    (SCRIPT_AT, script_expect_out("udp %s > %s \"%s\" ttl 128 via %s", src, dst, text, via))
#define expect_igmp(line) (SCRIPT_AT, script_expect_out("igmp %s", line))
#define expect_unreachable(code, to, quoted) \
    (SCRIPT_AT,                              \
     script_expect_out("icmp unreachable %d " OWN " > %s [%s] via %s", code, to, quoted, to))

void script_expect_out(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint16_t script_expect_fragments(uint32_t count, const char *line);
void script_expect_nothing(void);

/* ---- time, counters, notices, and the NIC ---- */

#define advance_ms(ms) (SCRIPT_AT, script_advance_ms(ms))
/* The counter's value since the script began. */
#define expect_count(name, value) (SCRIPT_AT, script_expect_count(COUNTER_##name, value))
#define expect_notice(notice, ip) (SCRIPT_AT, script_expect_notice(notice, ip))

void script_advance_ms(uint64_t ms);
void script_expect_count(enum counter_id id, uint64_t value);
void script_expect_notice(enum stack_notice notice, const char *ip);
/* Until the end, what is injected and called is one iteration of a stack with TCP. They return true
 * and false. */
bool script_iteration_begin(void);
bool script_iteration_end(void);
/* Lets time pass until a frame comes out; returns the ms that took, at most max_ms. */
uint64_t script_wait_for_frame(uint64_t max_ms);
struct stack *script_stack(void);
struct nic *script_nic(void);
/* How often the stack said that the wanted multicast MACs changed. */
uint32_t script_multicast_changes(void);
/* The peer's MAC is known, as after an exchange long ago. */
void script_know(const char *ip);

#endif
