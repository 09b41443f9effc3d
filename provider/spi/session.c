/*
 * Attaches. A program attaches at its first socket, not at WSPStartup: address strings and option
 * lists need no dataplane, a dataplane may start after the program, and after a restart the next
 * socket simply attaches anew while the old ones fail with WSAENETDOWN. Any thread, by
 * session_lock; slow path only.
 */
#include <mimalloc.h>
#include <stdio.h>

#include "provider/spi/spi.h"

static SRWLOCK session_lock = SRWLOCK_INIT;
static struct spi_session *session_current; /* by session_lock; holds a reference */

static void session_explain(enum rs_status status)
{
    char line[400];
    snprintf(line, sizeof(line), "ringsock: cannot attach to the dataplane: %s (%s)\n",
             client_last_error_text(), rs_status_name(status));
    OutputDebugStringA(line);
}

static enum rs_status session_open(struct spi_session **out)
{
    struct spi_session *session = mi_zalloc(sizeof(*session));
    if (session == NULL) {
        return RS_NO_MEMORY;
    }
    const struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    enum rs_status status = client_open(&config, &session->client);
    if (status != RS_OK) {
        session_explain(status);
        mi_free(session);
        return status;
    }
    atomic_store_explicit(&session->refs, 1, memory_order_relaxed);
    *out = session;
    return RS_OK;
}

enum rs_status spi_session_get(struct spi_session **out)
{
    struct spi_session *gone = NULL;
    enum rs_status status = RS_OK;
    AcquireSRWLockExclusive(&session_lock);
    if (!spi_started()) { /* since the caller looked: nobody would let go of it */
        ReleaseSRWLockExclusive(&session_lock);
        return RS_NOT_INITIALISED;
    }
    if (session_current != NULL && !client_alive(session_current->client)) {
        gone = session_current;
        session_current = NULL;
    }
    if (session_current == NULL) {
        status = session_open(&session_current);
    }
    if (status == RS_OK) {
        atomic_fetch_add_explicit(&session_current->refs, 1, memory_order_relaxed);
        *out = session_current;
    }
    ReleaseSRWLockExclusive(&session_lock);
    if (gone != NULL) {
        spi_session_put(gone);
    }
    return status;
}

void spi_session_hold(struct spi_session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
}

void spi_session_put(struct spi_session *session)
{
    /* Acquire and release, partner the other puts: the last sees what all did. */
    if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) == 1) {
        client_close(session->client);
        mi_free(session);
    }
}

void spi_session_drop_current(void)
{
    AcquireSRWLockExclusive(&session_lock);
    struct spi_session *session = session_current;
    session_current = NULL;
    ReleaseSRWLockExclusive(&session_lock);
    if (session != NULL) {
        spi_session_put(session);
    }
}
