/*
 * Reports that have to ask the queues: what a connection tells about itself is private to its
 * queue. Each queue gets a list of its stream sockets, fills it in, a few entries in an iteration,
 * and gives it back; then the report is made (control_report.c). A queue that does not answer in
 * time keeps its list, and reports go without it until it does. Nobody waits here: whoever asked is
 * a peer that is answered in a later round. Control thread; called by control.c,
 * control_clients.c and control_sockets.c.
 */
#include <stdlib.h>

#include "dataplane/control_internal.h"
#include "dataplane/stream.h"
#include "rings/seq.h"

#define ASKING_NS 500000000u /* so long a report waits for the queues */
/* Who asks without end shall not keep the queues at it: after a round they have so many times its
 * length for themselves, up to a maximum. */
#define ASKING_REST        4u
#define ASKING_REST_NS_MAX 200000000u

/* ---- the lists ---- */

/* Not spares, which are of no program. */
static bool asking_wants(const struct session_socket *record, uint32_t queue_idx)
{
    return record != NULL && record->type == RS_SOCK_STREAM &&
           record->home_queue_idx == queue_idx &&
           atomic_load_explicit(&record->parts[queue_idx]->spare, memory_order_relaxed) == 0;
}

/* The sockets that the queue is asked for, into a list with room for `most`; NULL: only counts
 * them. Spares come and go meanwhile. */
static uint32_t asking_list(const struct control *control, uint32_t queue_idx,
                            struct stream_report *list, uint32_t most)
{
    uint32_t count = 0;
    for (const struct dp_session *session = control->sessions; session != NULL;
         session = session->next) {
        uint32_t left = session->config->limit_sockets - session->free_socket_count;
        /* An index may be taken that has no record yet: of a place that an accept waits for. */
        for (uint32_t i = 0; i < session->config->limit_sockets && left != 0; i++) {
            struct session_socket *record = session->records[i];
            left -= record != NULL;
            if (count == most || !asking_wants(record, queue_idx)) {
                continue;
            }
            if (list != NULL) {
                list->entries[count] = (struct stream_report_entry){
                    .session_id = session->id, .session_slot = session->slot, .idx = record->idx};
                record->report_idx = count;
            }
            count++;
        }
    }
    return count;
}

/* Without memory, or room for the message, the report goes without this queue. */
static void asking_ask(struct control *control, uint32_t queue_idx)
{
    struct control_asking *asking = &control->asking;
    uint32_t count = asking_list(control, queue_idx, NULL, UINT32_MAX);
    free(asking->lists[queue_idx]);
    asking->lists[queue_idx] = NULL;
    if (count == 0) {
        return;
    }
    struct stream_report *list =
        malloc(sizeof(*list) + (size_t)count * sizeof(struct stream_report_entry));
    if (list == NULL) {
        return;
    }
    *list = (struct stream_report){.count = asking_list(control, queue_idx, list, count)};
    struct message message = {.kind = CONTROL_REPORT};
    message.body.report = list;
    /* Not control_push: it would wait for a queue that stands still. */
    if (!message_push(control->queues[queue_idx]->from_control, &message)) {
        free(list);
        return;
    }
    asking->lists[queue_idx] = list;
    asking->lent |= 1u << queue_idx;
    asking->waited |= 1u << queue_idx;
}

/* ---- rounds of asking ---- */

static void asking_begin(struct control *control)
{
    struct control_asking *asking = &control->asking;
    asking->number++;
    asking->waited = 0;
    asking->began_ns = os_monotonic_ns();
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if ((asking->lent & 1u << i) == 0) {
            asking_ask(control, i);
        }
    }
    asking->running = asking->waited != 0;
}

static void asking_end(struct control_asking *asking, uint64_t now_ns)
{
    uint64_t rest_ns = ASKING_REST * (now_ns - asking->began_ns);
    asking->rest_until_ns = now_ns + (rest_ns < ASKING_REST_NS_MAX ? rest_ns : ASKING_REST_NS_MAX);
    asking->running = false;
}

uint64_t control_asking_join(struct control *control)
{
    struct control_asking *asking = &control->asking;
    /* What is opened since a round began is not in its lists. */
    if (asking->running || os_monotonic_ns() < asking->rest_until_ns) {
        return asking->number + 1;
    }
    asking_begin(control);
    return asking->number;
}

bool control_asking_done(struct control *control, uint64_t number)
{
    struct control_asking *asking = &control->asking;
    uint64_t now_ns = os_monotonic_ns();
    if (asking->running && (asking->waited == 0 || now_ns - asking->began_ns >= ASKING_NS)) {
        asking_end(asking, now_ns);
    }
    return number < asking->number || (number == asking->number && !asking->running);
}

void control_asking_reported(struct control *control, uint32_t queue_idx)
{
    control->asking.lent &= ~(1u << queue_idx);
    control->asking.waited &= ~(1u << queue_idx);
}

const struct stream_report_entry *control_asking_entry(const struct control *control,
                                                       const struct session_socket *record)
{
    const struct control_asking *asking = &control->asking;
    const struct stream_report *list = asking->lists[record->home_queue_idx];
    if (list == NULL || (asking->lent & 1u << record->home_queue_idx) != 0 ||
        record->report_idx >= list->count) {
        return NULL;
    }
    const struct stream_report_entry *entry = &list->entries[record->report_idx];
    /* An index's users have rising generations, and the record knows the first that it may be. */
    bool same = entry->session_id == record->session->id && entry->idx == record->idx &&
                rs_seq_before_eq(record->generation, entry->generation);
    return entry->told && same ? entry : NULL;
}

void control_asking_drop(struct control *control)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        free(control->asking.lists[i]);
        control->asking.lists[i] = NULL;
    }
}
