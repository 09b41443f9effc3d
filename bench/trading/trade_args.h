/*
 * Command lines of the trading programs: "--name value" pairs and "--flag". A wrong one is told in
 * one line and ends the program with status 2. Start-up, main thread.
 */
#ifndef RINGSOCK_BENCH_TRADING_TRADE_ARGS_H
#define RINGSOCK_BENCH_TRADING_TRADE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trading/trade_net.h"

enum trade_arg_kind { TRADE_ARG_FLAG, TRADE_ARG_UINT, TRADE_ARG_TEXT, TRADE_ARG_IP };

struct trade_arg {
    const char *name; /* with its dashes; NULL ends the table */
    enum trade_arg_kind kind;
    void *out;         /* bool, uint64_t, const char *, uint32_t */
    uint64_t min, max; /* of UINT */
    const char *help;
};

/* Fills *out of every argument that is given. "--help" prints the table and exits with 0. */
void trade_args_parse(const struct trade_arg *args, int argc, char **argv);
/* "224.0.0.1" to host byte order; false when it is not an IPv4 address. */
bool trade_args_ip(const char *text, uint32_t *out);

#endif
