/*
 * `ringsockctl capture`: rings for the queues to copy frames into (rings/capture.h, capture.h), and
 * the connection that they live with. One at a time, for root and the dataplane's user: it shows
 * everybody's traffic.
 *
 *   CAPTURE   rings and the reader's words are made, their handles sent
 *   START     the queues that are wanted are told; the words are sealed, as those of a client
 *   STOP, or the connection's end    they are told again; when each has let go of its ring, STOP is
 *             answered, and when the connection is gone too, the memory is freed
 *
 * Control thread; called by control.c, control_clients.c and, for a queue's word,
 * control_sockets.c; calls rings/os and the queues by messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/capture.h"
#include "dataplane/control_internal.h"
#include "dataplane/log.h"

enum capture_state { CAPTURE_READY, CAPTURE_RUNNING, CAPTURE_STOPPING, CAPTURE_STOPPED };

struct control_capture {
    uint64_t id;
    struct os_conn conn; /* handle -1: gone */
    enum capture_state state;
    struct os_shm rings, words;
    _Atomic uint32_t faulted; /* the guard's; a reader's word that is gone reads as 0 */
    bool guarded;
    uint32_t queues; /* told, a bit each */
    uint32_t queues_left;
    struct capture captures[RS_QUEUES_MAX];
};

/* ---- memory ---- */

static uint64_t capture_pages(uint64_t bytes)
{
    return (bytes + RS_PAGE_BYTES - 1) & ~(uint64_t)(RS_PAGE_BYTES - 1);
}

static void capture_describe(struct rs_capture_queue *out, const struct control *control,
                             uint32_t idx)
{
    const struct nic *nic = control->nics[idx];
    const struct stack_config *config = &control->configs[idx].stack;
    out->ring_off =
        capture_pages(sizeof(struct rs_capture_header)) + (uint64_t)idx * RS_CAPTURE_RING_BYTES;
    out->ring_bytes = RS_CAPTURE_RING_BYTES;
    out->kind = nic->kind;
    out->nic_queue_idx = nic->queue_idx;
    out->ip_be32 = config->ip_be32;
    out->prefix_len = config->prefix_len;
    out->more_count = config->more_count;
    for (uint32_t i = 0; i < config->more_count; i++) {
        out->more_be32[i] = config->more[i].ip_be32;
        out->more_prefix_len[i] = config->more[i].prefix_len;
    }
    memcpy(out->mac, nic->mac, sizeof(out->mac));
    (void)snprintf((char *)out->nic, sizeof(out->nic), "%s", nic->name);
}

static void capture_fill_header(struct rs_capture_header *header, const struct control *control)
{
    header->magic = RS_CAPTURE_MAGIC;
    header->version = RS_CAPTURE_VERSION;
    header->queue_count = control->queue_count;
    (void)snprintf((char *)header->instance, sizeof(header->instance), "%s",
                   control->configs[0].instance);
    for (uint32_t i = 0; i < control->queue_count; i++) {
        capture_describe(&header->queues[i], control, i);
    }
}

static void capture_free(struct control_capture *capture)
{
    if (capture->guarded) {
        os_guard_remove(capture->words.base);
    }
    os_shm_destroy(&capture->words);
    os_shm_destroy(&capture->rings);
    free(capture);
}

static enum rs_status capture_make(const struct control *control, struct control_capture **out)
{
    uint64_t words_bytes = capture_pages(RS_QUEUES_MAX * sizeof(struct rs_capture_reader_word));
    uint64_t rings_bytes = capture_pages(sizeof(struct rs_capture_header)) +
                           (uint64_t)control->queue_count * RS_CAPTURE_RING_BYTES;
    struct control_capture *capture = calloc(1, sizeof(*capture));
    if (capture == NULL) {
        return RS_NO_MEMORY;
    }
    enum rs_status status = os_shm_create(OS_SHM_DP, rings_bytes, &capture->rings);
    if (status == RS_OK) {
        status = os_shm_create(OS_SHM_CL, words_bytes, &capture->words);
    }
    if (status == RS_OK) {
        status = os_guard_add(capture->words.base, capture->words.size_bytes, &capture->faulted);
        capture->guarded = status == RS_OK;
    }
    if (status != RS_OK) {
        capture_free(capture);
        return status;
    }
    capture_fill_header(capture->rings.base, control);
    *out = capture;
    return RS_OK;
}

/* ---- the end ---- */

static void capture_tell_stop(struct control *control, struct control_capture *capture)
{
    capture->state = CAPTURE_STOPPING;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if ((capture->queues & 1u << i) != 0) {
            capture->queues_left++;
            control_push(control, i,
                         &(struct message){.kind = CONTROL_CAPTURE, .body.capture = NULL});
        }
    }
}

/* No queue has it, and nobody reads it. */
static void capture_end(struct control *control)
{
    capture_free(control->capture);
    control->capture = NULL;
}

/* The connection is over. */
static void capture_gone(struct control *control, struct control_capture *capture)
{
    os_poller_remove(control->poller, OS_SOURCE_CONN, &capture->conn);
    os_conn_close(&capture->conn);
    capture->conn.handle = -1;
    log_line(LOG_LEVEL_INFO, "control", "capture of pid %u ended", capture->conn.peer_pid);
    if (capture->state == CAPTURE_RUNNING) {
        capture_tell_stop(control, capture);
    } else if (capture->state != CAPTURE_STOPPING) {
        capture_end(control);
    }
}

void control_capture_stopped(struct control *control)
{
    struct control_capture *capture = control->capture;
    capture->queues_left--;
    if (capture->queues_left != 0) {
        return;
    }
    capture->state = CAPTURE_STOPPED;
    if (capture->conn.handle == -1) {
        capture_end(control);
    } else if (control_answer(&capture->conn, RS_CTL_CAPTURE_STOP, RS_OK, NULL, NULL, 0, "") !=
               RS_OK) {
        capture_gone(control, capture);
    }
}

void control_capture_drop(struct control *control)
{
    struct control_capture *capture = control->capture;
    if (capture == NULL) {
        return;
    }
    if (capture->conn.handle != -1) {
        os_poller_remove(control->poller, OS_SOURCE_CONN, &capture->conn);
        os_conn_close(&capture->conn);
    }
    capture_end(control);
}

/* ---- what its connection says ---- */

static enum rs_status capture_send_handles(struct control_capture *capture)
{
    const struct os_conn_handle handles[2] = {
        {.handle = capture->rings.handle, .kind = OS_HANDLE_SHM_READ},
        {.handle = capture->words.handle, .kind = OS_HANDLE_SHM_WRITE}};
    const struct rs_ctl_answer fields = {
        .sizes_bytes = {capture->rings.size_bytes, capture->words.size_bytes}};
    return control_answer(&capture->conn, RS_CTL_CAPTURE, RS_OK, &fields, handles, 2, "");
}

enum rs_status control_capture_begin(struct control *control, const struct os_conn *conn,
                                     uint32_t version, const char **text)
{
    struct control_capture *capture;
    if (!os_access_sees_all(conn)) {
        *text = "a capture shows the traffic of all users: root and the dataplane's user may";
        return RS_ACCESS;
    }
    if (version != RS_CAPTURE_VERSION) {
        *text = "the dataplane and ringsockctl are of different versions";
        return RS_VERSION_MISMATCH;
    }
    if (control->capture != NULL || control->stopping) {
        *text = control->stopping ? "the dataplane is stopping" : "there is a capture already";
        return control->stopping ? RS_NOT_READY : RS_ALREADY;
    }
    enum rs_status status = capture_make(control, &capture);
    if (status != RS_OK) {
        *text = "the dataplane could not make the rings";
        return status;
    }
    capture->id = control->next_id++;
    capture->conn = *conn;
    status = os_poller_add(control->poller, OS_SOURCE_CONN, &capture->conn,
                           control_token(SOURCE_CAPTURE, capture->id));
    if (status != RS_OK) {
        *text = "the dataplane could not watch the connection";
        capture_free(capture);
        return status;
    }
    control->capture = capture;
    control->counts.captures++;
    log_line(LOG_LEVEL_INFO, "control", "capture of pid %u begins", conn->peer_pid);
    if (capture_send_handles(capture) != RS_OK) {
        capture_gone(control, capture);
    }
    return RS_OK;
}

/* One queue copies from now on. Its ring's pages are there before it writes. */
static void capture_start_queue(struct control *control, struct control_capture *capture,
                                uint32_t idx, uint32_t arg)
{
    struct rs_capture_header *header = capture->rings.base;
    struct rs_capture_reader_word *words = capture->words.base;
    uint8_t *ring = (uint8_t *)header + header->queues[idx].ring_off;
    struct capture *own = &capture->captures[idx];
    memset(ring, 0, RS_CAPTURE_RING_BYTES);
    capture_init(own, ring, RS_CAPTURE_RING_BYTES, &header->queues[idx], &words[idx].head,
                 arg >> 16);
    own->nic = (arg >> idx & 1) != 0;
    own->local = (arg >> (8 + idx) & 1) != 0;
    capture->queues |= 1u << idx;
    control_push(control, idx, &(struct message){.kind = CONTROL_CAPTURE, .body.capture = own});
}

static enum rs_status capture_start(struct control *control, struct control_capture *capture,
                                    uint32_t arg)
{
    uint32_t queues = (arg | arg >> 8) & 0xff;
    if (capture->state != CAPTURE_READY || queues == 0 || queues >> control->queue_count != 0 ||
        os_shm_seal(&capture->words) != RS_OK) {
        return RS_CORRUPT;
    }
    capture->state = CAPTURE_RUNNING;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if ((queues >> i & 1) != 0) {
            capture_start_queue(control, capture, i, arg);
        }
    }
    return control_answer(&capture->conn, RS_CTL_CAPTURE_START, RS_OK, NULL, NULL, 0, "");
}

static enum rs_status capture_request(struct control *control, struct control_capture *capture,
                                      const struct rs_ctl_request *request)
{
    if (request->type == RS_CTL_CAPTURE_START) {
        return capture_start(control, capture, request->arg);
    }
    if (request->type != RS_CTL_CAPTURE_STOP || capture->state != CAPTURE_RUNNING) {
        return RS_CORRUPT;
    }
    capture_tell_stop(control, capture);
    return RS_OK;
}

void control_capture_ready(struct control *control, uint64_t id)
{
    struct control_capture *capture = control->capture;
    struct rs_ctl_request request;
    if (capture == NULL || capture->id != id || capture->conn.handle == -1) {
        return;
    }
    enum rs_status status = control_receive(&capture->conn, &request);
    if (status == RS_OK) {
        status = capture_request(control, capture, &request);
    }
    if (status == RS_CORRUPT) {
        control->counts.malformed++;
        log_line(LOG_LEVEL_WARNING, "control",
                 "capture of pid %u sent a malformed control message; ended",
                 capture->conn.peer_pid);
    }
    if (status != RS_OK && status != RS_TIMED_OUT) {
        capture_gone(control, capture);
    }
}
