/*
 * Fuzz target: any bytes as a configuration file. config_load must answer RS_OK or RS_CONFIG, say
 * something exactly when it refuses, and never print a byte a terminal should not see; what it
 * accepts must be inside every limit the rest of the dataplane relies on.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/config.h"

#define MUST(condition)                                                                      \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            (void)fprintf(stderr, "fuzz_config.c:%d: not true: %s\n", __LINE__, #condition); \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static void check_accepted(const struct queue_config *config)
{
    MUST(config->device[0] != '\0');
    MUST(config->instance[0] != '\0');
    MUST(config->queue_idx < RS_QUEUES_MAX);
    MUST(config->limit_sockets >= 1 && config->limit_sockets <= RS_SOCKETS_MAX);
    MUST(config->limit_channels >= 1 && config->limit_channels <= RS_CHANNELS_MAX);
    MUST(config->limit_extents >= 2 && config->limit_extents <= RS_EXTENTS_MAX);
    MUST(power_of_two(config->recv_ring_bytes) && power_of_two(config->send_ring_bytes));
    MUST(config->recv_ring_bytes <= config->recv_ring_max_bytes);
    MUST(config->send_ring_bytes <= config->send_ring_max_bytes);
    MUST(config->stack.route_count <= STACK_ROUTES_MAX);
    MUST(config->stack.neighbour_count <= STACK_STATIC_NEIGHBOURS_MAX);
    MUST(config->stack.prefix_len <= 32);
    MUST(config->stack.igmp_version == 2 || config->stack.igmp_version == 3);
    MUST(config->loopback || config->stack.ip_be32 != 0);
    MUST(config->loopback || config->mtu_bytes <= 9216);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct queue_config config;
    static int file = -1;
    char path[64];
    char *messages = NULL;
    size_t messages_bytes = 0;
    if (file < 0) {
        file = memfd_create("config", 0);
        MUST(file >= 0);
    }
    MUST(ftruncate(file, 0) == 0);
    MUST(pwrite(file, data, bytes, 0) == (ssize_t)bytes);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    FILE *errors = open_memstream(&messages, &messages_bytes);
    MUST(errors != NULL);
    enum rs_status status = config_load(path, &config, errors);
    MUST(fclose(errors) == 0);
    MUST(status == RS_OK || status == RS_CONFIG);
    MUST((status == RS_OK) == (messages_bytes == 0));
    for (size_t i = 0; i < messages_bytes; i++) {
        MUST(messages[i] == '\n' || ((unsigned char)messages[i] >= 0x20 && messages[i] != 0x7f));
    }
    if (status == RS_OK) {
        check_accepted(&config);
        errors = fopen("/dev/null", "w");
        MUST(errors != NULL);
        MUST(config_check_set(&config, 1, errors) == (config.queue_idx == 0 ? RS_OK : RS_CONFIG));
        (void)fclose(errors);
    }
    free(messages);
    return 0;
}
