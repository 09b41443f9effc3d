/*
 * The closing ledger: what came in, what was delivered, each named drop, what went out, the NIC's
 * own drops apart, and whether all of it adds up. Text for a person and JSON for a script. Any
 * thread, best after the queues have stopped: while they run the sums may be off by what is under
 * way.
 */
#ifndef RINGSOCK_DATAPLANE_LEDGER_H
#define RINGSOCK_DATAPLANE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/counters.h"
#include "dataplane/nic.h"

/* One queue's books; all borrowed for the call. */
struct ledger_queue {
    const char *name; /* of the NIC */
    enum rs_nic_kind kind;
    const struct counters *counters;
    struct nic_stats nic; /* zero on loopback */
};

/* Both return true when every balance of every queue holds and nothing was lost inside Ringsock
 * (counters_sums.lost). With several queues a total follows. */
bool ledger_print(FILE *out, const struct ledger_queue *queues, uint32_t count);
/* One object: "queues" [{"nic", "kind", "counters" {name: value}, "nic_counters" {...}, "sums"
 * {group: value}, "balances", "lost_inside"}], "balances", "lost_inside". */
bool ledger_print_json(FILE *out, const struct ledger_queue *queues, uint32_t count);

#endif
