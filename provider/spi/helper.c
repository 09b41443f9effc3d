/*
 * See helper.h. The helper waits on the watch of the newest attach. Those before it, whose
 * dataplane is gone, are looked at whenever it wakes, and let go of when no socket of theirs is
 * left; so whoever has something for an old one nudges the newest. Calls the client core's watch
 * and, for each socket worth a look, the functions in helper_ready; none of them may block.
 */
#include "provider/spi/helper.h"
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/net_change.h"
#include "provider/spi/overlapped.h"
#include "rings/os/os.h"

/* Not more than the client core takes attaches. */
#define HELPER_SESSIONS 32u
#define HELPER_REPORTS  32u
/* Between two looks for a change of an address, which nothing reports, while somebody waits. */
#define HELPER_CHANGE_NS 100000000u

/* In this order, on the helper's thread. */
static void (*const helper_ready[])(struct spi_socket *socket) = {
    spi_overlapped_ready, spi_events_ready, spi_accept_ready};

static SRWLOCK helper_lock = SRWLOCK_INIT; /* guards what follows, up to the atomics */
static struct os_thread helper_thread;
static bool helper_runs;
static struct spi_session *helper_sessions[HELPER_SESSIONS]; /* newest first, each held */
static uint32_t helper_session_count;
/* Changed under helper_lock; partner: spi_helper_look, helper_run. NULL: no helper. */
static struct client_watch *_Atomic helper_newest;
static struct spi_work *_Atomic helper_works; /* newest first; partner: helper_run_works */
static _Atomic bool helper_stopping;

/* ---- any thread ---- */

/* Behind whatever the helper is to see; helper_lock held. */
static void helper_wake(void)
{
    if (helper_runs) {
        client_watch_nudge(atomic_load_explicit(&helper_newest, memory_order_relaxed));
    }
}

void spi_helper_look(struct spi_socket *socket)
{
    struct client_watch *watch =
        atomic_load_explicit(&socket->session->watch, memory_order_acquire);
    if (watch == NULL) {
        return;
    }
    client_watch_look(watch, socket->core);
    /* The helper reads helper_newest, fences and looks before it waits there: so it sees what was
     * listed just now, or we see where it waits. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&helper_newest, memory_order_relaxed) != watch) {
        AcquireSRWLockShared(&helper_lock);
        helper_wake();
        ReleaseSRWLockShared(&helper_lock);
    }
}

void spi_helper_arm(struct spi_socket *socket, uint32_t want)
{
    struct client_watch *watch =
        atomic_load_explicit(&socket->session->watch, memory_order_acquire);
    if (client_watch_arm(watch, socket->core, want)) {
        spi_helper_look(socket);
    }
}

static void helper_run_works(void)
{
    /* Acquire, partner spi_helper_post. */
    struct spi_work *work = atomic_exchange_explicit(&helper_works, NULL, memory_order_acquire);
    while (work != NULL) {
        struct spi_work *next = work->next;
        work->run(work);
        work = next;
    }
}

void spi_helper_post(struct spi_work *work)
{
    AcquireSRWLockShared(&helper_lock);
    bool runs = helper_runs;
    if (runs) {
        struct spi_work *first = atomic_load_explicit(&helper_works, memory_order_relaxed);
        do {
            work->next = first;
        } while (!atomic_compare_exchange_weak_explicit(
            &helper_works, &first, work, memory_order_release, memory_order_relaxed));
        helper_wake();
    }
    ReleaseSRWLockShared(&helper_lock);
    if (!runs) {
        work->run(work);
    }
}

/* ---- the helper ---- */

static void helper_look_at(struct client_socket *core)
{
    struct spi_socket *socket = spi_socket_of(core);
    for (size_t i = 0; socket != NULL && i < sizeof(helper_ready) / sizeof(helper_ready[0]); i++) {
        helper_ready[i](socket);
    }
    if (socket != NULL) {
        spi_socket_put(socket);
    }
    client_socket_unref(core);
}

/* True: the attach is over, and all its sockets have been looked at. */
static bool helper_serve(struct client_watch *watch, uint64_t timeout_ns)
{
    struct client_socket *cores[HELPER_REPORTS];
    uint32_t count = 0;
    enum rs_status status = client_watch_wait(watch, cores, HELPER_REPORTS, timeout_ns, &count);
    for (uint32_t i = 0; i < count; i++) {
        helper_look_at(cores[i]);
    }
    if (status == RS_OS_ERROR) {
        os_sleep_ns(1000000); /* as good as a wait that ends, and no loop that burns a core */
    }
    return count == 0 && status != RS_OK && status != RS_TIMED_OUT;
}

/* helper_lock held exclusively: an old attach of which only we know is let go of. */
static struct spi_session *helper_forget(uint32_t idx)
{
    struct spi_session *session = helper_sessions[idx];
    if (atomic_load_explicit(&session->refs, memory_order_acquire) != 1) {
        return NULL;
    }
    helper_sessions[idx] = helper_sessions[--helper_session_count];
    return session;
}

static void helper_serve_old(void)
{
    for (uint32_t i = 1;; i++) {
        AcquireSRWLockShared(&helper_lock);
        struct spi_session *session = i < helper_session_count ? helper_sessions[i] : NULL;
        ReleaseSRWLockShared(&helper_lock);
        if (session == NULL) {
            return;
        }
        struct client_watch *watch = atomic_load_explicit(&session->watch, memory_order_relaxed);
        if (helper_serve(watch, 0)) {
            AcquireSRWLockExclusive(&helper_lock);
            /* A new attach may have moved it. */
            struct spi_session *over = helper_sessions[i] == session ? helper_forget(i) : NULL;
            ReleaseSRWLockExclusive(&helper_lock);
            if (over != NULL) {
                spi_session_put(over);
                i--;
            }
        }
    }
}

static void helper_run(void *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&helper_stopping, memory_order_acquire)) {
        struct client_watch *newest = atomic_load_explicit(&helper_newest, memory_order_acquire);
        /* Partner: spi_helper_look. */
        atomic_thread_fence(memory_order_seq_cst);
        helper_run_works();
        spi_net_change_look();
        helper_serve_old();
        /* The nudge that tells of a newer one may be taken already. */
        if (!atomic_load_explicit(&helper_stopping, memory_order_acquire) &&
            atomic_load_explicit(&helper_newest, memory_order_acquire) == newest) {
            (void)helper_serve(newest, spi_net_change_waits() ? HELPER_CHANGE_NS : UINT64_MAX);
        }
    }
    helper_run_works();
}

/* ---- start, stop ---- */

/* helper_lock held exclusively. */
static int helper_start(struct spi_session *session)
{
    struct client_watch *watch = NULL;
    if (!spi_started()) {
        return WSANOTINITIALISED;
    }
    if (helper_session_count == HELPER_SESSIONS) {
        return WSAENOBUFS;
    }
    enum rs_status status = client_watch_open(session->client, &watch);
    if (status != RS_OK) {
        return status == RS_DATAPLANE_GONE || status == RS_POISONED ? WSAENETDOWN : WSAENOBUFS;
    }
    atomic_store_explicit(&helper_newest, watch, memory_order_release);
    if (!helper_runs) {
        atomic_store_explicit(&helper_stopping, false, memory_order_relaxed);
        if (os_thread_start(&helper_thread, helper_run, NULL, "ringsock-helper") != RS_OK) {
            atomic_store_explicit(&helper_newest, NULL, memory_order_relaxed);
            client_watch_close(session->client);
            return WSAENOBUFS;
        }
        helper_runs = true;
    }
    spi_session_hold(session);
    for (uint32_t i = helper_session_count++; i > 0; i--) {
        helper_sessions[i] = helper_sessions[i - 1];
    }
    helper_sessions[0] = session;
    /* Release, partner spi_helper_use and those behind it. */
    atomic_store_explicit(&session->watch, watch, memory_order_release);
    if (helper_session_count > 1) { /* it waits where nothing comes any more */
        client_watch_nudge(atomic_load_explicit(&helper_sessions[1]->watch, memory_order_relaxed));
    }
    return 0;
}

int spi_helper_use(struct spi_session *session)
{
    if (atomic_load_explicit(&session->watch, memory_order_acquire) != NULL) {
        return 0;
    }
    AcquireSRWLockExclusive(&helper_lock);
    int code = atomic_load_explicit(&session->watch, memory_order_relaxed) != NULL
                   ? 0
                   : helper_start(session);
    ReleaseSRWLockExclusive(&helper_lock);
    return code;
}

void spi_helper_stop(void)
{
    AcquireSRWLockExclusive(&helper_lock);
    bool runs = helper_runs;
    atomic_store_explicit(&helper_stopping, true, memory_order_release);
    helper_wake();
    helper_runs = false;
    ReleaseSRWLockExclusive(&helper_lock);
    if (!runs) {
        return;
    }
    os_thread_join(&helper_thread);
    atomic_store_explicit(&helper_newest, NULL, memory_order_relaxed);
    while (helper_session_count != 0) {
        spi_session_put(helper_sessions[--helper_session_count]);
    }
}
