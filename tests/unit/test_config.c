/*
 * Configuration files, good and bad: each bad file must be refused with a message that names the
 * file, the section and the key (or the line), what was found and what would be right; several
 * mistakes give several messages; configs/README.md and the table of keys agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/config.h"
#include "dataplane/config_internal.h"

#define FILE_NAME "test_config.conf"
#define LOOPBACK  "[nic]\ndevice = loopback\n"
#define NULL_NIC  "[nic]\ndevice = net_null0\n"
#define IP        "[ip]\naddress = 192.0.2.10/24\n"
#define MORE      "[address 1]\naddress = 192.0.2.11/24\n"

static char messages[16384];

static void write_bytes(const char *name, const void *bytes, size_t count)
{
    FILE *out = fopen(name, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

/* Loads the bytes as a file; the complaints land in messages. */
static enum rs_status load_bytes(const void *bytes, size_t count, struct queue_config *config)
{
    write_bytes(FILE_NAME, bytes, count);
    FILE *errors = tmpfile();
    assert_non_null(errors);
    enum rs_status status = config_load(FILE_NAME, config, errors);
    rewind(errors);
    size_t got = fread(messages, 1, sizeof(messages) - 1, errors);
    messages[got] = '\0';
    (void)fclose(errors);
    (void)remove(FILE_NAME);
    return status;
}

static enum rs_status load_text(const char *text, struct queue_config *config)
{
    return load_bytes(text, strlen(text), config);
}

static uint32_t count_lines(const char *text)
{
    uint32_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

/* ---- good files ---- */

static void test_loopback_defaults(void **state)
{
    (void)state;
    struct queue_config config;
    assert_int_equal(load_text(LOOPBACK, &config), RS_OK);
    assert_string_equal(messages, "");
    assert_true(config.loopback);
    assert_int_equal(config.mtu_bytes, 65535);
    assert_int_equal(config.spin_us, 50);
    assert_int_equal(config.limit_sockets, 1024);
    assert_int_equal(config.limit_channels, 32);
    assert_int_equal(config.recv_ring_bytes, 256 * 1024);
    assert_int_equal(config.send_ring_bytes, 128 * 1024);
    assert_false(config.yield);
    assert_int_equal(config.core, -1);
    assert_string_equal(config.instance, "default");
    assert_int_equal(config.log_level, 2);
    assert_int_equal(config.stack.igmp_version, 3);
    assert_int_equal(config.stack.arp_reachable_ns, 30000000000ull);
    assert_int_equal(config.stack.ip_be32, 0);
}

static void check_every_tcp_key(const struct tcp_config *tcp)
{
    assert_int_equal(tcp->connections_max, 100000);
    assert_int_equal(tcp->requests_max, 77);
    assert_int_equal(tcp->time_waits_max, 78);
    assert_int_equal(tcp->congestion, TCP_CONGESTION_NONE);
    assert_int_equal(tcp->ecn, TCP_ECN_ON);
    assert_false(tcp->ack_immediate); /* said so, in spite of spin_us = forever */
    assert_int_equal(tcp->initial_window, 4);
    assert_int_equal(tcp->rto_min_ns, 5000000);
    assert_int_equal(tcp->delayed_ack_ns, 2000000);
    assert_int_equal(tcp->time_wait_ns, 120000000000ull);
    assert_int_equal(tcp->fin_wait_ns, 3000000000ull);
    assert_int_equal(tcp->syn_tries, 4);
    assert_int_equal(tcp->data_tries, 5);
    assert_int_equal(tcp->orphan_tries, 6);
}

static void test_every_key(void **state)
{
    (void)state;
    struct queue_config config;
    assert_int_equal(
        load_text("# all of it\r\n[nic]\r\ndevice = net_af_packet0,iface=eth0\r\nqueue = 0\r\n"
                  "mtu_bytes = 9000\nmac = 02-AB-cd-00-00-01 # own\nrx_descriptors = 512\n"
                  "tx_descriptors=256\nmbufs = 2048\npromiscuous = yes\noffload = checksum\n"
                  "[queue]\ncore = 1\nidle = yield\nsockets = 2048\n"
                  "[ip]\naddress = 192.0.2.10/24\ngateway = 192.0.2.1\n"
                  "[arp]\nentries = 64\nreachable_ms = 5 s\nretry_ms = 500 ms\ntries = 5\n"
                  "[igmp]\nversion = 2\nmemberships = 16\n"
                  "[tcp]\nconnections = 100000\nhalf_open = 77\ntime_waits = 78\n"
                  "congestion = none\necn = on\nack = delayed\ninitial_window = 4\n"
                  "rto_min_ms = 5\ndelayed_ack_ms = 2000 us\ntime_wait_s = 2 min\n"
                  "fin_wait_s = 3\nsyn_retries = 4\nretries = 5\norphan_retries = 6\n"
                  "[route 1]\nprefix = 198.51.100.0/24\ngateway = 192.0.2.2\n"
                  "[route 2]\nprefix = 203.0.113.0/28\n"
                  "[neighbour 1]\naddress = 192.0.2.20\nmac = 02:00:00:00:00:20\n"
                  "[instance]\nname = a_B-9\nspin_us = forever\nclient_idle = yield\n"
                  "[limits]\nsessions = 2\nsockets = 100\nchannels = 4\nextents = 8\n"
                  "memberships = 3\nslots_per_poll = 16\nbytes_per_poll = 1 MiB\n"
                  "recv_ring_bytes = 64 KiB\nsend_ring_bytes = 8192\nrecv_ring_max_bytes = 1MiB\n"
                  "send_ring_max_bytes = 1048576 B\n"
                  "[eal]\nargs = --log-level=8\n[log]\nlevel = debug",
                  &config),
        RS_OK);
    assert_string_equal(messages, "");
    static const uint8_t mac[6] = {0x02, 0xab, 0xcd, 0, 0, 1};
    assert_memory_equal(config.mac, mac, 6);
    assert_true(config.mac_set);
    assert_true(config.promiscuous);
    assert_int_equal(config.offload, CONFIG_OFFLOAD_CHECKSUM);
    assert_int_equal(config.mtu_bytes, 9000);
    assert_int_equal(config.stack.prefix_len, 24);
    assert_int_equal(((uint8_t *)&config.stack.ip_be32)[3], 10);
    assert_int_equal(config.stack.arp_reachable_ns, 5000000000ull);
    assert_int_equal(config.stack.arp_retry_ns, 500000000ull);
    assert_int_equal(config.stack.igmp_version, 2);
    assert_int_equal(config.stack.route_count, 2);
    assert_int_equal(config.stack.routes[0].prefix_len, 24);
    assert_int_equal(config.stack.routes[1].gateway_be32, 0);
    assert_int_equal(config.stack.neighbour_count, 1);
    assert_int_equal(config.stack.neighbours[0].mac[5], 0x20);
    check_every_tcp_key(&config.stack.tcp);
    assert_int_equal(config.spin_us, RS_SPIN_FOREVER);
    assert_int_equal(config.bytes_per_poll, 1048576);
    assert_int_equal(config.core, 1);
    assert_string_equal(config.eal_args, "--log-level=8");
    assert_int_equal(config.log_level, 3);
}

/* Linux's values; all fields but the secret and the ports, which are not the file's. */
/* The first one is [ip]'s; with loopback too. */
static void test_several_addresses(void **state)
{
    (void)state;
    static const char *const devices[] = {NULL_NIC, LOOPBACK};
    for (size_t i = 0; i < 2; i++) {
        char text[2048];
        struct queue_config config;
        size_t used = (size_t)snprintf(text, sizeof(text), "%s" IP, devices[i]);
        for (unsigned n = 1; n < STACK_ADDRESSES_MAX; n++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     "[address %u]\naddress = 198.51.100.%u/%u\n", n, 2 * n, n + 8);
        }
        if (load_text(text, &config) != RS_OK) {
            fail_msg("%s", messages);
        }
        assert_int_equal(stack_config_address_count(&config.stack), 16);
        assert_int_equal(stack_config_address(&config.stack, 0).ip_be32, config.stack.ip_be32);
        assert_int_equal(stack_config_address(&config.stack, 0).prefix_len, 24);
        for (uint32_t n = 1; n < STACK_ADDRESSES_MAX; n++) {
            const struct stack_address own = stack_config_address(&config.stack, n);
            assert_int_equal(((const uint8_t *)&own.ip_be32)[3], 2 * n);
            assert_int_equal(own.prefix_len, n + 8);
        }
    }
}

static void test_tcp_defaults(void **state)
{
    (void)state;
    struct queue_config config;
    const struct tcp_config *tcp = &config.stack.tcp;
    assert_int_equal(load_text(NULL_NIC IP, &config), RS_OK);
    assert_int_equal(tcp->connections_max, 4096);
    assert_int_equal(tcp->listeners_max, config.stack.sockets_max);
    assert_int_equal(tcp->requests_max, 1024);
    assert_int_equal(tcp->time_waits_max, 16384);
    assert_in_range(tcp->records_max, 4096, UINT32_MAX);
    assert_in_range(tcp->ranges_max, 1024, UINT32_MAX);
    assert_int_equal(tcp->congestion, TCP_CONGESTION_CUBIC);
    assert_int_equal(tcp->ecn, TCP_ECN_PASSIVE);
    assert_false(tcp->ack_immediate);
    assert_int_equal(tcp->initial_window, 10);
    assert_int_equal(tcp->rto_min_ns, 200000000);
    assert_int_equal(tcp->rto_max_ns, 120000000000ull);
    assert_int_equal(tcp->rto_initial_ns, 1000000000);
    assert_int_equal(tcp->delayed_ack_ns, 40000000);
    assert_int_equal(tcp->time_wait_ns, 60000000000ull);
    assert_int_equal(tcp->fin_wait_ns, 60000000000ull);
    assert_int_equal(tcp->syn_tries, 6);
    assert_int_equal(tcp->data_tries, 15);
    assert_int_equal(tcp->orphan_tries, 8);
    assert_null(tcp->ports_bound);
}

/* Clients that never sleep: the latency profile. */
static void test_tcp_ack_by_profile(void **state)
{
    (void)state;
    struct queue_config config;
    const char *latency = NULL_NIC IP "[instance]\nspin_us = forever\n";
    assert_int_equal(load_text(latency, &config), RS_OK);
    assert_true(config.stack.tcp.ack_immediate);
    assert_int_equal(load_text(NULL_NIC IP "[tcp]\nack = immediate\n", &config), RS_OK);
    assert_true(config.stack.tcp.ack_immediate);
}

/* No connections need no memory for what they would have; a loopback queue has no segments. */
static void test_tcp_off(void **state)
{
    (void)state;
    const char *texts[] = {NULL_NIC IP "[tcp]\nconnections = 0\n", LOOPBACK};
    for (size_t i = 0; i < 2; i++) {
        struct queue_config config;
        const struct tcp_config *tcp = &config.stack.tcp;
        assert_int_equal(load_text(texts[i], &config), RS_OK);
        assert_int_equal(tcp->connections_max | tcp->listeners_max | tcp->requests_max |
                             tcp->time_waits_max | tcp->records_max | tcp->ranges_max,
                         0);
    }
}

static void test_device_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        enum config_device_kind kind;
    } cases[] = {{"loopback", CONFIG_DEVICE_LOOPBACK},
                 {"0000:03:00.0", CONFIG_DEVICE_PCI},
                 {"03:00.1,arg=1", CONFIG_DEVICE_PCI},
                 {"net_null0", CONFIG_DEVICE_VIRTUAL},
                 {"net_ring0", CONFIG_DEVICE_VIRTUAL},
                 {"net_tap0,iface=t0", CONFIG_DEVICE_VIRTUAL_SHARED},
                 {"net_pcap0,iface=\\Device\\NPF_{1}", CONFIG_DEVICE_VIRTUAL_SHARED},
                 {"net_af_packet_a,iface=eth0", CONFIG_DEVICE_VIRTUAL_SHARED},
                 {"net_af_xdp0,iface=eth0", CONFIG_DEVICE_VIRTUAL_SHARED},
                 {"eth0", CONFIG_DEVICE_BAD},
                 {"net_", CONFIG_DEVICE_BAD},
                 {"net_ta p", CONFIG_DEVICE_BAD},
                 {"0000:03:00", CONFIG_DEVICE_BAD},
                 {"0000:03:00.0x", CONFIG_DEVICE_BAD}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (config_device_kind(cases[i].device) != cases[i].kind) {
            fail_msg("%s: kind %d", cases[i].device, config_device_kind(cases[i].device));
        }
    }
}

/* ---- bad files: text, then what the messages must contain ---- */

struct bad {
    const char *text;
    const char *needles[4];
};

static const struct bad bad_files[] = {
    /* form */
    {"", {FILE_NAME, "[nic] device", "missing"}},
    {"# only a comment\n", {"[nic] device", "missing", "loopback"}},
    {"device = loopback\n", {FILE_NAME ":1:", "before the first section"}},
    {"[nic\ndevice = loopback\n", {FILE_NAME ":1:", "without ']'"}},
    {"[]\n" LOOPBACK, {FILE_NAME ":1:", "without a name"}},
    {"[ ]\n" LOOPBACK, {FILE_NAME ":1:", "without a name"}},
    {"[nic] x\ndevice = loopback\n", {FILE_NAME ":1:", "after ']'"}},
    {LOOPBACK "nonsense\n", {FILE_NAME ":3:", "'nonsense'", "key = value"}},
    {LOOPBACK "queue =\n", {FILE_NAME ":3:", "no value"}},
    {LOOPBACK "= 3\n", {FILE_NAME ":3:", "no key"}},
    {LOOPBACK "; comment\n", {FILE_NAME ":3:", "';'", "'#'"}},
    {LOOPBACK "queue = 0 ; comment\n", {FILE_NAME ":3:", "';' at column 11", "'#'"}},
    {LOOPBACK "[instance]\nname = a\\#b\n", {FILE_NAME ":4:", "no value can contain '#'"}},
    {LOOPBACK "[instance]\nname = caf\xc3\xa9\n", {FILE_NAME ":4:", "0xc3", "ASCII"}},
    {"\xef\xbb\xbf" LOOPBACK, {FILE_NAME, "byte order mark"}},
    /* sections and keys */
    {LOOPBACK "[nics]\n", {"[nics]", "unknown section", "instance"}},
    {LOOPBACK "[NIC]\n", {"[NIC]", "unknown section"}},
    {LOOPBACK "[route N]\nprefix = 10.0.0.0/8\n", {"[route N]", "[route 1]"}},
    {LOOPBACK "[queue]\nidle = spin\n[queue]\ncore = 1\n", {"[queue]", "stands twice"}},
    {LOOPBACK "[queue]\nspeed = 9\n", {"[queue] speed = 9", "unknown key", "idle"}},
    {LOOPBACK "spin_us = 9\n", {"[nic] spin_us = 9", "belongs in [instance]"}},
    {LOOPBACK "[queue]\nidle = spin\nidle = spin\n", {"[queue] idle = spin", "given twice"}},
    /* device */
    {"[nic]\nqueue = 0\n", {"[nic] device", "missing"}},
    {"[nic]\ndevice = eth0\n" IP, {"[nic] device = eth0", "net_af_packet0,iface=eth0"}},
    {NULL_NIC, {"[ip] address", "missing", "192.0.2.10/24"}},
    {"[nic]\ndevice = net_tap0\n" IP, {"[nic] mac", "missing", "kernel"}},
    {"[nic]\ndevice = net_pcap0,iface=eth0\n" IP, {"[nic] mac", "02:52:53:00:00:01"}},
    {LOOPBACK "mac = 02:00:00:00:00:01\n", {"[nic] mac", "loopback"}},
    {LOOPBACK "mtu_bytes = 1500\n", {"[nic] mtu_bytes", "loopback"}},
    {LOOPBACK "[route 1]\nprefix = 10.0.0.0/8\n", {"[route N]", "loopback"}},
    {LOOPBACK "[eal]\nargs = -v\n", {"[eal] args", "loopback"}},
    /* numbers */
    {LOOPBACK "queue = 8\n", {"[nic] queue = 8", "out of range", "0 to 7"}},
    {LOOPBACK "queue = -1\n", {"[nic] queue = -1", "not a whole number"}},
    {LOOPBACK "queue = 0x1\n", {"[nic] queue = 0x1", "0 to 7"}},
    {LOOPBACK "queue = 1.5\n", {"[nic] queue = 1.5", "not a whole number"}},
    {LOOPBACK "[queue]\ncore = all\n", {"[queue] core = all", "or none"}},
    {LOOPBACK "[queue]\ncore = 99999999999999999999999\n", {"[queue] core", "0 to 1023"}},
    {NULL_NIC "mtu_bytes = 99999\n" IP, {"[nic] mtu_bytes = 99999", "576 to 9216 bytes"}},
    {NULL_NIC "mbufs = 600\n" IP, {"[nic] mbufs = 600", "at least 2304"}},
    {LOOPBACK "[instance]\nspin_us = 2 s\n", {"[instance] spin_us = 2 s", "1000000 us"}},
    {LOOPBACK "[instance]\nspin_us = never\n", {"[instance] spin_us = never", "forever"}},
    {LOOPBACK "[instance]\nspin_us = 5 KiB\n", {"spin_us = 5 KiB", "us, ms, s or min"}},
    {LOOPBACK "[limits]\nrecv_ring_bytes = 256 KB\n", {"recv_ring_bytes = 256 KB", "KiB"}},
    {LOOPBACK "[limits]\nrecv_ring_bytes = 100000\n", {"[limits] recv_ring_bytes", "power of two"}},
    {LOOPBACK "[limits]\nsend_ring_bytes = 32 MiB\n",
     {"[limits] send_ring_bytes", "send_ring_max_bytes = 16777216"}},
    {LOOPBACK "[limits]\nrecv_ring_max_bytes = 64 KiB\n",
     {"[limits] recv_ring_bytes = 262144", "recv_ring_max_bytes = 65536"}},
    {LOOPBACK "[limits]\nrecv_ring_bytes = 18446744073709551615 MiB\n", {"out of range"}},
    {LOOPBACK "[limits]\nsockets = 60000\n", {"[limits] sockets = 60000", "[queue] sockets"}},
    {LOOPBACK "[limits]\nchannels = 65\n", {"[limits] channels = 65", "1 to 64"}},
    {NULL_NIC IP "[arp]\nretry_ms = 10500 us\n", {"[arp] retry_ms", "whole number of the unit"}},
    {NULL_NIC IP "[arp]\ntries = 0\n", {"[arp] tries = 0", "1 to 20", "default 3"}},
    {NULL_NIC IP "[tcp]\nconnections = 2000000\n", {"[tcp] connections", "0 to 1048576"}},
    {NULL_NIC IP "[tcp]\nhalf_open = 0\n", {"[tcp] half_open = 0", "default 1024"}},
    {NULL_NIC IP "[tcp]\ninitial_window = 0\n", {"[tcp] initial_window", "1 to 64 segments"}},
    {NULL_NIC IP "[tcp]\ninitial_window = 256\n", {"[tcp] initial_window", "out of range"}},
    {NULL_NIC IP "[tcp]\nrto_min_ms = 2 s\n", {"[tcp] rto_min_ms = 2 s", "1 to 1000 ms"}},
    {NULL_NIC IP "[tcp]\ndelayed_ack_ms = 600\n", {"[tcp] delayed_ack_ms", "1 to 500 ms"}},
    {NULL_NIC IP "[tcp]\ntime_wait_s = 1500 ms\n", {"time_wait_s", "whole number of the unit"}},
    {NULL_NIC IP "[tcp]\nfin_wait_s = 0\n", {"[tcp] fin_wait_s = 0", "1 to 600 s"}},
    {NULL_NIC IP "[tcp]\nsyn_retries = 16\n", {"[tcp] syn_retries = 16", "1 to 15"}},
    {NULL_NIC IP "[tcp]\nretries = 0\n", {"[tcp] retries = 0", "1 to 30"}},
    {NULL_NIC IP "[tcp]\nback_log = 5\n", {"[tcp] back_log = 5", "half_open"}},
    {LOOPBACK "[tcp]\nconnections = 5\n", {"[tcp] connections", "loopback"}},
    /* words */
    {NULL_NIC IP "[tcp]\ncongestion = reno\n", {"[tcp] congestion = reno", "cubic or none"}},
    {NULL_NIC IP "[tcp]\necn = yes\n", {"[tcp] ecn = yes", "off, passive or on"}},
    {NULL_NIC IP "[tcp]\nack = late\n", {"[tcp] ack = late", "delayed or immediate"}},
    {LOOPBACK "[queue]\nidle = sleep\n", {"[queue] idle = sleep", "spin or yield"}},
    {LOOPBACK "[log]\nlevel = chatty\n", {"[log] level", "error, warning, info or debug"}},
    {NULL_NIC IP "[igmp]\nversion = 1\n", {"[igmp] version = 1", "3 or 2"}},
    {NULL_NIC "promiscuous = true\n" IP, {"[nic] promiscuous = true", "no or yes"}},
    {NULL_NIC "offload = tso\n" IP, {"[nic] offload = tso", "none, checksum or all"}},
    {LOOPBACK "[instance]\nname = a/b\n", {"[instance] name = a/b", "letters, digits"}},
    {LOOPBACK "[instance]\nname = abcdefghijklmnopqrstuvwxyz0123456789\n",
     {"[instance] name", "31"}},
    /* addresses */
    {NULL_NIC "[ip]\naddress = 192.0.2.10\n", {"[ip] address = 192.0.2.10", "prefix length"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.256/24\n", {"[ip] address", "192.0.2.10/24"}},
    {NULL_NIC "[ip]\naddress = 192.0.02.1/24\n", {"[ip] address", "not an IPv4 address"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.10/33\n", {"[ip] address", "0 to 32"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.0/24\n", {"[ip] address", "network's own"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.255/24\n", {"[ip] address", "broadcast"}},
    {NULL_NIC "[ip]\naddress = 224.0.0.5/24\n", {"[ip] address", "multicast"}},
    {NULL_NIC "[ip]\naddress = 127.0.0.2/8\n", {"[ip] address", "127.0.0.0/8"}},
    {NULL_NIC "[ip]\naddress = 0.0.0.0/24\n", {"[ip] address", "network 0"}},
    {NULL_NIC "[ip]\naddress = 255.255.255.255/32\n", {"[ip] address", "reserved or broadcast"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.10/0\n", {"[ip] address", "whole Internet"}},
    {NULL_NIC IP "gateway = 198.51.100.1\n", {"[ip] gateway = 198.51.100.1", "192.0.2.10/24"}},
    {NULL_NIC IP "gateway = 192.0.2.10\n", {"[ip] gateway = 192.0.2.10", "itself"}},
    {NULL_NIC IP "gateway = 192.0.2.255\n", {"[ip] gateway = 192.0.2.255", "broadcast"}},
    {NULL_NIC IP "gateway = router\n", {"[ip] gateway = router", "not an IPv4 address"}},
    {NULL_NIC IP "[route 1]\nprefix = 10.0.0.1/8\n", {"[route 1] prefix", "behind the prefix"}},
    {NULL_NIC IP "[route 1]\ngateway = 192.0.2.1\n", {"[route 1] prefix", "missing"}},
    {NULL_NIC IP "[route 17]\nprefix = 10.0.0.0/8\n", {"[route 17]", "[route 16]"}},
    {NULL_NIC IP "[route 0]\nprefix = 10.0.0.0/8\n", {"[route 0]", "[route 1]"}},
    {NULL_NIC IP "[route 1]\nprefix = 10.0.0.0/8\n[route 2]\nprefix = 10.0.0.0/8\n",
     {"[route N] prefix = 10.0.0.0/8", "two routes"}},
    {NULL_NIC IP "[route 1]\nprefix = 10.0.0.0/8\ngateway = 10.0.0.1\n",
     {"[route N] gateway = 10.0.0.1", "not in the network"}},
    {NULL_NIC IP "[neighbour 1]\naddress = 192.0.2.20\n", {"[neighbour 1] mac", "missing"}},
    {NULL_NIC IP "[neighbour 1]\naddress = 192.0.3.20\nmac = 02:00:00:00:00:20\n",
     {"[neighbour N] address = 192.0.3.20", "not in the network"}},
    /* several addresses */
    {NULL_NIC IP "[address 1]\n", {"[address 1] address", "missing"}},
    {NULL_NIC IP "[address 16]\naddress = 198.51.100.1/24\n", {"[address 16]", "[address 15]"}},
    {NULL_NIC IP "[address 1]\naddress = 198.51.100.0/24\n", {"[address 1]", "network's own"}},
    {NULL_NIC IP "[address 1]\naddress = 198.51.100.255/24\n", {"[address 1]", "broadcast"}},
    {NULL_NIC IP "[address 1]\naddress = 127.0.0.2/8\n", {"[address 1]", "127.0.0.0/8"}},
    {NULL_NIC IP "[address 1]\naddress = 224.0.0.9/24\n", {"[address 1]", "multicast"}},
    {NULL_NIC IP "[address 1]\naddress = 192.0.2.10/24\n",
     {"[address N] address = 192.0.2.10/24", "[ip] has this address too"}},
    {NULL_NIC IP "[address 1]\naddress = 10.0.0.1/8\n[address 2]\naddress = 10.0.0.1/16\n",
     {"[address N] address = 10.0.0.1/16", "[address N] has this address too"}},
    {NULL_NIC IP "[address 1]\naddress = 192.0.2.255/23\n",
     {"[address N] address = 192.0.2.255/23", "broadcast address of the network of [ip]",
      "192.0.2.10/24"}},
    {NULL_NIC "[ip]\naddress = 192.0.2.128/24\n[address 1]\naddress = 192.0.2.140/25\n",
     {"[ip] address = 192.0.2.128/24", "own or the broadcast", "[address N] address 192.0.2.140"}},
    {LOOPBACK "[address 1]\naddress = 192.0.2.10/24\n", {"[ip] address", "missing", "first"}},
    {NULL_NIC IP "gateway = 198.51.100.1\n[address 1]\naddress = 10.0.0.1/8\n",
     {"[ip] gateway = 198.51.100.1", "192.0.2.10/24 or of one of [address N]"}},
    {NULL_NIC IP "gateway = 10.0.0.1\n[address 1]\naddress = 10.0.0.1/8\n",
     {"[ip] gateway = 10.0.0.1", "itself"}},
    {NULL_NIC IP "gateway = 10.255.255.255\n[address 1]\naddress = 10.0.0.1/8\n",
     {"[ip] gateway = 10.255.255.255", "broadcast"}},
    {NULL_NIC IP "[route 1]\nprefix = 10.0.0.0/8\nsource = 192.0.2.11\n",
     {"[route N] source = 192.0.2.11", "no address of this NIC"}},
    {LOOPBACK "[route 1]\nprefix = 10.0.0.0/8\nsource = 192.0.2.11\n", {"[route N]", "loopback"}},
    {NULL_NIC "mac = 01:00:5e:00:00:01\n" IP, {"[nic] mac", "group address"}},
    {NULL_NIC "mac = 00:00:00:00:00:00\n" IP, {"[nic] mac", "all zero"}},
    {NULL_NIC "mac = 02:00:00:00:01\n" IP, {"[nic] mac", "02:00:00:00:00:01"}},
    {NULL_NIC "mac = 0200.0000.0001\n" IP, {"[nic] mac = 0200.0000.0001", "not a MAC"}},
};

static void test_bad_files(void **state)
{
    (void)state;
    const size_t count = sizeof(bad_files) / sizeof(bad_files[0]);
    assert_true(count >= 40);
    for (size_t i = 0; i < count; i++) {
        struct queue_config config;
        enum rs_status status = load_text(bad_files[i].text, &config);
        if (status != RS_CONFIG) {
            fail_msg("case %zu was taken: %s", i, bad_files[i].text);
        }
        if (strncmp(messages, FILE_NAME, strlen(FILE_NAME)) != 0) {
            fail_msg("case %zu does not name the file: %s", i, messages);
        }
        for (size_t n = 0; n < 4 && bad_files[i].needles[n] != NULL; n++) {
            if (strstr(messages, bad_files[i].needles[n]) == NULL) {
                fail_msg("case %zu: '%s' is not in: %s", i, bad_files[i].needles[n], messages);
            }
        }
    }
    print_message("%u bad files refused\n", (unsigned int)count);
}

static void test_all_complaints_are_printed(void **state)
{
    (void)state;
    struct queue_config config;
    assert_int_equal(load_text("[nic]\ndevice = eth0\nqueue = 9\n[queue]\nidle = doze\n[foo]\n"
                               "[ip]\naddress = 1.2.3\n[limits]\nsockets = 0\n",
                               &config),
                     RS_CONFIG);
    assert_non_null(strstr(messages, "[nic] device = eth0"));
    assert_non_null(strstr(messages, "[nic] queue = 9"));
    assert_non_null(strstr(messages, "[queue] idle = doze"));
    assert_non_null(strstr(messages, "[foo]"));
    assert_non_null(strstr(messages, "[ip] address = 1.2.3"));
    assert_non_null(strstr(messages, "[limits] sockets = 0"));
    assert_int_equal(count_lines(messages), 6);
}

/* What rte_cfgfile would cut or swallow silently. */
static void test_long_and_binary(void **state)
{
    (void)state;
    struct queue_config config;
    static char text[CONFIG_FILE_MAX_BYTES + 200];

    (void)snprintf(text, sizeof(text), LOOPBACK "[instance]\nname = %0300d\n", 1);
    assert_int_equal(load_text(text, &config), RS_CONFIG);
    assert_non_null(strstr(messages, FILE_NAME ":4: a key of 4 and a value of 300"));
    (void)snprintf(text, sizeof(text), LOOPBACK "[instance]\n%0100d = 1\n", 1);
    assert_int_equal(load_text(text, &config), RS_CONFIG);
    assert_non_null(strstr(messages, FILE_NAME ":4: a key of 100"));
    (void)snprintf(text, sizeof(text), LOOPBACK "[%0100d]\n", 1);
    assert_int_equal(load_text(text, &config), RS_CONFIG);
    assert_non_null(strstr(messages, FILE_NAME ":3: a section name of 100"));
    (void)snprintf(text, sizeof(text), LOOPBACK "#%01000d\n", 1);
    assert_int_equal(load_text(text, &config), RS_CONFIG);
    assert_non_null(strstr(messages, FILE_NAME ":3: a line of 1001"));

    static const char nul[] = LOOPBACK "\0[queue]\n";
    assert_int_equal(load_bytes(nul, sizeof(nul) - 1, &config), RS_CONFIG);
    assert_non_null(strstr(messages, "NUL"));
    memset(text, '\n', sizeof(text));
    assert_int_equal(load_bytes(text, sizeof(text), &config), RS_CONFIG);
    assert_non_null(strstr(messages, "longer than 65536 bytes"));
    static const char escape[] = LOOPBACK "\033[2J = 1\n";
    assert_int_equal(load_bytes(escape, sizeof(escape) - 1, &config), RS_CONFIG);
    assert_null(strchr(messages, '\033'));
}

static void test_unreadable(void **state)
{
    (void)state;
    struct queue_config config;
    FILE *errors = tmpfile();
    assert_non_null(errors);
    assert_int_equal(config_load("no-such-file.conf", &config, errors), RS_CONFIG);
    assert_int_equal(config_load(".", &config, errors), RS_CONFIG);
    char path[400];
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(config_load(path, &config, errors), RS_CONFIG);
    rewind(errors);
    messages[fread(messages, 1, sizeof(messages) - 1, errors)] = '\0';
    (void)fclose(errors);
    assert_non_null(strstr(messages, "no-such-file.conf: cannot be opened"));
    assert_int_equal(count_lines(messages), 3);
}

/* ---- several files ---- */

static void check_set_case(const char *a, const char *b, const char *needle)
{
    struct queue_config configs[2];
    assert_int_equal(load_text(a, &configs[0]), RS_OK);
    assert_int_equal(load_text(b, &configs[1]), RS_OK);
    (void)snprintf(configs[0].file, sizeof(configs[0].file), "first.conf");
    FILE *errors = tmpfile();
    assert_non_null(errors);
    enum rs_status status = config_check_set(configs, 2, errors);
    rewind(errors);
    messages[fread(messages, 1, sizeof(messages) - 1, errors)] = '\0';
    (void)fclose(errors);
    if (needle == NULL) {
        assert_string_equal(messages, "");
        assert_int_equal(status, RS_OK);
        return;
    }
    assert_int_equal(status, RS_CONFIG);
    if (strstr(messages, needle) == NULL || strstr(messages, FILE_NAME ": [") != messages) {
        fail_msg("'%s' is not in: %s", needle, messages);
    }
}

static void test_sets(void **state)
{
    (void)state;
    const char *other_nic = "[nic]\ndevice = net_null1\n[ip]\naddress = 192.0.2.11/24\n";
    check_set_case(NULL_NIC IP, NULL_NIC "queue = 1\n" IP, NULL);
    check_set_case(NULL_NIC IP, other_nic, NULL);
    check_set_case(NULL_NIC IP, NULL_NIC "queue = 1\n" IP "[tcp]\nconnections = 9\n", NULL);
    check_set_case(NULL_NIC IP, NULL_NIC IP, "[nic] queue = 0: first.conf has the same queue");
    check_set_case(NULL_NIC IP, NULL_NIC "queue = 2\n" IP,
                   "[nic] queue = 2: the device has 2 files");
    check_set_case(NULL_NIC IP, NULL_NIC "queue = 1\nmtu_bytes = 9000\n" IP,
                   "[nic] mtu_bytes = 9000: first.conf has 1500");
    check_set_case(NULL_NIC IP, "[nic]\ndevice = net_null1\n" IP,
                   "[ip] address = 192.0.2.10/24: first.conf has the same");
    check_set_case(NULL_NIC IP MORE, other_nic,
                   "[ip] address = 192.0.2.11/24: first.conf has the "
                   "same address on another device");
    check_set_case(other_nic, NULL_NIC IP MORE, "[address N] address = 192.0.2.11/24: first.conf");
    check_set_case(NULL_NIC IP "[address 1]\naddress = 10.255.255.255/7\n",
                   "[nic]\ndevice = net_null1\n[ip]\naddress = 10.0.0.2/8\n",
                   "[ip] address = 10.0.0.2/8: first.conf has 10.255.255.255/7 on another device");
    check_set_case(NULL_NIC IP MORE, NULL_NIC "queue = 1\n" IP MORE, NULL);
    check_set_case(NULL_NIC IP MORE, NULL_NIC "queue = 1\n" IP,
                   "[address N]: first.conf has other");
    check_set_case(NULL_NIC IP MORE,
                   NULL_NIC "queue = 1\n" IP "[address 1]\naddress = 192.0.2.11/25\n",
                   "[address N]: first.conf has other");
    check_set_case(LOOPBACK "[instance]\nname = a\n", LOOPBACK "queue = 1\n[instance]\nname = b\n",
                   "[instance] name = b: first.conf has a");
    check_set_case(LOOPBACK, LOOPBACK "queue = 1\n[limits]\nsockets = 5\n",
                   "[limits] sockets = 5: first.conf has 1024");
    check_set_case(LOOPBACK "[queue]\ncore = 1\n", LOOPBACK "queue = 1\n[queue]\ncore = 1\n",
                   "[queue] core = 1: first.conf has the same core");
}

/* ---- who may attach ---- */

/* What one system has a use for, the other refuses. */
static void test_access(void **state)
{
    (void)state;
    struct queue_config config;
    const bool linux_names = load_text(LOOPBACK "[access]\nusers = 41001\n", &config) == RS_OK;
    if (linux_names) {
        assert_int_equal(config.access.uid_count, 1);
        assert_int_equal(config.access.uids[0], 41001);
        assert_int_equal(load_text(LOOPBACK "[access]\nusers = root\ngroups = 7, root\n", &config),
                         RS_OK);
        assert_int_equal(config.access.uid_count, 1);
        assert_int_equal(config.access.gid_count, 2);
        assert_int_equal(config.access.gids[0], 7);
        assert_int_equal(load_text(LOOPBACK "[access]\nusers = root, no-such-name-x\n"
                                            "groups = no-such-name-y\nsecurity = D:(A;;GA;;;BU)\n",
                                   &config),
                         RS_CONFIG);
        assert_non_null(strstr(messages, "[access] users = root, no-such-name-x: this host has no "
                                         "user 'no-such-name-x'; right is "));
        assert_non_null(strstr(messages, "[access] groups = no-such-name-y: this host has no "
                                         "group 'no-such-name-y'; right is "));
        assert_non_null(strstr(messages, "[access] security = D:(A;;GA;;;BU): is for Windows; "
                                         "right here are [access] users and groups"));
        assert_int_equal(count_lines(messages), 3);
        check_set_case(LOOPBACK, LOOPBACK "queue = 1\n[access]\nusers = 41001\n",
                       "[access] users = 41001: first.conf has none; all files of one process");
        return;
    }
    assert_non_null(strstr(messages, "[access] users = 41001: is for Linux; right here is "
                                     "[access] security"));
    assert_int_equal(load_text(LOOPBACK "[access]\ngroups = 7\n", &config), RS_CONFIG);
    assert_non_null(strstr(messages, "[access] groups = 7: is for Linux"));
    assert_int_equal(load_text(LOOPBACK "[access]\nsecurity = D:(A;;GA;;;BU)\n", &config), RS_OK);
    assert_string_equal(config.access.security, "D:(A;;GA;;;BU)");
    assert_int_equal(load_text(LOOPBACK "[access]\nsecurity = O:BAD:(A;;GA;;;BU)\n", &config),
                     RS_CONFIG);
    assert_non_null(strstr(messages, "[access] security = O:BAD:(A;;GA;;;BU): "));
    assert_non_null(strstr(messages, "right is an access list in SDDL"));
    check_set_case(LOOPBACK, LOOPBACK "queue = 1\n[access]\nsecurity = D:(A;;GA;;;BU)\n",
                   "[access] security = D:(A;;GA;;;BU): first.conf has none; all files of one");
}

/* ---- documentation ---- */

static void test_readme_has_every_key(void **state)
{
    (void)state;
    static char readme[65536];
    FILE *in = fopen(RINGSOCK_SOURCE_DIR "/configs/README.md", "rb");
    assert_non_null(in);
    readme[fread(readme, 1, sizeof(readme) - 1, in)] = '\0';
    (void)fclose(in);
    uint32_t rows = 0;
    const char *row_start = strstr(readme, "\n## [nic]");
    assert_non_null(row_start);
    while ((row_start = strstr(row_start + 1, "\n| `")) != NULL) {
        rows++;
    }
    for (uint32_t i = 0; i < config_key_count; i++) {
        char heading[80];
        char row[1024];
        (void)snprintf(heading, sizeof(heading), "\n## [%s]\n", config_keys[i].section);
        config_key_row(&config_keys[i], row, sizeof(row));
        const char *section = strstr(readme, heading);
        assert_non_null(section);
        const char *found = strstr(section, row);
        const char *next = strstr(section + 4, "\n## ");
        if (found == NULL || (next != NULL && found > next)) {
            fail_msg("configs/README.md lacks under [%s] the row\n%s", config_keys[i].section, row);
        }
    }
    assert_int_equal(rows, config_key_count);
}

static void test_example_files_are_good(void **state)
{
    (void)state;
    static const char *const names[] = {"loopback",     "tap",       "af_packet", "af_packet-q0",
                                        "af_packet-q1", "pcap-wine", "hardware"};
    struct queue_config configs[sizeof(names) / sizeof(names[0])];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[512];
        (void)snprintf(path, sizeof(path), RINGSOCK_SOURCE_DIR "/configs/%s.conf", names[i]);
        if (strlen(path) >= sizeof(configs[i].file)) {
            return;
        }
        assert_int_equal(config_load(path, &configs[i], stderr), RS_OK);
    }
    assert_string_equal(names[3], "af_packet-q0"); /* for one process with the next */
    assert_int_equal(config_check_set(&configs[3], 2, stderr), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_several_addresses),
        cmocka_unit_test(test_tcp_defaults),
        cmocka_unit_test(test_tcp_ack_by_profile),
        cmocka_unit_test(test_tcp_off),
        cmocka_unit_test(test_device_kinds),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_all_complaints_are_printed),
        cmocka_unit_test(test_long_and_binary),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_readme_has_every_key),
        cmocka_unit_test(test_example_files_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
