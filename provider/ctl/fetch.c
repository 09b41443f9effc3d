/*
 * Asks a dataplane over a control connection of its own; copies and checks a report. Calls
 * rings/os; called by main.c and capture.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/ctl/ctl.h"

#define FETCH_CONNECT_NS 2000000000u
#define FETCH_ANSWER_NS  10000000000u /* the control thread may be busy with others */

static void fetch_no_connection(const char *instance, enum rs_status status)
{
    if (status == RS_NOT_READY) {
        (void)fprintf(stderr,
                      "ringsockctl: no dataplane serves instance %s\n"
                      "Start one: ringsockd CONFIG, with name = %s under [instance] in CONFIG.\n"
                      "Another instance is named by --instance or RINGSOCK_INSTANCE.\n",
                      instance, instance);
    } else if (status == RS_INVALID) {
        (void)fprintf(stderr,
                      "ringsockctl: %s is no name of an instance: 1 to 31 letters, digits, - and "
                      "_\n",
                      instance);
    } else if (status == RS_ATTACH_REFUSED) {
        (void)fprintf(stderr, "ringsockctl: instance %s: this user may not ask it (%s)\n", instance,
                      os_last_error_text());
    } else {
        (void)fprintf(stderr, "ringsockctl: instance %s cannot be reached: %s (%s)\n", instance,
                      rs_status_name(status), os_last_error_text());
    }
}

/* Checks the answer; what is wrong goes to stderr. */
static enum rs_status fetch_answer_ok(const char *instance, struct rs_ctl_answer *answer,
                                      size_t bytes, uint32_t type)
{
    answer->text[sizeof(answer->text) - 1] = '\0';
    if (bytes != sizeof(*answer) || answer->magic != RS_MAGIC) {
        (void)fprintf(stderr, "ringsockctl: instance %s answers nonsense\n", instance);
        return RS_CORRUPT;
    }
    ctl_clean(answer->text);
    if (answer->status != RS_OK) { /* of whatever type: a refused connection hears it at once */
        (void)fprintf(stderr, "ringsockctl: instance %s refuses: %s (%s)\n", instance, answer->text,
                      rs_status_name((enum rs_status)answer->status));
        return RS_ATTACH_REFUSED;
    }
    if (answer->type != type) {
        (void)fprintf(stderr, "ringsockctl: instance %s answers something else\n", instance);
        return RS_CORRUPT;
    }
    return RS_OK;
}

enum rs_status ctl_connect(const char *instance, struct os_conn *out)
{
    enum rs_status status = os_connect(instance, FETCH_CONNECT_NS, out);
    if (status != RS_OK) {
        fetch_no_connection(instance, status);
    }
    return status;
}

enum rs_status ctl_ask(const char *instance, struct os_conn *conn, uint32_t type, uint32_t arg,
                       struct rs_ctl_answer *answer, intptr_t *handles, uint32_t handle_count)
{
    const struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    size_t bytes = sizeof(*answer);
    intptr_t received[OS_CONN_HANDLES];
    uint32_t received_count = 0;
    enum rs_status status = os_conn_send(conn, &request, sizeof(request), NULL, 0);
    /* One that refuses us closes at once, but its reason can still be read. */
    if (status == RS_OK || status == RS_DATAPLANE_GONE) {
        status = os_conn_recv(conn, answer, &bytes, received, &received_count, FETCH_ANSWER_NS);
    }
    if (status != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: instance %s gives no answer: %s%s\n", instance,
                      rs_status_name(status),
                      status == RS_DATAPLANE_GONE ? "; it ended, or is older than this program"
                                                  : "");
        return status;
    }
    status = fetch_answer_ok(instance, answer, bytes, type);
    if (status == RS_OK && received_count != handle_count) {
        (void)fprintf(stderr, "ringsockctl: instance %s answers something else\n", instance);
        status = RS_CORRUPT;
    }
    for (uint32_t i = 0; i < received_count; i++) {
        if (status == RS_OK) {
            handles[i] = received[i];
        } else {
            os_handle_close(received[i]);
        }
    }
    return status;
}

/* The object itself, mapped. */
static enum rs_status fetch_map(const char *instance, struct os_conn *conn, struct os_shm *out)
{
    struct rs_ctl_answer answer = {0};
    intptr_t handle;
    enum rs_status status =
        ctl_ask(instance, conn, RS_CTL_REPORT, RS_REPORT_VERSION, &answer, &handle, 1);
    if (status != RS_OK) {
        return status;
    }
    if (answer.value > RS_REPORT_BYTES_MAX) {
        (void)fprintf(stderr, "ringsockctl: instance %s answers something else\n", instance);
        os_handle_close(handle);
        return RS_CORRUPT;
    }
    status = os_shm_map(handle, answer.value, false, out); /* takes the handle */
    if (status != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: the report cannot be mapped: %s\n",
                      os_last_error_text());
    }
    return status;
}

static enum rs_status fetch_check(const struct os_shm *shm, struct ctl_report *out)
{
    const char *why = "";
    out->copy = malloc(shm->size_bytes);
    if (out->copy == NULL) {
        (void)fprintf(stderr, "ringsockctl: no memory for a report of %" PRIu64 " bytes\n",
                      shm->size_bytes);
        return RS_NO_MEMORY;
    }
    memcpy(out->copy, shm->base, shm->size_bytes);
    enum rs_status status = rs_report_check(out->copy, shm->size_bytes, &out->view, &why);
    if (status == RS_VERSION_MISMATCH) {
        (void)fprintf(stderr,
                      "ringsockctl: the dataplane makes reports of another version than %u; use "
                      "the ringsockctl that came with it\n",
                      RS_REPORT_VERSION);
    } else if (status != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: the report is none (%s)\n", why);
    }
    return status;
}

enum rs_status ctl_fetch(const char *instance, struct ctl_report *out)
{
    struct os_conn conn;
    struct os_shm shm = {.base = NULL};
    *out = (struct ctl_report){.copy = NULL};
    enum rs_status status = ctl_connect(instance, &conn);
    if (status != RS_OK) {
        return status;
    }
    status = fetch_map(instance, &conn, &shm);
    os_conn_close(&conn);
    if (status == RS_OK) {
        status = fetch_check(&shm, out);
        os_shm_destroy(&shm);
    }
    if (status != RS_OK) {
        ctl_report_free(out);
    }
    return status;
}

void ctl_report_free(struct ctl_report *report)
{
    free(report->copy);
    report->copy = NULL;
}
