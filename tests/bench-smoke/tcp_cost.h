/*
 * What tcp_cost.c (cycles per packet, memory) and tcp_bulk.c (bulk) share.
 */
#ifndef RINGSOCK_TESTS_BENCH_SMOKE_TCP_COST_H
#define RINGSOCK_TESTS_BENCH_SMOKE_TCP_COST_H

#include <stdbool.h>
#include <stdint.h>

/* Bulk over an in-memory wire; each run lasts run_ms. Prints a table; ends the program when data is
 * wrong or a figure is below a tenth of its bound. */
void tcp_bulk_report(uint32_t run_ms);

#endif
