/*
 * ringsockctl: what a running dataplane does, for a person or as JSON. Reads the command line, asks
 * for reports (fetch.c) and has them shown, once or in a loop. Main thread only. Exit status: 0;
 * 1 no dataplane serves the instance, or it gave no report; 2 usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/os/os.h"

enum { EXIT_NO_REPORT = 1, EXIT_USAGE = 2 };

#define PART_CAPTURE 0x100u /* beside enum ctl_part */

struct options {
    const char *instance;
    unsigned part; /* enum ctl_part; 0: none named */
    bool json, watch, all, help, version;
    uint64_t interval_ns;
    uint64_t count; /* reports in --watch, frames of a capture; 0: until Ctrl-C */
    struct ctl_capture capture;
};

static void print_usage(FILE *out)
{
    (void)fputs(
        "usage: ringsockctl [status | sockets | counters | trace] [OPTION]...\n"
        "       ringsockctl capture FILE [OPTION]...\n"
        "  status             the dataplane, its queues and their load, the programs attached\n"
        "  sockets            every socket, by program\n"
        "  counters           what the queues counted\n"
        "  trace              what happened last on them\n"
        "  capture FILE       what passes, as pcapng, until Ctrl-C; one at a time\n"
        "  --json             as JSON, one line; without a command all but the trace\n"
        "  --watch [SECONDS]  again and again, every second or so many, until Ctrl-C: counters\n"
        "                     and loads since the time before, of the trace what is new\n"
        "  --count N          with --watch: N times; capture: N frames\n"
        "  --all              counters that are 0, too\n"
        "  --nic NAME         capture: that NIC only; loopback: traffic between local sockets\n"
        "  --queue N          capture: that queue only\n"
        "  --seconds N        capture: for so long\n"
        "  --snap BYTES       capture: of each frame, 65535 at most\n"
        "  --instance NAME    of the dataplane; else RINGSOCK_INSTANCE, else default\n"
        "  --version, --help\n"
        "exit status: 0; 1 no dataplane serves the instance, it refused, or it ended during a\n"
        "capture; 2 usage\n",
        out);
}

/* A positive decimal number up to `most`, or 0. */
static double parse_number(const char *text, double most)
{
    char *end = NULL;
    double value = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : 0;
    return end != NULL && *end == '\0' && value <= most ? value : 0;
}

static bool usage_wrong(const char *argument, const char *why)
{
    (void)fprintf(stderr, "ringsockctl: %s: %s\n", argument, why);
    return false;
}

/* Options of a capture. */
static bool parse_capture(const char *option, const char *value, struct ctl_capture *capture)
{
    double number = parse_number(value, UINT32_MAX);
    bool zero = strcmp(value, "0") == 0;
    if (strcmp(option, "--nic") == 0) {
        capture->nic = value;
    } else if (strcmp(option, "--queue") == 0) {
        if ((number < 1 && !zero) || number >= RS_QUEUES_MAX) {
            return usage_wrong(value, "no queue has that number");
        }
        capture->queue_idx = (uint32_t)number;
    } else if (strcmp(option, "--seconds") == 0) {
        if (number <= 0 || number > 31536000) {
            return usage_wrong(value, "seconds, up to a year");
        }
        capture->ns = (uint64_t)(number * 1e9);
    } else {
        if (number < 1 || number > 65535) {
            return usage_wrong(value, "1 to 65535 bytes");
        }
        capture->snap_bytes = (uint32_t)number;
    }
    return true;
}

static bool is_capture_option(const char *word)
{
    return strcmp(word, "--nic") == 0 || strcmp(word, "--queue") == 0 ||
           strcmp(word, "--seconds") == 0 || strcmp(word, "--snap") == 0;
}

/* --watch takes a number or none; the others with an argument need theirs. i: of the option. */
static bool parse_valued(int argc, char **argv, int *i, struct options *options)
{
    const char *option = argv[*i];
    const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (strcmp(option, "--watch") == 0) {
        options->watch = true;
        if (value == NULL || value[0] < '0' || value[0] > '9') {
            return true;
        }
        double seconds = parse_number(value, 86400);
        if (seconds < 0.01) {
            return usage_wrong(value, "0.01 to 86400 seconds");
        }
        options->interval_ns = (uint64_t)(seconds * 1e9);
    } else if (value == NULL) {
        return usage_wrong(option, "needs a value");
    } else if (strcmp(option, "--count") == 0) {
        options->count = (uint64_t)parse_number(value, 1e9);
        if (options->count == 0) {
            return usage_wrong(value, "a number of 1 or more");
        }
    } else if (is_capture_option(option)) {
        if (!parse_capture(option, value, &options->capture)) {
            return false;
        }
    } else {
        options->instance = value;
    }
    (*i)++;
    return true;
}

static bool parse_word(const char *word, struct options *options)
{
    if (options->part == PART_CAPTURE && word[0] != '-' && options->capture.file == NULL) {
        options->capture.file = word; /* whatever it is */
        return true;
    }
    static const struct {
        const char *word;
        unsigned part;
    } commands[] = {{"status", CTL_STATUS},
                    {"sockets", CTL_SOCKETS},
                    {"counters", CTL_COUNTERS},
                    {"trace", CTL_TRACE},
                    {"capture", PART_CAPTURE}};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(word, commands[i].word) == 0) {
            if (options->part != 0) {
                return usage_wrong(word, "one command at a time");
            }
            options->part = commands[i].part;
            return true;
        }
    }
    return usage_wrong(word, word[0] == '-' ? "unknown option" : "unknown command");
}

/* What does not go together. */
static bool parse_fits(const struct options *options)
{
    const struct ctl_capture *capture = &options->capture;
    if (options->help || options->version) {
        return true;
    }
    if (options->part == PART_CAPTURE) {
        if (capture->file == NULL) {
            return usage_wrong("capture", "needs a file to write");
        }
        if (options->watch || options->all) {
            return usage_wrong(options->watch ? "--watch" : "--all", "does not go with capture");
        }
        return true;
    }
    if (capture->nic != NULL || capture->queue_idx != RS_NO_INDEX || capture->ns != 0 ||
        capture->snap_bytes != 0) {
        return usage_wrong("--nic, --queue, --seconds, --snap", "go with capture");
    }
    if (options->count != 0 && !options->watch) {
        return usage_wrong("--count", "goes with --watch or capture");
    }
    return true;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--watch") == 0 || strcmp(word, "--count") == 0 ||
            strcmp(word, "--instance") == 0 || is_capture_option(word)) {
            if (!parse_valued(argc, argv, &i, options)) {
                return false;
            }
        } else if (strcmp(word, "--json") == 0) {
            options->json = true;
        } else if (strcmp(word, "--all") == 0) {
            options->all = true;
        } else if (strcmp(word, "--help") == 0) {
            options->help = true;
        } else if (strcmp(word, "--version") == 0) {
            options->version = true;
        } else if (!parse_word(word, options)) {
            return false;
        }
    }
    return parse_fits(options);
}

static void show(const struct options *options, const struct rs_report_view *now,
                 const struct rs_report_view *before)
{
    const struct rs_report_header *header = &now->header;
    uint64_t since_tsc = before != NULL ? before->header.tsc : header->started_tsc;
    const struct ctl_view view = {.now = now,
                                  .before = before,
                                  .seconds =
                                      (double)(header->tsc - since_tsc) / (double)header->tsc_hz,
                                  .all = options->all};
    if (options->json) {
        ctl_show_document(now, options->part != 0 ? options->part
                                                  : CTL_STATUS | CTL_SOCKETS | CTL_COUNTERS);
    } else if (options->part == CTL_SOCKETS) {
        ctl_show_sockets(&view);
    } else if (options->part == CTL_COUNTERS) {
        ctl_show_counters(&view);
    } else if (options->part == CTL_TRACE) {
        ctl_show_trace(&view);
    } else {
        ctl_show_status(&view);
    }
    (void)fflush(stdout);
}

/* The two are of one dataplane, so they differ in values only. */
static bool comparable(const struct rs_report_view *now, const struct rs_report_view *before)
{
    return now->header.epoch == before->header.epoch && now->header.tsc >= before->header.tsc &&
           rs_report_count(now, RS_REPORT_QUEUES) == rs_report_count(before, RS_REPORT_QUEUES) &&
           rs_report_count(now, RS_REPORT_COUNTERS) == rs_report_count(before, RS_REPORT_COUNTERS);
}

static int exit_status(enum rs_status status)
{
    return status == RS_OK ? 0 : status == RS_INVALID ? EXIT_USAGE : EXIT_NO_REPORT;
}

/* Reports until `count` were shown, the dataplane is gone, or Ctrl-C. */
static int watch(const struct options *options)
{
    struct ctl_report before, now;
    struct os_event stop;
    uint64_t shown = 0;
    if (os_event_create(&stop) != RS_OK || os_on_shutdown(&stop) != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: %s\n", os_last_error_text());
        return EXIT_NO_REPORT;
    }
    int result = exit_status(ctl_fetch(options->instance, &before));
    if (result != 0) {
        return result;
    }
    while ((options->count == 0 || shown < options->count) &&
           os_event_wait(&stop, NULL, options->interval_ns) == RS_TIMED_OUT) {
        result = exit_status(ctl_fetch(options->instance, &now));
        if (result != 0) {
            break;
        }
        if (shown != 0 && !options->json && options->part != CTL_TRACE) {
            (void)putchar('\n');
        }
        show(options, &now.view, comparable(&now.view, &before.view) ? &before.view : NULL);
        ctl_report_free(&before);
        before = now;
        shown++;
    }
    ctl_report_free(&before);
    return result; /* `stop` is not destroyed: a second Ctrl-C may still signal it */
}

static int capture(struct options *options)
{
    static struct os_event stop; /* is not destroyed, as that of watch */
    options->capture.instance = options->instance;
    options->capture.count = options->count;
    options->capture.json = options->json;
    if (os_event_create(&stop) != RS_OK || os_on_shutdown(&stop) != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: %s\n", os_last_error_text());
        return EXIT_NO_REPORT;
    }
    switch (ctl_capture(&options->capture, &stop)) {
    case CTL_CAPTURE_DONE:
        return 0;
    case CTL_CAPTURE_NOTHING:
        return EXIT_USAGE;
    case CTL_CAPTURE_FAILED:
        break;
    }
    return EXIT_NO_REPORT;
}

static int once(const struct options *options)
{
    struct ctl_report report;
    int result = exit_status(ctl_fetch(options->instance, &report));
    if (result == 0) {
        show(options, &report.view, NULL);
        ctl_report_free(&report);
    }
    return result;
}

int main(int argc, char **argv)
{
    struct options options = {.interval_ns = 1000000000u, .capture = {.queue_idx = RS_NO_INDEX}};
    if (!parse_options(argc, argv, &options)) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (options.help) {
        print_usage(stdout);
        return 0;
    }
    if (options.version) {
        printf("ringsockctl %s, report version %u\n", RINGSOCK_VERSION, RS_REPORT_VERSION);
        return 0;
    }
    if (options.instance == NULL) {
        const char *named = getenv("RINGSOCK_INSTANCE");
        options.instance = named != NULL && *named != '\0' ? named : "default";
    }
    if (options.part == PART_CAPTURE) {
        return capture(&options);
    }
    return options.watch ? watch(&options) : once(&options);
}
