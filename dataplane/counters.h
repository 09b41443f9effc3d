/*
 * The counters of one queue, and the balances that make the closing ledger out of them. Written by
 * the queue's thread alone (load and store, no lock prefix); read by the control thread and by
 * ringsockctl as relaxed words. One list: names, groups, texts, ledger and JSON come from it.
 *
 * Three balances hold whenever no stack function is running:
 *
 *   frames in    Σ IN   == Σ DELIVERED + Σ USED + Σ DROP_IN
 *                Every received frame ends in exactly one of them. A frame that several sockets
 *                took is one delivered frame; a frame that found a receiver, but no receiver with
 *                room, is the drop udp_receivers_full. One handed to another queue is used here and
 *                one more in there; a copy for another queue is one in there only.
 *   sends        Σ SENT == Σ OUT + Σ LOCAL + Σ WAITING + Σ DROP_OUT
 *                Every datagram a socket sent and every frame the stack made itself ends in
 *                exactly one of them. WAITING are levels, not totals. A datagram that goes to
 *                the wire and to local members ends as OUT; one that stays here ends as LOCAL when
 *                at least one receiver took it. A send refused with an error is a DROP_OUT: the
 *                client has posted it and gets no second try. RS_WOULD_BLOCK counts nothing.
 *   deliveries   Σ OFFERED == Σ TAKEN + Σ REFUSED
 *                Every attempt to put one datagram into one socket's receive ring.
 *
 * INFO counters are part of no balance.
 */
#ifndef RINGSOCK_DATAPLANE_COUNTERS_H
#define RINGSOCK_DATAPLANE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum counter_group {
    COUNTER_GROUP_IN,
    COUNTER_GROUP_DELIVERED,
    COUNTER_GROUP_USED,
    COUNTER_GROUP_DROP_IN,
    COUNTER_GROUP_SENT,
    COUNTER_GROUP_OUT,
    COUNTER_GROUP_LOCAL,
    COUNTER_GROUP_WAITING,
    COUNTER_GROUP_DROP_OUT,
    COUNTER_GROUP_OFFERED,
    COUNTER_GROUP_TAKEN,
    COUNTER_GROUP_REFUSED,
    COUNTER_GROUP_INFO,
    COUNTER_GROUP_COUNT
};

/* clang-format off */
/* X(name, group, "what it means, for an operator") */
#define COUNTERS(X)                                                                                \
    X(rx_frames, IN, "frames received from the NIC")                                               \
    X(handed_in, IN, "frames that another queue of the NIC handed over")                           \
    X(rx_delivered, DELIVERED, "frames whose datagram at least one socket took")                   \
    X(arp_requests_in, USED, "ARP requests and probes for our address, answered")                  \
    X(arp_learned_in, USED, "ARP packets that told or confirmed the MAC of a neighbour we talk to")  \
    X(arp_passed_on, USED, "ARP replies this queue did not wait for, passed on to the NIC's other queues") \
    X(arp_copies_in, USED, "ARP packets passed on by queue 0 that told this queue nothing")        \
    X(arp_conflicts_in, USED, "ARP packets of another host that claims our address")               \
    X(icmp_echo_in, USED, "pings answered")                                                        \
    X(icmp_errors_in, USED, "ICMP errors handed to the socket they quote")                         \
    X(igmp_queries_in, USED, "IGMP queries of the multicast router")                               \
    X(igmp_reports_in, USED, "IGMP reports of other hosts for groups we are in")                   \
    X(tcp_segments_in, USED, "TCP segments taken by a connection or listener")                     \
    X(ip_fragments_kept, USED, "IPv4 fragments kept until the last of their datagram came")        \
    X(handed_out, USED, "frames handed over to the queue they belong to")                          \
    X(hand_over_full, DROP_IN, "frame for another queue, which is too slow to take it")            \
    X(handed_astray, DROP_IN, "frame handed over to a queue that may not act on it")               \
    X(eth_truncated, DROP_IN, "frame shorter than an Ethernet header")                             \
    X(eth_own_source, DROP_IN, "frame with our own MAC as source: our transmission seen again, or a second host with our MAC") \
    X(eth_source_bad, DROP_IN, "frame with a group address as source MAC")                         \
    X(eth_not_for_us, DROP_IN, "frame for another MAC; normal on a promiscuous NIC")               \
    X(eth_vlan, DROP_IN, "frame of an 802.1Q VLAN, and [nic] vlan is not set")                         \
    X(eth_untagged, DROP_IN, "frame without an 802.1Q tag, and [nic] vlan is set")                 \
    X(eth_vlan_other, DROP_IN, "frame of another 802.1Q VLAN than [nic] vlan")                     \
    X(eth_vlan_nested, DROP_IN, "frame with a second tag behind the first (QinQ)")                 \
    X(eth_other_type, DROP_IN, "neither ARP nor IPv4: IPv6, LLDP and the like")                    \
    X(arp_malformed, DROP_IN, "ARP packet truncated or not about IPv4 over Ethernet")              \
    X(arp_not_for_us, DROP_IN, "ARP between other hosts; normal on a shared network")              \
    X(ip_truncated, DROP_IN, "frame ends inside the IPv4 header")                                  \
    X(ip_version, DROP_IN, "version field of the IPv4 header is not 4")                            \
    X(ip_header_length, DROP_IN, "IPv4 header length below 20 bytes or beyond the frame")          \
    X(ip_total_length, DROP_IN, "IPv4 total length below the header's or beyond the frame")        \
    X(ip_checksum, DROP_IN, "IPv4 header checksum is wrong")                                       \
    X(ip_source_own, DROP_IN, "somebody sent a packet with our address as source")                 \
    X(ip_source_martian, DROP_IN, "IPv4 source no host can have: loopback, multicast, broadcast, 0/8, 240/4") \
    X(ip_dest_martian, DROP_IN, "IPv4 destination 127/8, 0/8 or 240/4 from the wire")              \
    X(ip_not_for_us, DROP_IN, "IPv4 packet for another host")                                      \
    X(ip_link_broadcast, DROP_IN, "IPv4 unicast packet in a broadcast or multicast frame")         \
    X(ip_fragment_refused, DROP_IN, "IPv4 fragment, and [ip] reassemblies is 0")                   \
    X(ip_fragment_malformed, DROP_IN, "IPv4 fragment of no bytes, of an odd length, or of a datagram beyond 65,535 bytes") \
    X(ip_fragment_tiny, DROP_IN, "IPv4 fragment that cuts through its protocol's header")          \
    X(ip_fragment_overlap, DROP_IN, "IPv4 fragment that overlaps another one, or of a datagram where some did") \
    X(ip_fragment_duplicate, DROP_IN, "IPv4 fragment that had come before")                        \
    X(ip_fragment_ecn, DROP_IN, "last fragment of a datagram of which only some say that its sender knows ECN") \
    X(ip_protocol, DROP_IN, "IPv4 protocol other than ICMP, IGMP, TCP and UDP")                    \
    X(icmp_malformed, DROP_IN, "ICMP message truncated")                                           \
    X(icmp_checksum, DROP_IN, "ICMP checksum is wrong")                                            \
    X(icmp_echo_limited, DROP_IN, "pings beyond the rate limit")                                   \
    X(icmp_echo_group, DROP_IN, "ping to a broadcast or multicast address, never answered")        \
    X(icmp_no_socket, DROP_IN, "ICMP error that quotes nothing a socket here sent")                \
    X(icmp_ignored, DROP_IN, "ICMP message of a kind a host does not act upon")                    \
    X(igmp_malformed, DROP_IN, "IGMP message truncated, or query to a wrong address")              \
    X(igmp_checksum, DROP_IN, "IGMP checksum is wrong")                                            \
    X(igmp_ignored, DROP_IN, "IGMP message for routers, or about groups we are not in")            \
    X(udp_truncated, DROP_IN, "IPv4 packet ends inside the UDP header")                            \
    X(udp_length, DROP_IN, "UDP length below 8 or beyond the IPv4 packet")                         \
    X(udp_checksum, DROP_IN, "UDP checksum is wrong")                                              \
    X(udp_no_socket, DROP_IN, "UDP datagram to a port nobody has bound")                           \
    X(udp_no_member, DROP_IN, "multicast datagram no socket has joined group, source and port for") \
    X(udp_receivers_full, DROP_IN, "datagram lost because the receiving program reads too slowly") \
    X(tcp_listen_ignored, DROP_IN, "TCP segment to a listener that is neither a SYN nor an ACK")    \
    X(tcp_listen_refused, DROP_IN, "ACK to a listener without a handshake under way, answered with a reset") \
    X(tcp_listen_overflow, DROP_IN, "SYN, or a handshake's last ACK, while the listener's backlog is full: the program accepts too slowly") \
    X(tcp_cookie_bad, DROP_IN, "ACK to a listener that sends SYN cookies, but not for one of ours, answered with a reset") \
    X(tcp_request_bad, DROP_IN, "segment of a half-open connection outside its window, too old or with a wrong ACK") \
    X(tcp_accept_failed, DROP_IN, "handshake complete, but no connection or ring left: refused with a reset") \
    X(tcp_time_wait_dropped, DROP_IN, "segment for a connection in TIME_WAIT: old, or a SYN that may not open a new one yet") \
    X(tcp_truncated, DROP_IN, "IPv4 packet ends inside the TCP header")                            \
    X(tcp_offset_bad, DROP_IN, "TCP data offset below 20 bytes or beyond the packet")              \
    X(tcp_checksum, DROP_IN, "TCP checksum is wrong")                                              \
    X(tcp_group, DROP_IN, "TCP segment to a broadcast or multicast address")                       \
    X(tcp_no_socket, DROP_IN, "TCP segment to a port where nobody listens, or of no connection; answered with a reset") \
    X(tcp_ack_invalid, DROP_IN, "TCP segment that acknowledges what was not sent, or what is too old") \
    X(tcp_reset_invalid, DROP_IN, "TCP reset that does not stand exactly where the connection is (RFC 5961)") \
    X(tcp_syn_invalid, DROP_IN, "SYN for a connection that exists (RFC 5961)")                     \
    X(tcp_no_syn, DROP_IN, "TCP segment without SYN while one is waited for")                      \
    X(tcp_no_ack, DROP_IN, "TCP segment without ACK for a connection that exists")                 \
    X(tcp_paws, DROP_IN, "TCP segment with a timestamp older than the newest (PAWS)")              \
    X(tcp_out_of_window, DROP_IN, "TCP segment outside the receive window: old, or beyond it")     \
    X(tcp_unwanted, DROP_IN, "TCP data for a program that has closed, or reads no more; answered with a reset") \
    X(udp_sends, SENT, "datagrams sent by sockets")                                                \
    X(tcp_segments_out, SENT, "TCP segments made, those that the NIC cuts counted once")           \
    X(ip_fragments_out, SENT, "IPv4 fragments made, the first of each datagram not counted")       \
    X(arp_made, SENT, "ARP packets made by the stack")                                             \
    X(icmp_made, SENT, "ICMP messages made by the stack")                                          \
    X(igmp_made, SENT, "IGMP messages made by the stack")                                          \
    X(tx_frames, OUT, "frames handed to the NIC")                                                  \
    X(local_delivered, LOCAL, "datagrams delivered inside the dataplane, no frame")                \
    X(waiting_neighbour, WAITING, "frames that wait for an ARP reply now")                         \
    X(waiting_tx, WAITING, "frames that wait for room in the NIC's transmit ring now")             \
    X(local_no_socket, DROP_OUT, "local datagrams to a port, or group, nobody has bound or joined") \
    X(local_receivers_full, DROP_OUT, "local datagrams lost because the receiving program reads too slowly") \
    X(send_no_destination, DROP_OUT, "send without a destination, or to port 0")                   \
    X(send_too_big, DROP_OUT, "send larger than the MTU or the largest UDP datagram")              \
    X(send_broadcast_denied, DROP_OUT, "broadcast by a socket without SO_BROADCAST")               \
    X(send_bad_source, DROP_OUT, "send to another host from a socket that is not bound or bound to 127/8, or with a TTL of 0") \
    X(send_no_route, DROP_OUT, "send to an address without a route")                               \
    X(send_link_down, DROP_OUT, "send while the NIC has no link")                                  \
    X(send_neighbour_dead, DROP_OUT, "send to a neighbour that does not answer ARP")               \
    X(neighbour_no_answer, DROP_OUT, "frames dropped when a neighbour did not answer ARP")         \
    X(neighbour_queue_full, DROP_OUT, "frames dropped because too many waited for one ARP reply")  \
    X(neighbour_table_full, DROP_OUT, "frames dropped because every neighbour entry was waiting for a reply") \
    X(tx_no_buffer, DROP_OUT, "ARP, ICMP or IGMP not sent: no transmit buffer, or too few")                    \
    X(tx_queue_full, DROP_OUT, "frames dropped because the transmit queue was full")               \
    X(tx_stuck, DROP_OUT, "frames dropped because the NIC had taken none for 2 seconds")           \
    X(reply_no_route, DROP_OUT, "ICMP reply or error without a route back")                        \
    X(deliveries_offered, OFFERED, "datagrams offered to sockets, each receiver counted")          \
    X(deliveries, TAKEN, "datagrams put into sockets' receive rings")                              \
    X(recv_ring_full, REFUSED, "datagrams a socket had no room for: the program reads too slowly") \
    X(ip_fragmented, INFO, "datagrams and pings' answers sent as fragments")                       \
    X(ip_reassembled, INFO, "datagrams made whole of fragments")                                   \
    X(ip_reassembly_timeouts, INFO, "incomplete datagrams given up after 60 seconds")              \
    X(ip_reassembly_full, INFO, "incomplete datagrams given up for newer ones: [ip] reassemblies reached") \
    X(ip_reassembly_source_full, INFO, "incomplete datagrams given up because their source has too many") \
    X(udp_no_checksum, INFO, "datagrams received without a UDP checksum")                          \
    X(icmp_errors_limited, INFO, "ICMP errors not sent because of the rate limit")                 \
    X(arp_announcements, INFO, "ARP announcements of our address, defence included")               \
    X(neighbours_evicted, INFO, "neighbour entries reused for another address")                    \
    X(neighbours_dead, INFO, "times a neighbour stopped answering ARP")                            \
    X(arp_copies_lost, INFO, "ARP packets that not all other queues of the NIC had room for")      \
    X(igmp_fallbacks, INFO, "times IGMP changed its version because of the querier")               \
    X(tx_busy, INFO, "times the NIC did not take all frames it was offered")                       \
    X(handed_sends_out, INFO, "datagrams handed to the queue of the NIC they leave by")            \
    X(handed_sends_in, INFO, "datagrams taken from other queues and sent here")                    \
    X(handed_sends_too_big, INFO, "sends refused: larger than the largest UDP datagram")                      \
    X(handed_sends_late, INFO, "datagrams lost: their socket was closed while they were handed over") \
    X(budget_exhausted, INFO, "times a session had used up its slots or bytes of an iteration")    \
    X(signals_deferred, INFO, "times a session's further wake-ups waited for the next iteration")  \
    X(hints_deferred, INFO, "times a session's further hints waited for the next iteration")       \
    X(control_waits, INFO, "times a request waited because too many of its session were with the control thread") \
    X(shared_unread_dropped, INFO, "times the datagrams, or connections, that waited at a socket were dropped when it was shared: its program said that it had read a part of one") \
    X(memberships_refused, INFO, "multicast joins refused: [limits] memberships reached")          \
    X(tcp_connections_full, INFO, "connections not made: [tcp] connections reached")              \
    X(tcp_connect_link_down, INFO, "connections not made: the NIC has no link")                   \
    X(tcp_acks_out, INFO, "TCP segments that carried an ACK only")                                 \
    X(tcp_delayed_acks, INFO, "TCP ACKs sent because of the delay")                                \
    X(tcp_out_of_order, INFO, "TCP segments received ahead of a gap")                              \
    X(tcp_ranges_full, INFO, "TCP segments ahead of a gap not kept: too many gaps")                \
    X(tcp_retransmits, INFO, "TCP segments sent again")                                            \
    X(tcp_window_probes, INFO, "probes of a peer's closed window")                                 \
    X(tcp_keepalives, INFO, "TCP keep-alive probes")                                               \
    X(tcp_black_holes, INFO, "times large segments vanished without a word, so smaller ones were tried") \
    X(tcp_mtu_lowered, INFO, "times a router said that segments are too large")                    \
    X(tcp_ecn_marks, INFO, "TCP data segments that a router marked (ECN)")                         \
    X(tcp_challenges_out, INFO, "ACKs sent in answer to segments that do not fit the connection")  \
    X(tcp_challenges_limited, INFO, "such ACKs not sent because of the limit (RFC 5961)")          \
    X(tcp_resets_out, INFO, "TCP resets sent")                                                     \
    X(tcp_resets_limited, INFO, "TCP resets not sent because of the rate limit")                   \
    X(tcp_options_bad, INFO, "TCP segments with a malformed option; those before it were read")    \
    X(tcp_no_buffer, INFO, "TCP control segments not sent: no transmit buffer")                    \
    X(tcp_blocked, INFO, "times a connection waited for a transmit buffer")                        \
    X(tx_stamps, INFO, "transmit timestamps kept for programs that asked for them")                \
    X(tx_stamps_lost, INFO, "transmit timestamps discarded: their socket's room was full, or it was gone") \
    X(tcp_accepted, INFO, "TCP connections opened by peers")                                       \
    X(tcp_requests_dropped, INFO, "half-open TCP connections that ended without becoming one: by the peer, an ICMP error or the listener's end") \
    X(tcp_requests_timed_out, INFO, "half-open TCP connections given up: no answer to any SYN-ACK") \
    X(tcp_syn_acks_again, INFO, "SYN-ACKs sent again")                                             \
    X(tcp_cookies_sent, INFO, "SYNs answered with a cookie: too many half-open connections")       \
    X(tcp_cookies_accepted, INFO, "TCP connections made from a SYN cookie")                        \
    X(tcp_time_waits_recycled, INFO, "connections in TIME_WAIT given up early: all places were taken") \
    X(tcp_time_waits_reopened, INFO, "connections in TIME_WAIT that a peer's SYN or a connect has opened anew") \
    X(tcp_timeouts, INFO, "TCP retransmission timeouts")                                           \
    X(tcp_fast_recoveries, INFO, "times TCP repaired losses without a timeout")                    \
    X(tcp_undos, INFO, "times a TCP peer had all it was thought to miss, window restored")         \
    X(tcp_probes_tail, INFO, "TCP tail loss probes")                                               \
    X(tcp_sack_reneged, INFO, "times a TCP peer dropped data it had reported by SACK")             \
    X(tcp_sack_limited, INFO, "times a TCP peer's SACK blocks were too far apart to look for all at once") \
    X(tcp_records_short, INFO, "TCP segments kept account of together: [tcp] records_max reached")
/* clang-format on */

enum counter_id {
#define COUNTER_ENUM(name, group, text) COUNTER_##name,
    COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
};

/* The queue's thread is the only writer, so a plain add in two relaxed halves loses nothing and
 * costs no lock prefix. Partner: counter_get of any thread. */
static inline void counter_add(struct counters *counters, enum counter_id id, uint64_t amount)
{
    _Atomic uint64_t *word = &counters->value[id];
    uint64_t value = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, value + amount, memory_order_relaxed);
}

static inline void counter_sub(struct counters *counters, enum counter_id id, uint64_t amount)
{
    _Atomic uint64_t *word = &counters->value[id];
    uint64_t value = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, value - amount, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counters *counters, enum counter_id id)
{
    return atomic_load_explicit(&counters->value[id], memory_order_relaxed);
}

/* Names, groups and texts; any thread. "?" for an id or group outside the list. */
const char *counter_name(enum counter_id id);
const char *counter_text(enum counter_id id);
enum counter_group counter_group_of(enum counter_id id);
const char *counter_group_name(enum counter_group group);

struct counters_sums {
    uint64_t group[COUNTER_GROUP_COUNT];
    bool frames_balance;
    bool sends_balance;
    bool deliveries_balance;
    uint64_t lost; /* datagrams lost inside: receivers full, transmit buffers or queues exhausted */
};

/* Adds up the groups and checks the three balances of the opening comment. True: all hold. Exact
 * only while the queue is between two stack calls; otherwise off by what is under way. */
bool counters_balance(const struct counters *counters, struct counters_sums *out);

/* total += counters, word by word, for a ledger over several queues. total belongs to the caller.
 */
void counters_accumulate(struct counters *total, const struct counters *counters);

#endif
