/*
 * The control thread's loop of control.h: waits for clients, their messages, their deaths and the
 * queues' messages, and has each served. Called by dataplane.c on the thread that called
 * dataplane_run; calls control_clients.c, control_sockets.c and rings/os.
 */
#include "dataplane/control.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/control_internal.h"
#include "dataplane/log.h"

#define CONTROL_WATCH_NS   100000000u /* link, silent connections */
#define CONTROL_STOP_NS    3000000000u
#define CONTROL_REPORTS_NS 5000000u /* while somebody waits for a report */

/* Takes over the MACs each queue left, then lets it leave the next ones. */
static void control_multicast(struct control *control)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        struct queue *queue = control->queues[i];
        struct nic *nic = control->nics[i];
        /* acquire: partner is the queue's release after it filled the list */
        if (atomic_load_explicit(&queue->macs_ready, memory_order_acquire) == 0) {
            continue;
        }
        enum rs_status status =
            nic->ops->multicast_set(nic, (const uint8_t(*)[6])queue->macs, queue->mac_count);
        if (status != RS_OK) {
            log_line(LOG_LEVEL_WARNING, "nic", "%s: multicast filter not set: %s", nic->name,
                     rs_status_name(status));
        }
        control->mac_filters[i] = queue->mac_count;
        /* release: our reads of the list come before the queue fills it again */
        atomic_store_explicit(&queue->macs_ready, 0, memory_order_release);
    }
}

void control_tell_link(const struct control *control, struct dp_session *session, uint32_t i)
{
    /* relaxed: the word is all there is to know; partner: client_address_changes */
    atomic_store_explicit(&session->parts[i].state->link_changes, control->link_changes[i],
                          memory_order_relaxed);
}

static void control_watch_queue(struct control *control, uint32_t i)
{
    struct nic *nic = control->nics[i];
    bool up = nic->ops->link_up(nic);
    if (nic->ops->watch != NULL) {
        nic->ops->watch(nic);
    }
    if (up != control->link_was_up[i]) {
        control->link_was_up[i] = up;
        control->link_changes[i]++;
        atomic_store_explicit(&control->queues[i]->link_down, up ? 0 : 1, memory_order_relaxed);
        for (struct dp_session *each = control->sessions; each != NULL; each = each->next) {
            control_tell_link(control, each, i);
        }
        log_line(up ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "nic", "%s: link %s", nic->name,
                 up ? "up" : "down: nothing is sent or received until the cable or peer is back");
    }
    if (atomic_exchange_explicit(&control->queues[i]->pin_failed, 0, memory_order_relaxed) != 0) {
        log_line(LOG_LEVEL_WARNING, "queue", "queue %u cannot run on core %d; running unpinned", i,
                 control->configs[i].core);
    }
}

static void control_watch(struct control *control, uint64_t now_ns)
{
    control->next_watch_ns = now_ns + CONTROL_WATCH_NS;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control_watch_queue(control, i);
    }
    control_peers_expire(control, now_ns);
    control_share_expire(control, now_ns);
}

static void control_dispatch(struct control *control, uint64_t token)
{
    uint64_t id = token & ~(0xffull << 56);
    switch (token >> 56) {
    case SOURCE_LISTENER:
        if (!control->stopping) {
            control_accept(control);
        }
        return;
    case SOURCE_STOP:
        control->stopping = true;
        return;
    case SOURCE_PEER:
        control_peer_ready(control, id);
        return;
    case SOURCE_CONN:
        control_conn_ready(control, id);
        return;
    case SOURCE_PROCESS:
        control_process_ended(control, id);
        return;
    case SOURCE_GRANTEE:
        control_share_forsaken(control, id);
        return;
    case SOURCE_CAPTURE:
        control_capture_ready(control, id);
        return;
    default: /* SOURCE_WAKE: messages are taken in every round */
        return;
    }
}

enum rs_status control_round(struct control *control, uint64_t timeout_ns)
{
    uint64_t tokens[32];
    uint32_t count = 0;
    /* Stored before the look for messages; partner: queue_tell_control pushes, fences, and looks at
     * this word. */
    atomic_store_explicit(&control->sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    bool more = control_messages(control);
    control_attach_waiting(control);
    if (control_reports_waiting(control) && timeout_ns > CONTROL_REPORTS_NS) {
        timeout_ns = CONTROL_REPORTS_NS;
    }
    control_multicast(control);
    enum rs_status status =
        os_poller_wait(control->poller, more ? 0 : timeout_ns, tokens, 32, &count);
    atomic_store_explicit(&control->sleeping, 0, memory_order_relaxed);
    if (status != RS_OK && status != RS_TIMED_OUT) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        control_dispatch(control, tokens[i]);
    }
    uint64_t now_ns = os_monotonic_ns();
    if (now_ns >= control->next_watch_ns) {
        control_watch(control, now_ns);
    }
    return RS_OK;
}

enum rs_status control_run(struct control *control, struct os_event *stop)
{
    enum rs_status status =
        os_poller_add(control->poller, OS_SOURCE_EVENT, stop, control_token(SOURCE_STOP, 0));
    while (status == RS_OK && !control->stopping) {
        status = control_round(control, CONTROL_WATCH_NS);
    }
    os_poller_remove(control->poller, OS_SOURCE_EVENT, stop);
    control->stopping = true;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        /* relaxed: partner request_end_aborts, sooner or later */
        atomic_store_explicit(&control->queues[i]->hurry, 1, memory_order_relaxed);
    }
    for (struct dp_session *session = control->sessions; session != NULL; session = session->next) {
        control_session_end(control, session);
    }
    uint64_t give_up_ns = os_monotonic_ns() + CONTROL_STOP_NS;
    while (status == RS_OK && control->sessions != NULL && os_monotonic_ns() < give_up_ns) {
        for (struct dp_session *next, *session = control->sessions; session != NULL;
             session = next) {
            next = session->next;
            if (session->state == SESSION_ENDED) {
                control_session_free(control, session);
            }
        }
        if (control->sessions != NULL) {
            status = control_round(control, CONTROL_WATCH_NS);
        }
    }
    control_house_end(control);
    while (status == RS_OK && !control_house_ended(control) && os_monotonic_ns() < give_up_ns) {
        status = control_round(control, CONTROL_WATCH_NS);
    }
    if (control->sessions != NULL) {
        log_line(LOG_LEVEL_WARNING, "control", "%u sessions did not end within 3 s",
                 control->session_count);
    }
    return status;
}

enum rs_status control_create(const struct queue_config *configs, struct nic *const *nics,
                              uint32_t queue_count, struct control *out)
{
    *out = (struct control){.configs = configs, .queue_count = queue_count, .next_id = 1};
    for (uint32_t i = 0; i < queue_count; i++) {
        out->nics[i] = nics[i];
        out->link_was_up[i] = true;
    }
    uint64_t random[3];
    out->clock = rs_clock_make(os_tsc(), os_unix_ns(), os_tsc_hz());
    enum rs_status status = os_random(random, sizeof(random));
    if (status != RS_OK) {
        return status;
    }
    out->epoch = random[0] | 1; /* never 0 */
    status = ports_create((uint32_t)random[1], &out->ports);
    if (status != RS_OK) {
        return status;
    }
    status = ports_create((uint32_t)random[2], &out->tcp_ports);
    if (status != RS_OK) {
        goto destroy_ports;
    }
    status = os_event_create(&out->wake);
    if (status != RS_OK) {
        goto destroy_tcp_ports;
    }
    status = os_listen(configs[0].instance, &configs[0].access, &out->listener);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "control", "instance %s: %s (%s)", configs[0].instance,
                 status == RS_ADDR_IN_USE ? "another dataplane serves it" : "cannot listen",
                 os_last_error_text());
        goto destroy_wake;
    }
    status = os_poller_create(&out->poller);
    if (status != RS_OK) {
        goto close_listener;
    }
    status = os_poller_add(out->poller, OS_SOURCE_LISTENER, &out->listener,
                           control_token(SOURCE_LISTENER, 0));
    if (status == RS_OK) {
        status =
            os_poller_add(out->poller, OS_SOURCE_EVENT, &out->wake, control_token(SOURCE_WAKE, 0));
    }
    if (status != RS_OK) {
        goto destroy_poller;
    }
    return RS_OK;

destroy_poller:
    os_poller_destroy(out->poller);
close_listener:
    os_listener_close(&out->listener);
destroy_wake:
    os_event_destroy(&out->wake);
destroy_tcp_ports:
    ports_destroy(out->tcp_ports);
destroy_ports:
    ports_destroy(out->ports);
    return status;
}

void control_destroy(struct control *control)
{
    while (control->sessions !=
           NULL) { /* only those that did not end in time: the queue has stopped */
        struct dp_session *session = control->sessions;
        control_sockets_drop(control, session);
        control_session_free(control, session);
    }
    control_house_drop(control);
    control_peers_close(control);
    control_capture_drop(control);
    control_messages_drop(control);
    control_asking_drop(control);
    os_poller_destroy(control->poller);
    os_listener_close(&control->listener);
    os_event_destroy(&control->wake);
    ports_destroy(control->tcp_ports);
    ports_destroy(control->ports);
}
