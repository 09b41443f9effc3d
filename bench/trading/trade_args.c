/* Command lines of the trading programs, see trade_args.h. */
#include "bench/trading/trade_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool trade_args_ip(const char *text, uint32_t *out)
{
    uint32_t ip = 0;
    for (int part = 0; part < 4; part++) {
        char *end = NULL;
        if (*text < '0' || *text > '9') {
            return false;
        }
        unsigned long value = strtoul(text, &end, 10);
        if (value > 255 || end - text > 3 || *end != (part < 3 ? '.' : '\0')) {
            return false;
        }
        ip = ip << 8 | (uint32_t)value;
        text = end + 1;
    }
    *out = ip;
    return true;
}

static void trade_args_help(const struct trade_arg *args, const char *program)
{
    printf("%s takes:\n", program);
    for (; args->name != NULL; args++) {
        printf("  %-14s %s\n", args->name, args->help);
    }
}

static void trade_args_reject(const char *program, const char *name, const char *why)
{
    (void)fprintf(stderr, "%s: %s %s (--help lists the arguments)\n", program, name, why);
    exit(2);
}

static void trade_args_uint(const struct trade_arg *arg, const char *program, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < arg->min ||
        value > arg->max) {
        char why[96];
        (void)snprintf(why, sizeof(why), "must be a number from %llu to %llu",
                       (unsigned long long)arg->min, (unsigned long long)arg->max);
        trade_args_reject(program, arg->name, why);
    }
    *(uint64_t *)arg->out = value;
}

void trade_args_parse(const struct trade_arg *args, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct trade_arg *arg = args;
        while (arg->name != NULL && strcmp(arg->name, argv[i]) != 0) {
            arg++;
        }
        if (strcmp(argv[i], "--help") == 0) {
            trade_args_help(args, argv[0]);
            exit(0);
        }
        if (arg->name == NULL) {
            trade_args_reject(argv[0], argv[i], "is not known");
        }
        if (arg->kind == TRADE_ARG_FLAG) {
            *(bool *)arg->out = true;
            continue;
        }
        if (++i == argc) {
            trade_args_reject(argv[0], arg->name, "needs a value");
        }
        if (arg->kind == TRADE_ARG_UINT) {
            trade_args_uint(arg, argv[0], argv[i]);
        } else if (arg->kind == TRADE_ARG_TEXT) {
            *(const char **)arg->out = argv[i];
        } else if (!trade_args_ip(argv[i], arg->out)) {
            trade_args_reject(argv[0], arg->name, "must be an IPv4 address");
        }
    }
}
