/*
 * Starts DPDK's EAL once for all configuration files of the process: composes its arguments and
 * runs rte_eal_init. Start-up thread only; called by main.c and tests. Nothing is left behind on
 * the system: --in-memory or --no-shconf keeps files, sockets and shared configuration away, so
 * several processes do not meet.
 */
#include <inttypes.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log.h"
#include "dataplane/nic_dpdk.h"
#include "rings/os/os.h"

#define ARGS_MAX             64
#define ARGS_BYTES           8192u
#define AF_PACKET_SLOT_BYTES 2048u /* DPDK's default framesz */
#define AF_PACKET_MORE_BYTES 128u  /* headers of Ethernet and of the packet socket */
#define BASE_MIB             48u   /* ethdevs, rings, the EAL's own */
#define MBUF_MORE_BYTES      512u  /* mbuf header, headroom, mempool object header, rounding */

/* The EAL keeps pointers into its arguments. */
static struct {
    char *argv[ARGS_MAX + 1];
    char text[ARGS_BYTES];
    int argc;
    size_t used;
    bool overflow;
    bool started;
    int result, error;
} eal;

RS_PRINTF_LIKE(1, 2) static void add_arg(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof(eal.text) - eal.used;
    int bytes = vsnprintf(eal.text + eal.used, room, format, args);
    va_end(args);
    if (bytes < 0 || (size_t)bytes >= room || eal.argc == ARGS_MAX) {
        eal.overflow = true;
        return;
    }
    eal.argv[eal.argc++] = eal.text + eal.used;
    eal.used += (size_t)bytes + 1;
}

/* [eal] args, split at blanks; the same text in several files counts once. */
static void add_extra_args(const struct queue_config *configs, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(configs[j].eal_args, configs[i].eal_args) == 0) {
            return;
        }
    }
    const char *word = configs[i].eal_args;
    for (;;) {
        word += strspn(word, " \t");
        size_t bytes = strcspn(word, " \t");
        if (bytes == 0) {
            return;
        }
        add_arg("%.*s", (int)bytes, word);
        word += bytes;
    }
}

/* How many files name the device: its queues. */
static uint32_t device_count(const struct queue_config *configs, uint32_t count, const char *device)
{
    uint32_t files = 0;
    for (uint32_t i = 0; i < count; i++) {
        files += strcmp(configs[i].device, device) == 0;
    }
    return files;
}

static bool device_seen_before(const struct queue_config *configs, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(configs[j].device, configs[i].device) == 0) {
            return true;
        }
    }
    return false;
}

/* Without huge pages the EAL reserves all its memory at the start, 64 MiB unless told. */
static uint64_t memory_needed_mib(const struct queue_config *configs, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!configs[i].loopback) {
            uint64_t slot = nic_dpdk_af_packet_slot_bytes(&configs[i]);
            uint64_t room = configs[i].mtu_bytes < 2048 ? 2048 : configs[i].mtu_bytes;
            room = room < slot ? slot : room;
            bytes += configs[i].mbufs * (room + MBUF_MORE_BYTES) +
                     NIC_DPDK_BIG_MBUFS * (nic_tso_bytes(configs[i].mtu_bytes) + MBUF_MORE_BYTES) +
                     (configs[i].rx_descriptors + configs[i].tx_descriptors) * UINT64_C(64);
        }
    }
    return BASE_MIB + bytes / 1048576 * 5 / 4;
}

uint32_t nic_dpdk_af_packet_slot_bytes(const struct queue_config *config)
{
    static const char option[] = ",framesz=";
    if (strncmp(config->device, "net_af_packet", strlen("net_af_packet")) != 0) {
        return 0;
    }
    const char *given = strstr(config->device, option);
    if (given != NULL) {
        return (uint32_t)strtoul(given + strlen(option), NULL, 10);
    }
    uint32_t bytes = AF_PACKET_SLOT_BYTES;
    while (bytes < config->mtu_bytes + AF_PACKET_MORE_BYTES) {
        bytes *= 2;
    }
    return bytes;
}

const char *nic_dpdk_queues_argument(const struct queue_config *config)
{
    static const char *const arguments[][2] = {{"net_af_packet", "qpairs"},
                                               {"net_af_xdp", "queue_count"}};
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        if (strncmp(config->device, arguments[i][0], strlen(arguments[i][0])) == 0) {
            return arguments[i][1];
        }
    }
    return NULL;
}

static bool device_has_argument(const struct queue_config *config, const char *name)
{
    char option[32];
    (void)snprintf(option, sizeof(option), ",%s=", name);
    return strstr(config->device, option) != NULL;
}

/* The device as the file names it, and what the driver must be told besides. */
static void add_vdev(const struct queue_config *config, uint32_t queues)
{
    char more[128] = "";
    size_t used = 0;
    const char *queues_argument = nic_dpdk_queues_argument(config);
    uint32_t slot = nic_dpdk_af_packet_slot_bytes(config);
    if (slot > AF_PACKET_SLOT_BYTES && !device_has_argument(config, "framesz")) {
        /* The driver's own slots are for MTU 1500; longer frames would be cut in silence. */
        used = (size_t)snprintf(more, sizeof(more),
                                ",framesz=%" PRIu32 ",blocksz=%" PRIu32 ",framecnt=512", slot,
                                slot * 4);
    }
    if (queues > 1 && queues_argument != NULL && !device_has_argument(config, queues_argument)) {
        (void)snprintf(more + used, sizeof(more) - used, ",%s=%" PRIu32, queues_argument, queues);
    }
    add_arg("--vdev=%s%s", config->device, more);
}

static void compose_args(const struct queue_config *configs, uint32_t count)
{
    bool pci = false;
    uint32_t core = 0;
    for (uint32_t i = count; i-- > 0;) {
        if (configs[i].core >= 0) {
            core = (uint32_t)configs[i].core;
        }
    }
    add_arg("ringsockd");
    add_arg("--no-telemetry");
    add_arg("--log-level=%s", configs[0].log_level == LOG_LEVEL_DEBUG ? "info" : "warning");
    /* The queues run on our own threads. The EAL wants one lcore; it gets one that runs nothing. */
    add_arg("-l");
    add_arg("%" PRIu32, core);
    if (os_huge_pages_usable()) {
        add_arg("--in-memory");
    } else { /* with --no-huge the EAL refuses --in-memory */
        add_arg("--no-shconf");
        add_arg("--no-huge");
        add_arg("-m");
        add_arg("%" PRIu64, memory_needed_mib(configs, count));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (configs[i].loopback || device_seen_before(configs, i)) {
            continue;
        }
        if (config_device_kind(configs[i].device) == CONFIG_DEVICE_PCI) {
            add_arg("-a");
            add_arg("%s", configs[i].device);
            pci = true;
        } else {
            add_vdev(&configs[i], device_count(configs, count, configs[i].device));
        }
    }
    if (!pci) {
        add_arg("--no-pci");
    }
    for (uint32_t i = 0; i < count; i++) {
        add_extra_args(configs, i);
    }
}

/* rte_eal_init pins its thread to the lcore; a thread of its own keeps the control thread free. */
static void eal_thread(void *arg)
{
    (void)arg;
    eal.result = rte_eal_init(eal.argc, eal.argv);
    eal.error = rte_errno;
}

enum rs_status nic_dpdk_start_eal(const struct queue_config *configs, uint32_t count)
{
    char line[1024] = "";
    size_t used = 0;
    compose_args(configs, count);
    if (eal.overflow) {
        log_line(LOG_LEVEL_ERROR, "dpdk",
                 "more EAL arguments than %d or %u characters: shorten [eal] args", ARGS_MAX,
                 ARGS_BYTES);
        return RS_CONFIG;
    }
    for (int i = 1; i < eal.argc && used + 1 < sizeof(line); i++) {
        int bytes = snprintf(line + used, sizeof(line) - used, " %s", eal.argv[i]);
        used += bytes > 0 ? (size_t)bytes : 0;
    }
    log_line(LOG_LEVEL_DEBUG, "dpdk", "EAL arguments:%s", line);
    struct os_thread thread;
    enum rs_status status = os_thread_start(&thread, eal_thread, NULL, "rs-eal");
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "dpdk", "no thread for the EAL: %s", os_last_error_text());
        return status;
    }
    os_thread_join(&thread);
    if (eal.result < 0) {
        log_line(
            LOG_LEVEL_ERROR, "dpdk",
            "the EAL does not start (%s; its own messages are above); arguments:%s. Check [nic] "
            "device and [eal] args, and that ringsockd may open the device",
            rte_strerror(eal.error), line);
        return RS_OS_ERROR;
    }
    eal.started = true;
    return RS_OK;
}

void nic_dpdk_stop_eal(void)
{
    if (eal.started) {
        (void)rte_eal_cleanup();
        eal.started = false;
    }
}
