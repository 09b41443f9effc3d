/*
 * The table of configuration keys: the one place that says which keys exist, their type, unit,
 * default and range. Parsing, checking and the messages read it; a unit test holds
 * configs/README.md against it. Constant data.
 */
#include "dataplane/config_internal.h"

#include <inttypes.h>
#include <string.h>

#define FIELD(name) offsetof(struct queue_config, name), sizeof(((struct queue_config *)0)->name), 1
#define FIELD_NS(name) \
    offsetof(struct queue_config, name), sizeof(((struct queue_config *)0)->name), 1000000
#define FIELD_NS_OF_S(name) \
    offsetof(struct queue_config, name), sizeof(((struct queue_config *)0)->name), 1000000000
#define ROUTE(name) offsetof(struct stack_route, name), sizeof(((struct stack_route *)0)->name), 1
#define ADDRESS(name) \
    offsetof(struct stack_address, name), sizeof(((struct stack_address *)0)->name), 1
#define NEIGHBOUR(name)                            \
    offsetof(struct stack_static_neighbour, name), \
        sizeof(((struct stack_static_neighbour *)0)->name), 1
#define NIC_ONLY CONFIG_NOT_LOOPBACK
/* A number that another file defines, as text. */
#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* clang-format off */
const struct config_key config_keys[] = {
    {"nic", "device", CONFIG_TEXT, CONFIG_REQUIRED, "", NULL, 1, 255, NULL, FIELD(device), 0,
     "`loopback`, a PCI address (`0000:03:00.0`), or a DPDK virtual device with its arguments (`net_tap0,iface=tap7`)"},
    {"nic", "queue", CONFIG_COUNT, 0, "", "0", 0, RS_QUEUES_MAX - 1, NULL, FIELD(queue_idx), 0,
     "which queue of the NIC this file is about; the files of one NIC number their queues from 0"},
    {"nic", "mtu_bytes", CONFIG_BYTES, NIC_ONLY | CONFIG_PER_NIC, "bytes", "1500", 576, 9216, NULL, FIELD(mtu_bytes), 0,
     "largest IP packet, without Ethernet header; the same on every host of the network"},
    {"nic", "mac", CONFIG_MAC, NIC_ONLY | CONFIG_PER_NIC, "", NULL, 0, 0, NULL, FIELD(mac), offsetof(struct queue_config, mac_set),
     "MAC address; without it the NIC's own. Required where the kernel sees the NIC too (net_tap, net_af_packet, net_af_xdp, net_pcap)"},
    {"nic", "vlan", CONFIG_COUNT, NIC_ONLY | CONFIG_PER_NIC, "", "0", 0, 4094, NULL, FIELD(stack.vlan_id), 0,
     "802.1Q VLAN that all of this NIC's frames are in; what is untagged or in another one is dropped. 0: frames have no tag, or one of VLAN 0, which only carries a priority"},
    {"nic", "vlan_priority", CONFIG_CHOICE, NIC_ONLY | CONFIG_PER_NIC, "", "none", 0, 0, "none|1|2|3|4|5|6|7|tos", FIELD(stack.vlan_priority), 0,
     "priority in the tags of sent frames; `tos`: the upper three bits of a packet's TOS, 0 for ARP"},
    {"nic", "rx_descriptors", CONFIG_COUNT, NIC_ONLY, "", "1024", 32, 32768, NULL, FIELD(rx_descriptors), 0,
     "length of the receive queue; the driver may round it"},
    {"nic", "tx_descriptors", CONFIG_COUNT, NIC_ONLY, "", "1024", 32, 32768, NULL, FIELD(tx_descriptors), 0,
     "length of the transmit queue; the driver may round it"},
    {"nic", "mbufs", CONFIG_COUNT, NIC_ONLY, "", "8192", 512, 1048576, NULL, FIELD(mbufs), 0,
     "packet buffers of this queue; at least both queues and 256"},
    {"nic", "promiscuous", CONFIG_CHOICE, NIC_ONLY | CONFIG_PER_NIC, "", "no", 0, 0, "no|yes", FIELD(promiscuous), 0,
     "take in every frame the NIC sees, not only those for us"},
    {"nic", "offload", CONFIG_CHOICE, NIC_ONLY | CONFIG_PER_NIC, "", "all", 0, 0, "none|checksum|all", FIELD(offload), 0,
     "what the NIC does where it can: checksums, and with `all` cutting TCP segments too; the rest is done in software. The log says at the start what it is"},
    {"nic", "timestamps", CONFIG_CHOICE, NIC_ONLY | CONFIG_PER_NIC, "", "nic", 0, 0, "software|nic", FIELD(timestamps), 0,
     "who says when a datagram came (SO_TIMESTAMP): `nic`, the NIC where its driver stamps frames; `software`, the poll loop when it takes the frame. The log says at the start who does"},

    {"queue", "core", CONFIG_CORE, 0, "", "none", 0, 1023, NULL, FIELD(core), 0,
     "processor the poll loop is pinned to; `none`: the system chooses"},
    {"queue", "idle", CONFIG_CHOICE, 0, "", "spin", 0, 0, "spin|yield", FIELD(yield), 0,
     "what an idle poll loop does: `spin` owns its core, `yield` lets others run on it"},
    {"queue", "sockets", CONFIG_COUNT, 0, "", "16384", 16, 1048576, NULL, FIELD(stack.sockets_max), 0,
     "sockets of all sessions on this queue; sizes its lookup table"},

    {"ip", "address", CONFIG_PREFIX, CONFIG_NOT_LOOPBACK_REQUIRED | CONFIG_PER_NIC, "", NULL, 0, 0, NULL, FIELD(stack.ip_be32),
     offsetof(struct queue_config, stack.prefix_len),
     "own IPv4 address and prefix length; one that no other host and no kernel uses"},
    {"ip", "gateway", CONFIG_ADDRESS, NIC_ONLY | CONFIG_PER_NIC, "", NULL, 0, 0, NULL, FIELD(stack.gateway_be32), 0,
     "where packets for other networks go; without it they are refused (network unreachable)"},
    {"ip", "reassemblies", CONFIG_COUNT, NIC_ONLY, "", "64", 0, 1024, NULL, FIELD(stack.reassemblies_max), 0,
     "datagrams whose fragments are waited for at a time, 66 KiB each, a quarter of them for one sender; the oldest is given up for a new one. 0: fragments are refused"},

    {"arp", "entries", CONFIG_COUNT, NIC_ONLY, "", "1024", 16, 65536, NULL, FIELD(stack.neighbours_max), 0,
     "neighbours remembered at a time"},
    {"arp", "reachable_ms", CONFIG_TIME, NIC_ONLY, "ms", "30 s", 1000, 3600000, NULL, FIELD_NS(stack.arp_reachable_ns), 0,
     "age at which a neighbour is asked again before it is trusted further"},
    {"arp", "retry_ms", CONFIG_TIME, NIC_ONLY, "ms", "1 s", 10, 60000, NULL, FIELD_NS(stack.arp_retry_ns), 0,
     "between two requests to a neighbour that does not answer"},
    {"arp", "tries", CONFIG_COUNT, NIC_ONLY, "", "3", 1, 20, NULL, FIELD(stack.arp_tries), 0,
     "requests before a neighbour counts as dead"},

    {"igmp", "version", CONFIG_CHOICE, NIC_ONLY, "", "3", 0, 0, "3|2", FIELD(stack.igmp_version), 0,
     "3 falls back to 2 when a version 2 querier is heard; 2 never sends 3"},
    {"igmp", "memberships", CONFIG_COUNT, 0, "", "1024", 1, 65536, NULL, FIELD(stack.memberships_max), 0,
     "multicast memberships of all sockets on this queue"},

    {"tcp", "connections", CONFIG_COUNT, NIC_ONLY, "", "4096", 0, 1048576, NULL, FIELD(stack.tcp.connections_max), 0,
     "TCP connections of all sessions on this queue; 0: none, segments are answered with resets"},
    {"tcp", "half_open", CONFIG_COUNT, NIC_ONLY, "", "1024", 16, 1048576, NULL, FIELD(stack.tcp.requests_max), 0,
     "connections that a peer's SYN has begun and nothing confirmed yet; more SYNs are answered with cookies"},
    {"tcp", "time_waits", CONFIG_COUNT, NIC_ONLY, "", "16384", 16, 1048576, NULL, FIELD(stack.tcp.time_waits_max), 0,
     "closed connections remembered for late segments; the oldest is given up for a new one"},
    {"tcp", "congestion", CONFIG_CHOICE, NIC_ONLY, "", "cubic", TCP_CONGESTION_CUBIC, 0, "cubic|none", FIELD(stack.tcp.congestion), 0,
     "congestion control; `none` is for private links only: losses are repaired, the rate stays"},
    {"tcp", "ecn", CONFIG_CHOICE, NIC_ONLY, "", "passive", TCP_ECN_OFF, 0, "off|passive|on", FIELD(stack.tcp.ecn), 0,
     "explicit congestion notification: `passive` when the peer asks for it, `on` asks as well"},
    {"tcp", "ack", CONFIG_CHOICE, NIC_ONLY, "", "delayed", 0, 0, "delayed|immediate", FIELD(stack.tcp.ack_immediate), 0,
     "when data is acknowledged; with `spin_us = forever` (the latency profile) the default is `immediate`"},
    {"tcp", "initial_window", CONFIG_COUNT, NIC_ONLY, "segments", TEXT_OF(TCP_DEFAULT_INITIAL_WINDOW), 1, 64, NULL, FIELD(stack.tcp.initial_window), 0,
     "sent on a fresh connection before the first acknowledgment"},
    {"tcp", "rto_min_ms", CONFIG_TIME, NIC_ONLY, "ms", TEXT_OF(TCP_DEFAULT_RTO_MIN_MS) " ms", 1, 1000, NULL, FIELD_NS(stack.tcp.rto_min_ns), 0,
     "shortest retransmission timeout; longer than the peers delay their acknowledgments"},
    {"tcp", "delayed_ack_ms", CONFIG_TIME, NIC_ONLY, "ms", TEXT_OF(TCP_DEFAULT_DELAYED_ACK_MS) " ms", 1, 500, NULL, FIELD_NS(stack.tcp.delayed_ack_ns), 0,
     "longest delay of an acknowledgment"},
    {"tcp", "time_wait_s", CONFIG_TIME, NIC_ONLY, "s", TEXT_OF(TCP_DEFAULT_TIME_WAIT_S) " s", 1, 600, NULL, FIELD_NS_OF_S(stack.tcp.time_wait_ns), 0,
     "how long a closed connection is remembered"},
    {"tcp", "fin_wait_s", CONFIG_TIME, NIC_ONLY, "s", TEXT_OF(TCP_DEFAULT_FIN_WAIT_S) " s", 1, 600, NULL, FIELD_NS_OF_S(stack.tcp.fin_wait_ns), 0,
     "how long a closed socket's connection waits for the peer to close, too"},
    {"tcp", "syn_retries", CONFIG_COUNT, NIC_ONLY, "", TEXT_OF(TCP_DEFAULT_SYN_TRIES), 1, 15, NULL, FIELD(stack.tcp.syn_tries), 0,
     "SYNs, or their answers, sent again before a handshake is given up; the time doubles from 1 s on"},
    {"tcp", "retries", CONFIG_COUNT, NIC_ONLY, "", TEXT_OF(TCP_DEFAULT_DATA_TRIES), 1, 30, NULL, FIELD(stack.tcp.data_tries), 0,
     "timeouts in a row before a connection is given up; the time doubles up to 120 s"},
    {"tcp", "orphan_retries", CONFIG_COUNT, NIC_ONLY, "", TEXT_OF(TCP_DEFAULT_ORPHAN_TRIES), 1, 30, NULL, FIELD(stack.tcp.orphan_tries), 0,
     "the same when the socket is closed and its program may be gone"},

    {"address N", "address", CONFIG_PREFIX, CONFIG_REQUIRED, "", NULL, 0, 0, NULL, ADDRESS(ip_be32),
     offsetof(struct stack_address, prefix_len), "one more own IPv4 address of this NIC and its prefix length, in the network of another one or not"},

    {"route N", "prefix", CONFIG_NETWORK, CONFIG_REQUIRED | NIC_ONLY, "", NULL, 0, 0, NULL, ROUTE(prefix_be32),
     offsetof(struct stack_route, prefix_len), "destination network"},
    {"route N", "gateway", CONFIG_ADDRESS, NIC_ONLY, "", NULL, 0, 0, NULL, ROUTE(gateway_be32), 0,
     "next hop; without it the network is on this link"},
    {"route N", "source", CONFIG_ADDRESS, NIC_ONLY, "", NULL, 0, 0, NULL, ROUTE(source_be32), 0,
     "own address that a socket without one sends from to there; without it the one in whose network the next hop is"},

    {"neighbour N", "address", CONFIG_ADDRESS, CONFIG_REQUIRED | NIC_ONLY, "", NULL, 0, 0, NULL, NEIGHBOUR(ip_be32), 0,
     "IPv4 address of a host on this link that shall never be asked by ARP"},
    {"neighbour N", "mac", CONFIG_MAC, CONFIG_REQUIRED | NIC_ONLY, "", NULL, 0, 0, NULL, NEIGHBOUR(mac), 0,
     "its MAC address"},

    {"instance", "name", CONFIG_NAME, CONFIG_PER_PROCESS, "", "default", 1, 31, NULL, FIELD(instance), 0,
     "what clients call this dataplane (`RINGSOCK_INSTANCE`); the same in all files of one process"},
    {"instance", "spin_us", CONFIG_SPIN, CONFIG_PER_PROCESS, "us", "50", 0, 1000000, NULL, FIELD(spin_us), 0,
     "how long a client's blocking call spins before it sleeps; `forever`: it never sleeps"},
    {"instance", "client_idle", CONFIG_CHOICE, CONFIG_PER_PROCESS, "", "spin", 0, 0, "spin|yield", FIELD(client_yield), 0,
     "what a spinning client does between looks: `yield` where programs and poll loop share cores"},

    {"access", "users", CONFIG_TEXT, CONFIG_PER_PROCESS, "", NULL, 1, 255, NULL, FIELD(access.users), 0,
     "Linux: who may attach besides root and the user who runs the dataplane: names or numeric ids, separated by commas"},
    {"access", "groups", CONFIG_TEXT, CONFIG_PER_PROCESS, "", NULL, 1, 255, NULL, FIELD(access.groups), 0,
     "Linux: groups whose members may attach, primary or supplementary: names or numeric ids, separated by commas"},
    {"access", "security", CONFIG_TEXT, CONFIG_PER_PROCESS, "", NULL, 1, 255, NULL, FIELD(access.security), 0,
     "Windows: who may attach besides the user who runs the dataplane, as an access list in SDDL such as D:(A;;GRGW;;;BU); without it Administrators and SYSTEM"},

    {"limits", "sessions", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "64", 1, 1024, NULL, FIELD(limit_sessions), 0,
     "attached client processes; the same in all files of one process"},
    {"limits", "sockets", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "1024", 1, RS_SOCKETS_MAX, NULL, FIELD(limit_sockets), 0,
     "sockets of one session"},
    {"limits", "channels", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "32", 1, RS_CHANNELS_MAX, NULL, FIELD(limit_channels), 0,
     "channels of one session: one for each of its threads and queues, then shared"},
    {"limits", "extents", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "64", 2, RS_EXTENTS_MAX, NULL, FIELD(limit_extents), 0,
     "pieces of memory of one session"},
    {"limits", "memberships", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "256", 0, 65536, NULL, FIELD(limit_memberships), 0,
     "multicast memberships of one session"},
    {"limits", "memory_bytes", CONFIG_BYTES, CONFIG_PER_PROCESS, "bytes", "1024 MiB", 1048576, 68719476736, NULL, FIELD(limit_memory_bytes), 0,
     "shared memory of one session, all extents"},
    {"limits", "slots_per_poll", CONFIG_COUNT, CONFIG_PER_PROCESS, "", "16", 1, 4096, NULL, FIELD(slots_per_poll), 0,
     "requests and datagrams taken from one session before the next has its turn, a quarter of it while several are busy; each of its channels has an equal share first"},
    {"limits", "bytes_per_poll", CONFIG_BYTES, CONFIG_PER_PROCESS, "bytes", "16 KiB", 4096, 16777216, NULL, FIELD(bytes_per_poll), 0,
     "payload taken from one session before the next has its turn, a quarter of it while several are busy"},
    {"limits", "recv_ring_bytes", CONFIG_BYTES, CONFIG_PER_PROCESS | CONFIG_POWER_OF_TWO, "bytes", "256 KiB", 4096, 67108864, NULL,
     FIELD(recv_ring_bytes), 0, "receive ring of a socket that asks for nothing else"},
    {"limits", "send_ring_bytes", CONFIG_BYTES, CONFIG_PER_PROCESS | CONFIG_POWER_OF_TWO, "bytes", "128 KiB", 4096, 67108864, NULL,
     FIELD(send_ring_bytes), 0, "send ring of a socket that asks for nothing else"},
    {"limits", "recv_ring_max_bytes", CONFIG_BYTES, CONFIG_PER_PROCESS | CONFIG_POWER_OF_TWO, "bytes", "16 MiB", 4096, 67108864, NULL,
     FIELD(recv_ring_max_bytes), 0, "largest receive ring that SO_RCVBUF can ask for"},
    {"limits", "send_ring_max_bytes", CONFIG_BYTES, CONFIG_PER_PROCESS | CONFIG_POWER_OF_TWO, "bytes", "16 MiB", 4096, 67108864, NULL,
     FIELD(send_ring_max_bytes), 0, "largest send ring that SO_SNDBUF can ask for"},

    {"eal", "args", CONFIG_TEXT, NIC_ONLY, "", NULL, 1, 255, NULL, FIELD(eal_args), 0,
     "further arguments of DPDK's EAL, separated by blanks, after those ringsockd composes"},

    {"log", "level", CONFIG_CHOICE, CONFIG_PER_PROCESS, "", "info", 0, 0, "error|warning|info|debug", FIELD(log_level), 0,
     "least important line still written; the same in all files of one process"},
};
/* clang-format on */
const uint32_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

const struct config_numbered config_numbered_sections[] = {
    {"address", STACK_ADDRESSES_MAX - 1, offsetof(struct queue_config, stack.more),
     sizeof(struct stack_address), offsetof(struct queue_config, stack.more_count)},
    {"route", STACK_ROUTES_MAX, offsetof(struct queue_config, stack.routes),
     sizeof(struct stack_route), offsetof(struct queue_config, stack.route_count)},
    {"neighbour", STACK_STATIC_NEIGHBOURS_MAX, offsetof(struct queue_config, stack.neighbours),
     sizeof(struct stack_static_neighbour), offsetof(struct queue_config, stack.neighbour_count)},
};
const uint32_t config_numbered_count =
    sizeof(config_numbered_sections) / sizeof(config_numbered_sections[0]);

/* "no|yes" as "no or yes", "a|b|c" as "a, b or c". */
static void choices_text(const char *choices, char *out, size_t bytes)
{
    const char *last = strrchr(choices, '|');
    size_t used = 0;
    for (const char *c = choices; *c != '\0' && used + 5 < bytes; c++) {
        if (*c != '|') {
            out[used++] = *c;
            continue;
        }
        used += (size_t)snprintf(out + used, bytes - used, "%s", c == last ? " or " : ", ");
    }
    out[used] = '\0';
}

void config_key_range(const struct config_key *key, char *out, size_t bytes)
{
    const char *space = key->unit[0] != '\0' ? " " : "";
    const char *power = key->flags & CONFIG_POWER_OF_TWO ? ", a power of two" : "";
    switch (key->type) {
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_TIME:
    case CONFIG_SPIN:
    case CONFIG_CORE:
        (void)snprintf(out, bytes, "%" PRIu64 " to %" PRIu64 "%s%s%s%s", key->min, key->max, space,
                       key->unit, power,
                       key->type == CONFIG_SPIN   ? ", or forever"
                       : key->type == CONFIG_CORE ? ", or none"
                                                  : "");
        break;
    case CONFIG_CHOICE:
        choices_text(key->choices, out, bytes);
        break;
    case CONFIG_NAME:
        (void)snprintf(out, bytes, "%" PRIu64 " to %" PRIu64 " letters, digits, '_' or '-'",
                       key->min, key->max);
        break;
    case CONFIG_TEXT:
        (void)snprintf(out, bytes, "%" PRIu64 " to %" PRIu64 " characters", key->min, key->max);
        break;
    case CONFIG_MAC:
        (void)snprintf(out, bytes, "a unicast MAC such as 02:00:00:00:00:01");
        break;
    case CONFIG_ADDRESS:
        (void)snprintf(out, bytes, "a host address such as 192.0.2.1");
        break;
    case CONFIG_PREFIX:
        (void)snprintf(out, bytes, "an address and prefix length such as 192.0.2.10/24");
        break;
    case CONFIG_NETWORK:
        (void)snprintf(out, bytes, "a network such as 198.51.100.0/24");
        break;
    }
}

void config_key_row(const struct config_key *key, char *out, size_t bytes)
{
    char range[128];
    config_key_range(key, range, sizeof(range));
    const char *value = key->default_text != NULL ? key->default_text
                        : key->flags & (CONFIG_REQUIRED | CONFIG_NOT_LOOPBACK_REQUIRED) ? "required"
                                                                                        : "none";
    (void)snprintf(out, bytes, "| `%s` | %s | %s | %s | %s%s |", key->key,
                   key->unit[0] != '\0' ? key->unit : "-", value, range, key->meaning,
                   key->flags & CONFIG_NOT_LOOPBACK ? ". Not with loopback"
                   : key->flags & CONFIG_NOT_LOOPBACK_REQUIRED
                       ? ". With loopback it may be left out"
                       : "");
}
