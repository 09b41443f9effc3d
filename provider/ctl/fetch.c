/*
 * Asks a dataplane for a report over a control connection of its own, copies and checks it. Calls
 * rings/os; called by main.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/control.h"
#include "rings/os/os.h"

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
                                      size_t bytes, uint32_t handle_count)
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
    if (answer->type != RS_CTL_REPORT || handle_count != 1 || answer->value > RS_REPORT_BYTES_MAX) {
        (void)fprintf(stderr, "ringsockctl: instance %s answers something else\n", instance);
        return RS_CORRUPT;
    }
    return RS_OK;
}

/* The object itself, mapped. */
static enum rs_status fetch_map(const char *instance, struct os_conn *conn, struct os_shm *out)
{
    const struct rs_ctl_request request = {
        .magic = RS_MAGIC, .type = RS_CTL_REPORT, .arg = RS_REPORT_VERSION};
    struct rs_ctl_answer answer = {0};
    size_t bytes = sizeof(answer);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    enum rs_status status = os_conn_send(conn, &request, sizeof(request), NULL, 0);
    /* One that refuses us closes at once, but its reason can still be read. */
    if (status == RS_OK || status == RS_DATAPLANE_GONE) {
        status = os_conn_recv(conn, &answer, &bytes, handles, &handle_count, FETCH_ANSWER_NS);
    }
    if (status != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: instance %s gives no report: %s%s\n", instance,
                      rs_status_name(status),
                      status == RS_DATAPLANE_GONE ? "; it ended, or is older than this program"
                                                  : "");
        return status;
    }
    status = fetch_answer_ok(instance, &answer, bytes, handle_count);
    if (status == RS_OK) {
        status = os_shm_map(handles[0], answer.value, false, out); /* takes the handle */
        handle_count = 0;
        if (status != RS_OK) {
            (void)fprintf(stderr, "ringsockctl: the report cannot be mapped: %s\n",
                          os_last_error_text());
        }
    }
    for (uint32_t i = 0; i < handle_count; i++) {
        os_handle_close(handles[i]);
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
    enum rs_status status = os_connect(instance, FETCH_CONNECT_NS, &conn);
    if (status != RS_OK) {
        fetch_no_connection(instance, status);
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
