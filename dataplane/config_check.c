/*
 * What the values of a configuration mean together: the kind of device, keys that contradict each
 * other, files that do not go into one process. Start-up thread only; called by config.c and
 * main.c.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "dataplane/config_internal.h"
#include "rings/os/os.h"

/* ---- device ---- */

static bool is_pci_address(const char *text)
{
    /* dddd:bb:dd.f or bb:dd.f; 'x' stands for a hex digit */
    static const char *const forms[] = {"xxxx:xx:xx.x", "xx:xx.x"};
    for (size_t f = 0; f < 2; f++) {
        size_t i = 0;
        const char *form = forms[f];
        while (form[i] != '\0' &&
               (form[i] == 'x' ? isxdigit((unsigned char)text[i]) != 0 : form[i] == text[i])) {
            i++;
        }
        if (form[i] == '\0' && (text[i] == '\0' || text[i] == ',')) {
            return true;
        }
    }
    return false;
}

enum config_device_kind config_device_kind(const char *device)
{
    static const char *const shared[] = {"net_tap", "net_af_packet", "net_af_xdp", "net_pcap"};
    if (strcmp(device, "loopback") == 0) {
        return CONFIG_DEVICE_LOOPBACK;
    }
    if (is_pci_address(device)) {
        return CONFIG_DEVICE_PCI;
    }
    size_t name_bytes = strcspn(device, ",");
    if (strncmp(device, "net_", 4) != 0 || name_bytes == 4 || name_bytes > 40) {
        return CONFIG_DEVICE_BAD;
    }
    for (size_t i = 0; i < name_bytes; i++) {
        if (!isalnum((unsigned char)device[i]) && device[i] != '_') {
            return CONFIG_DEVICE_BAD;
        }
    }
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        if (strncmp(device, shared[i], strlen(shared[i])) == 0) {
            return CONFIG_DEVICE_VIRTUAL_SHARED;
        }
    }
    return CONFIG_DEVICE_VIRTUAL;
}

/* ---- one file ---- */

/* Index of a key that is known to exist. */
static uint32_t key_index(const char *section, const char *name)
{
    uint32_t i = 0;
    while (strcmp(config_keys[i].section, section) != 0 || strcmp(config_keys[i].key, name) != 0) {
        i++;
        assert(i < config_key_count);
    }
    return i;
}

void config_check_device(struct queue_config *config, const bool *given,
                         struct config_report *report)
{
    enum config_device_kind kind = config_device_kind(config->device);
    config->loopback = kind == CONFIG_DEVICE_LOOPBACK;
    if (config->device[0] == '\0') {
        return; /* complained of as missing */
    }
    if (kind == CONFIG_DEVICE_BAD) {
        config_complain(report, "nic", "device", config->device,
                        "no device; right is loopback, a PCI address such as 0000:03:00.0, or a "
                        "DPDK device such as net_af_packet0,iface=eth0");
    }
    if (!config->loopback) {
        return;
    }
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (given[i] && (key->flags & CONFIG_NOT_LOOPBACK)) {
            config_complain(report, key->section, key->key, NULL,
                            "says nothing about device = loopback; remove it, or name a NIC");
        }
    }
    if (config->stack.route_count > 0 || config->stack.neighbour_count > 0) {
        config_complain(report, config->stack.route_count > 0 ? "route N" : "neighbour N", NULL,
                        NULL, "says nothing about device = loopback; remove it, or name a NIC");
    }
    config->mtu_bytes = 65535; /* the largest IPv4 packet: nothing is cut to fit a wire */
}

/* What the NIC's and the session's numbers ask of each other. */
static void check_sizes(const struct queue_config *config, struct config_report *report)
{
    char text[32];
    uint32_t mbufs_least = config->rx_descriptors + config->tx_descriptors + 256;
    if (!config->loopback && config->mbufs != 0 && config->mbufs < mbufs_least) {
        (void)snprintf(text, sizeof(text), "%u", config->mbufs);
        config_complain(report, "nic", "mbufs", text,
                        "fewer than rx_descriptors + tx_descriptors + 256; at least %u",
                        mbufs_least);
    }
    if (config->recv_ring_bytes > config->recv_ring_max_bytes) {
        (void)snprintf(text, sizeof(text), "%u", config->recv_ring_bytes);
        config_complain(report, "limits", "recv_ring_bytes", text,
                        "more than recv_ring_max_bytes = %u", config->recv_ring_max_bytes);
    }
    if (config->send_ring_bytes > config->send_ring_max_bytes) {
        (void)snprintf(text, sizeof(text), "%u", config->send_ring_bytes);
        config_complain(report, "limits", "send_ring_bytes", text,
                        "more than send_ring_max_bytes = %u", config->send_ring_max_bytes);
    }
    if (config->limit_sockets > config->stack.sockets_max) {
        (void)snprintf(text, sizeof(text), "%u", config->limit_sockets);
        config_complain(report, "limits", "sockets", text,
                        "one session may have more than [queue] sockets = %u holds for all",
                        config->stack.sockets_max);
    }
}

#define TCP_RECORDS_LEAST 16384u /* a few connections can fill a long, fast path on their own */
#define TCP_RANGES_LEAST  4096u

/* What [tcp] says of sizes and times, made complete. Linux's constants. */
static void complete_tcp(struct queue_config *config, const bool *given)
{
    struct tcp_config *tcp = &config->stack.tcp;
    tcp->rto_initial_ns = 1000000000;
    tcp->rto_max_ns = 120000000000;
    if (!given[key_index("tcp", "ack")]) {
        tcp->ack_immediate = config->spin_us == RS_SPIN_FOREVER;
    }
    if (config->loopback || tcp->connections_max == 0) {
        tcp->connections_max = tcp->requests_max = tcp->time_waits_max = 0;
        return; /* and of the others none either */
    }
    tcp->listeners_max = config->stack.sockets_max;
    tcp->records_max = TCP_RECORDS_LEAST + 4 * tcp->connections_max;
    tcp->ranges_max = TCP_RANGES_LEAST + tcp->connections_max;
}

/* Names become ids; what this system has no use for, does not know or cannot read is refused. */
static void check_access(struct queue_config *config, struct config_report *report)
{
    struct os_access *access = &config->access;
    const struct {
        enum os_access_key id;
        const char *name, *text;
    } keys[] = {{OS_ACCESS_USERS, "users", access->users},
                {OS_ACCESS_GROUPS, "groups", access->groups},
                {OS_ACCESS_SECURITY, "security", access->security}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (os_access_parse(access, keys[i].id) != RS_OK) {
            config_complain(report, "access", keys[i].name, keys[i].text, "%s",
                            os_last_error_text());
        }
    }
}

void config_check_values(struct queue_config *config, const bool *given,
                         struct config_report *report)
{
    if (config_device_kind(config->device) == CONFIG_DEVICE_VIRTUAL_SHARED &&
        !given[key_index("nic", "mac")]) {
        config_complain(report, "nic", "mac", NULL,
                        "missing: the kernel sees this NIC too and answers for its own MAC; give "
                        "the dataplane another one, such as mac = 02:52:53:00:00:01");
    }
    config_check_addresses(config, report);
    check_sizes(config, report);
    complete_tcp(config, given);
    check_access(config, report);
}

/* ---- several files ---- */

/* Keys with one of these flags must say the same in a and b. */
static void check_same(const struct queue_config *a, const struct queue_config *b, uint32_t flag,
                       struct config_report *report)
{
    for (uint32_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char text_a[300];
        char text_b[300];
        if (!(key->flags & flag)) {
            continue;
        }
        config_value_format(key, a, text_a, sizeof(text_a));
        config_value_format(key, b, text_b, sizeof(text_b));
        if (strcmp(text_a, text_b) != 0) {
            config_complain(report, key->section, key->key, text_b,
                            "%s has %s; all files of one %s must say the same", a->file, text_a,
                            flag == CONFIG_PER_NIC ? "NIC" : "process");
        }
    }
}

static void check_pair(const struct queue_config *a, const struct queue_config *b,
                       struct config_report *report)
{
    char text[32];
    if (a->core >= 0 && a->core == b->core && !(a->yield && b->yield)) {
        (void)snprintf(text, sizeof(text), "%d", b->core);
        config_complain(report, "queue", "core", text,
                        "%s has the same core; a spinning queue needs one of its own (or idle = "
                        "yield in both)",
                        a->file);
    }
    if (strcmp(a->device, b->device) == 0) {
        if (a->queue_idx == b->queue_idx) {
            (void)snprintf(text, sizeof(text), "%u", b->queue_idx);
            config_complain(report, "nic", "queue", text,
                            "%s has the same queue of the same device", a->file);
        }
        check_same(a, b, CONFIG_PER_NIC, report);
        config_check_same_addresses(a, b, report);
    } else {
        config_check_other_addresses(a, b, report);
    }
}

/* The queues of one device are numbered 0 to count - 1. */
static void check_queue_numbers(const struct queue_config *configs, uint32_t count, uint32_t i,
                                struct config_report *report)
{
    uint32_t files = 0;
    for (uint32_t j = 0; j < count; j++) {
        files += strcmp(configs[i].device, configs[j].device) == 0;
    }
    if (configs[i].queue_idx >= files) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%u", configs[i].queue_idx);
        config_complain(report, "nic", "queue", text,
                        "the device has %u file%s here, so its queues are 0 to %u", files,
                        files == 1 ? "" : "s", files - 1);
    }
}

enum rs_status config_check_set(const struct queue_config *configs, uint32_t count, FILE *errors)
{
    uint32_t complaints = 0;
    if (count > RS_QUEUES_MAX) {
        (void)fprintf(errors, "%u configuration files; one process serves at most %u queues\n",
                      count, RS_QUEUES_MAX);
        return RS_CONFIG;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct config_report report = {.file = configs[i].file, .out = errors};
        if (i == 0 && configs[i].limit_channels < count) {
            char text[16];
            (void)snprintf(text, sizeof(text), "%u", configs[i].limit_channels);
            config_complain(&report, "limits", "channels", text,
                            "%u files: a session needs a channel for each queue at least", count);
        }
        for (uint32_t j = 0; j < i; j++) {
            check_pair(&configs[j], &configs[i], &report);
        }
        if (i > 0) {
            check_same(&configs[0], &configs[i], CONFIG_PER_PROCESS, &report);
        }
        check_queue_numbers(configs, count, i, &report);
        complaints += report.complaints;
    }
    return complaints == 0 ? RS_OK : RS_CONFIG;
}

enum rs_status config_check_host(const struct queue_config *configs, uint32_t count, FILE *errors)
{
    uint32_t complaints = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct queue_config *config = &configs[i];
        struct config_report report = {.file = config->file, .out = errors};
        char text[32];
        if (config_device_kind(config->device) != CONFIG_DEVICE_VIRTUAL_SHARED) {
            continue;
        }
        if (os_host_has_mac(config->mac)) {
            config_value_format(&config_keys[key_index("nic", "mac")], config, text, sizeof(text));
            config_complain(&report, "nic", "mac", text,
                            "an interface of this host has it; the kernel would answer too. Choose "
                            "another, locally administered one such as 02:52:53:00:00:01");
        }
        config_check_host_addresses(config, &report);
        complaints += report.complaints;
    }
    return complaints == 0 ? RS_OK : RS_CONFIG;
}
