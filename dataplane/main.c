/*
 * ringsockd: reads one configuration file per NIC queue, opens the NICs, runs the dataplane until
 * it is told to stop, prints the closing ledger. The main thread is the control thread. Exit
 * status: 0 the ledger balances, 1 run-time failure, 2 bad configuration or usage.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/config.h"
#include "dataplane/dataplane.h"
#include "dataplane/log.h"
#include "dataplane/nic_dpdk.h"
#include "dataplane/nic_loopback.h"
#include "rings/layout.h"
#include "rings/os/os.h"

enum { EXIT_RUN = 1, EXIT_CONFIG = 2 };

struct options {
    bool check, help, version;
    const char *json_ledger;
    const char *files[RS_QUEUES_MAX];
    uint32_t file_count;
};

static struct queue_config configs[RS_QUEUES_MAX];

static void print_usage(FILE *out)
{
    (void)fputs(
        "usage: ringsockd [--check] [--json-ledger FILE] CONFIG...\n"
        "  CONFIG              one file per NIC queue, see configs/README.md\n"
        "  --check             check the files, start nothing\n"
        "  --json-ledger FILE  write the closing ledger as JSON, too\n"
        "  --version, --help\n"
        "exit status: 0 the closing ledger balances (--check: the files are good), 1 failure "
        "at run time,\n"
        "  2 bad configuration or usage\n",
        out);
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            options->check = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            options->help = true;
        } else if (strcmp(argv[i], "--version") == 0) {
            options->version = true;
        } else if (strcmp(argv[i], "--json-ledger") == 0 && i + 1 < argc) {
            options->json_ledger = argv[++i];
        } else if (argv[i][0] == '-') {
            (void)fprintf(stderr, "ringsockd: %s: %s\n", argv[i],
                          strcmp(argv[i], "--json-ledger") == 0 ? "needs a file name"
                                                                : "unknown option");
            return false;
        } else if (options->file_count == RS_QUEUES_MAX) {
            (void)fprintf(stderr, "ringsockd: %s: at most %u files, one per queue\n", argv[i],
                          RS_QUEUES_MAX);
            return false;
        } else {
            options->files[options->file_count++] = argv[i];
        }
    }
    if (options->file_count == 0 && !options->help && !options->version) {
        (void)fputs("ringsockd: no configuration file\n", stderr);
        return false;
    }
    return true;
}

static bool load_configs(const struct options *options)
{
    bool good = true;
    for (uint32_t i = 0; i < options->file_count; i++) {
        good &= config_load(options->files[i], &configs[i], stderr) == RS_OK;
    }
    return good && config_check_set(configs, options->file_count, stderr) == RS_OK &&
           config_check_host(configs, options->file_count, stderr) == RS_OK;
}

static enum rs_status open_nics(uint32_t count, struct nic **nics)
{
    bool dpdk = false;
    for (uint32_t i = 0; i < count; i++) {
        dpdk |= !configs[i].loopback;
    }
    if (dpdk) {
        enum rs_status status = nic_dpdk_start_eal(configs, count);
        if (status == RS_OK) {
            status = nic_dpdk_open(configs, count, nics);
        }
        if (status != RS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        enum rs_status status = configs[i].loopback ? nic_loopback_create(&nics[i]) : RS_OK;
        if (status != RS_OK) {
            log_line(LOG_LEVEL_ERROR, "start", "no memory for the loopback NIC");
            return status;
        }
    }
    return RS_OK;
}

/* Tests and scripts wait for this line. */
static void print_ready(uint32_t count, struct nic *const *nics)
{
    printf("ringsockd: ready: instance %s", configs[0].instance);
    for (uint32_t i = 0; i < count; i++) {
        if (nics[i]->queue_idx == 0) {
            printf("%s nic %s, kind %s", i == 0 ? "," : ";", nics[i]->name,
                   nic_kind_text(nics[i]->kind));
        }
        if (nics[i]->queue_idx == 0 && nics[i]->queue_count > 1) {
            printf(", %u queues", nics[i]->queue_count);
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

static bool write_json(const struct dataplane *dataplane, const char *file)
{
    FILE *out = fopen(file, "w");
    if (out == NULL) {
        log_line(LOG_LEVEL_ERROR, "ledger", "cannot write %s", file);
        return false;
    }
    dataplane_ledger_json(dataplane, out);
    return fclose(out) == 0;
}

/* Serves until *stop; nics[] are taken over. */
static int serve(const struct options *options, struct nic **nics, struct os_event *stop)
{
    struct dataplane *dataplane = NULL;
    enum rs_status status = dataplane_create(configs, nics, options->file_count, &dataplane);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "start", "instance %s cannot start: %s (%s)", configs[0].instance,
                 rs_status_name(status), os_last_error_text());
        return EXIT_RUN;
    }
    print_ready(options->file_count, nics);
    status = dataplane_run(dataplane, stop);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "control", "stopped early: %s (%s)", rs_status_name(status),
                 os_last_error_text());
    }
    bool good = dataplane_ledger(dataplane, stdout) && status == RS_OK;
    (void)fflush(stdout);
    if (options->json_ledger != NULL) {
        good &= write_json(dataplane, options->json_ledger);
    }
    dataplane_destroy(dataplane);
    return good ? 0 : EXIT_RUN;
}

static int run(const struct options *options)
{
    struct nic *nics[RS_QUEUES_MAX] = {NULL};
    struct os_event stop;
    int result = EXIT_RUN;
    enum rs_status status = os_event_create(&stop);
    if (status == RS_OK) {
        status = os_on_shutdown(&stop);
    }
    for (uint32_t i = 0; i < options->file_count && status == RS_OK; i++) {
        status = os_random(&configs[i].stack.random_seed, sizeof(configs[i].stack.random_seed));
    }
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "start", "%s: %s", rs_status_name(status), os_last_error_text());
        return EXIT_RUN;
    }
    status = open_nics(options->file_count, nics);
    if (status == RS_OK) {
        result = serve(options, nics, &stop);
    } else {
        for (uint32_t i = 0; i < options->file_count; i++) {
            if (nics[i] != NULL) {
                nics[i]->ops->close(nics[i]);
            }
        }
        result = status == RS_CONFIG ? EXIT_CONFIG : EXIT_RUN;
    }
    nic_dpdk_stop_eal();
    return result; /* `stop` is not destroyed: a second Ctrl-C may still signal it */
}

int main(int argc, char **argv)
{
    struct options options = {0};
    if (!parse_options(argc, argv, &options)) {
        print_usage(stderr);
        return EXIT_CONFIG;
    }
    if (options.help) {
        print_usage(stdout);
        return 0;
    }
    if (options.version) {
        printf("ringsockd %s, layout version %u\n", RINGSOCK_VERSION, RS_LAYOUT_VERSION);
        return 0;
    }
    if (!load_configs(&options)) {
        return EXIT_CONFIG;
    }
    if (options.check) {
        printf("ringsockd: %" PRIu32 " file%s checked, no complaint\n", options.file_count,
               options.file_count == 1 ? "" : "s");
        return 0;
    }
    log_set_level((enum log_level)configs[0].log_level);
    return run(&options);
}
