/*
 * The dataplane as one object: one queue and the control thread around it, and the closing ledger.
 * Called by main.c, tests and benches; calls control.c, queue.c and ledger.c.
 */
#include "dataplane/dataplane.h"

#include <stdlib.h>

#include "dataplane/control.h"
#include "dataplane/ledger.h"
#include "dataplane/log.h"

struct dataplane {
    struct queue_config config;
    struct nic *nic;
    struct queue *queue;
    struct control control;
};

enum rs_status dataplane_create(const struct queue_config *configs, struct nic *const *nics,
                                uint32_t count, struct dataplane **out)
{
    enum rs_status status = RS_NO_MEMORY;
    struct dataplane *dataplane = NULL;
    if (count != 1) {
        log_line(LOG_LEVEL_ERROR, "dataplane",
                 "%u configuration files given; this version serves exactly one queue per process, "
                 "start a dataplane with another [instance] name for each further one",
                 count);
        status = RS_NOT_SUPPORTED;
        goto close_nics;
    }
    dataplane = calloc(1, sizeof(*dataplane));
    if (dataplane == NULL) {
        goto close_nics;
    }
    dataplane->config = configs[0];
    dataplane->nic = nics[0];
    status = control_create(&dataplane->config, dataplane->nic, &dataplane->control);
    if (status != RS_OK) {
        goto free_dataplane;
    }
    status =
        queue_create(&dataplane->config, 0, dataplane->nic, &dataplane->control.clock,
                     &dataplane->control.wake, &dataplane->control.sleeping, &dataplane->queue);
    if (status != RS_OK) {
        goto destroy_control;
    }
    dataplane->control.queue = dataplane->queue;
    *out = dataplane;
    return RS_OK;

destroy_control:
    control_destroy(&dataplane->control);
free_dataplane:
    free(dataplane);
close_nics:
    for (uint32_t i = 0; i < count; i++) {
        nics[i]->ops->close(nics[i]);
    }
    return status;
}

enum rs_status dataplane_run(struct dataplane *dataplane, struct os_event *stop)
{
    enum rs_status status = queue_start(dataplane->queue);
    if (status != RS_OK) {
        return status;
    }
    status = control_run(&dataplane->control, stop);
    queue_stop(dataplane->queue);
    return status;
}

static struct ledger_queue ledger_of(const struct dataplane *dataplane)
{
    struct ledger_queue books = {.name = dataplane->nic->name,
                                 .kind = dataplane->nic->kind,
                                 .counters = stack_counters(dataplane->queue->stack)};
    dataplane->nic->ops->stats(dataplane->nic, &books.nic);
    return books;
}

bool dataplane_ledger(const struct dataplane *dataplane, FILE *out)
{
    const struct ledger_queue books = ledger_of(dataplane);
    return ledger_print(out, &books, 1);
}

void dataplane_ledger_json(const struct dataplane *dataplane, FILE *out)
{
    const struct ledger_queue books = ledger_of(dataplane);
    (void)ledger_print_json(out, &books, 1);
}

void dataplane_destroy(struct dataplane *dataplane)
{
    queue_stop(dataplane->queue);
    control_destroy(&dataplane->control);
    queue_destroy(dataplane->queue);
    dataplane->nic->ops->close(dataplane->nic);
    free(dataplane);
}
