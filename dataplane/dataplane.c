/*
 * The dataplane as one object: the queues, what lies between them, the control thread around them,
 * and the closing ledger. Called by main.c, tests and benches; calls control.c, queue.c and
 * ledger.c.
 */
#include "dataplane/dataplane.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/control.h"
#include "dataplane/ledger.h"
#include "dataplane/log.h"

#define DATAPLANE_HANDOVER_SLOTS 512u
#define DATAPLANE_HANDOVER_LEAST 64u /* payload bytes, where no frame is ever handed over */
#define DATAPLANE_FRAME_BYTES    18u /* Ethernet header with a tag */

struct dataplane {
    struct queue_config configs[RS_QUEUES_MAX];
    struct nic *nics[RS_QUEUES_MAX];
    struct queue *queues[RS_QUEUES_MAX];
    uint32_t queue_count;
    uint8_t tcp_secret[16]; /* tcp_config.secret: every queue knows the others' cookies */
    struct egress egress;
    struct control control;
};

/* ---- queues
 * --------------------------------------------------------------------------------------------- */

/* What a queue's stack must know of the others: who leads its NIC, which addresses are local, TCP's
 * secret. */
static struct stack_config dataplane_stack_config(const struct dataplane *dataplane, uint32_t idx)
{
    struct stack_config config = dataplane->configs[idx].stack;
    config.follower = dataplane->nics[idx]->queue_idx != 0;
    memcpy(config.tcp.secret, dataplane->tcp_secret, sizeof(config.tcp.secret));
    config.tcp.ports_bound = ports_bits(dataplane->control.tcp_ports);
    config.local_count = 0;
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        const struct stack_config *other = &dataplane->configs[i].stack;
        if (other->ip_be32 == config.ip_be32 || dataplane->nics[i]->queue_idx != 0) {
            continue;
        }
        for (uint32_t j = 0; j < stack_config_address_count(other); j++) {
            config.local_be32[config.local_count++] = stack_config_address(other, j).ip_be32;
        }
    }
    return config;
}

static bool dataplane_same_nic(const struct dataplane *dataplane, uint32_t a, uint32_t b)
{
    return strcmp(dataplane->configs[a].device, dataplane->configs[b].device) == 0;
}

static void dataplane_find_siblings(struct dataplane *dataplane, uint32_t idx)
{
    struct queue *queue = dataplane->queues[idx];
    queue->siblings[queue->nic->queue_idx] = (uint8_t)idx;
    for (uint32_t i = 0; i < dataplane->queue_count && queue->nic->queue_count > 1; i++) {
        if (dataplane_same_nic(dataplane, i, idx)) {
            queue->siblings[dataplane->nics[i]->queue_idx] = (uint8_t)i;
        }
    }
}

static enum rs_status dataplane_create_queues(struct dataplane *dataplane)
{
    struct control *control = &dataplane->control;
    egress_init(&dataplane->egress, dataplane->configs, dataplane->queue_count);
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        const struct queue_input input = {
            .config = &dataplane->configs[i],
            .nic = dataplane->nics[i],
            .idx = i,
            .queue_count = dataplane->queue_count,
            .stack = dataplane_stack_config(dataplane, i),
            .egress = dataplane->egress.nic_count > 1 ? &dataplane->egress : NULL,
            .clock = &control->clock,
            .control_event = &control->wake,
            .control_sleeping = &control->sleeping};
        enum rs_status status = queue_create(&input, &dataplane->queues[i]);
        if (status != RS_OK) {
            return status;
        }
        control->queues[i] = dataplane->queues[i];
        dataplane_find_siblings(dataplane, i);
    }
    return RS_OK;
}

/* ---- between queues
 * ------------------------------------------------------------------------------------- */

static uint32_t dataplane_handover_bytes(const struct dataplane *dataplane)
{
    uint32_t bytes = DATAPLANE_HANDOVER_LEAST;
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        uint32_t frame_bytes = dataplane->nics[i]->mtu_bytes + DATAPLANE_FRAME_BYTES;
        if (dataplane->nics[i]->kind != RS_NIC_LOOPBACK && frame_bytes > bytes) {
            bytes = frame_bytes;
        }
    }
    return bytes;
}

static enum rs_status dataplane_connect_queues(struct dataplane *dataplane)
{
    uint32_t bytes = dataplane_handover_bytes(dataplane);
    for (uint32_t from = 0; from < dataplane->queue_count; from++) {
        for (uint32_t to = 0; to < dataplane->queue_count; to++) {
            struct handover_ring *ring;
            if (from == to) {
                continue;
            }
            enum rs_status status = handover_create(DATAPLANE_HANDOVER_SLOTS, bytes, &ring);
            if (status != RS_OK) {
                return status;
            }
            dataplane->queues[from]->handover_out[to] = ring;
            dataplane->queues[to]->handover_in[from] = ring;
        }
    }
    return RS_OK;
}

static void dataplane_destroy_queues(struct dataplane *dataplane)
{
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        struct queue *queue = dataplane->queues[i];
        for (uint32_t to = 0; queue != NULL && to < RS_QUEUES_MAX; to++) {
            handover_destroy(queue->handover_out[to]);
        }
        if (queue != NULL) {
            queue_destroy(queue);
        }
    }
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------ */

enum rs_status dataplane_create(const struct queue_config *configs, struct nic *const *nics,
                                uint32_t count, struct dataplane **out)
{
    enum rs_status status = RS_NO_MEMORY;
    struct dataplane *dataplane = calloc(1, sizeof(*dataplane));
    if (dataplane == NULL) {
        goto close_nics;
    }
    dataplane->queue_count = count;
    memcpy(dataplane->configs, configs, count * sizeof(configs[0]));
    memcpy(dataplane->nics, nics, count * sizeof(struct nic *));
    status = os_random(dataplane->tcp_secret, sizeof(dataplane->tcp_secret));
    if (status != RS_OK) {
        goto free_dataplane;
    }
    status = control_create(dataplane->configs, dataplane->nics, count, &dataplane->control);
    if (status != RS_OK) {
        goto free_dataplane;
    }
    status = dataplane_create_queues(dataplane);
    if (status == RS_OK) {
        status = dataplane_connect_queues(dataplane);
    }
    if (status != RS_OK) {
        goto destroy_queues;
    }
    *out = dataplane;
    return RS_OK;

destroy_queues:
    dataplane_destroy_queues(dataplane);
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
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < dataplane->queue_count && status == RS_OK; i++) {
        status = queue_start(dataplane->queues[i]);
    }
    if (status == RS_OK) {
        status = control_run(&dataplane->control, stop);
    }
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        queue_stop(dataplane->queues[i]);
    }
    return status;
}

struct control *dataplane_control(struct dataplane *dataplane)
{
    return &dataplane->control;
}

static void dataplane_books(const struct dataplane *dataplane, struct ledger_queue *books)
{
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        struct nic *nic = dataplane->nics[i];
        books[i] = (struct ledger_queue){.name = nic->name,
                                         .kind = nic->kind,
                                         .counters = stack_counters(dataplane->queues[i]->stack)};
        nic->ops->stats(nic, &books[i].nic);
    }
}

bool dataplane_ledger(const struct dataplane *dataplane, FILE *out)
{
    struct ledger_queue books[RS_QUEUES_MAX];
    dataplane_books(dataplane, books);
    return ledger_print(out, books, dataplane->queue_count);
}

void dataplane_ledger_json(const struct dataplane *dataplane, FILE *out)
{
    struct ledger_queue books[RS_QUEUES_MAX];
    dataplane_books(dataplane, books);
    (void)ledger_print_json(out, books, dataplane->queue_count);
}

void dataplane_destroy(struct dataplane *dataplane)
{
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        queue_stop(dataplane->queues[i]);
    }
    control_destroy(&dataplane->control);
    dataplane_destroy_queues(dataplane);
    for (uint32_t i = 0; i < dataplane->queue_count; i++) {
        dataplane->nics[i]->ops->close(dataplane->nics[i]);
    }
    free(dataplane);
}
