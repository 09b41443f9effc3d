/*
 * From a SOCKET to its record, in O(1) and without a lock: system handles are small multiples of
 * four, so a two-level table is indexed by the handle itself. Readers are calls on any thread;
 * writers are socket and close, by handle_lock. Memory of the table and of records is never given
 * back, only reused.
 */
#include <assert.h>
#include <mimalloc.h>

#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/overlapped.h"

#define RECORD_BLOCK 32u

_Atomic(spi_handle_slot *) spi_handle_chunks[SPI_HANDLE_CHUNKS]; /* stored once each, release */
static SRWLOCK handle_lock = SRWLOCK_INIT;
static struct spi_socket *record_free; /* by handle_lock */

struct spi_socket *spi_socket_new(void)
{
    AcquireSRWLockExclusive(&handle_lock);
    if (record_free == NULL) {
        struct spi_socket *block = mi_calloc(RECORD_BLOCK, sizeof(*block));
        for (unsigned i = 0; block != NULL && i < RECORD_BLOCK; i++) {
            block[i].next_free = record_free;
            record_free = &block[i];
        }
    }
    struct spi_socket *socket = record_free;
    if (socket != NULL) {
        record_free = socket->next_free;
    }
    ReleaseSRWLockExclusive(&handle_lock);
    if (socket != NULL) {
        atomic_store_explicit(&socket->handle, (uintptr_t)INVALID_SOCKET, memory_order_relaxed);
        atomic_store_explicit(&socket->hints, 0, memory_order_relaxed);
        atomic_store_explicit(&socket->controls, 0, memory_order_relaxed);
        for (unsigned i = 0; i < SPI_KEPT_COUNT; i++) {
            atomic_store_explicit(&socket->kept[i], 0, memory_order_relaxed);
        }
        atomic_store_explicit(&socket->leaf, 0, memory_order_relaxed);
        atomic_store_explicit(&socket->protection_level, PROTECTION_LEVEL_UNRESTRICTED,
                              memory_order_relaxed);
        atomic_store_explicit(&socket->context, SPI_CONTEXT_WHOLE, memory_order_relaxed);
        atomic_store_explicit(&socket->accept_for, NULL, memory_order_relaxed);
        atomic_store_explicit(&socket->accepts_waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&socket->linger_s, 0, memory_order_relaxed);
        atomic_store_explicit(&socket->attention, 0, memory_order_relaxed);
        atomic_store_explicit(&socket->event_known, 0, memory_order_relaxed);
        for (unsigned way = 0; way < SPI_WAYS; way++) {
            socket->ops[way].closed = false;
        }
        socket->deferred.closed = false;
        spi_events_reopen(socket);
        socket->session = NULL;
        /* In this order, partner spi_socket_claim: who sees the new life finds no core of the old
         * one, who sees the new core finds a life that is over. */
        atomic_store_explicit(&socket->core, NULL, memory_order_relaxed);
        atomic_fetch_add_explicit(&socket->life, 1, memory_order_release);
        /* Release: a late reader of the record's last life finds this one whole. */
        atomic_store_explicit(&socket->refs, 1, memory_order_release);
    }
    return socket;
}

enum rs_status spi_handle_insert(SOCKET s, struct spi_socket *socket)
{
    uintptr_t index = (uintptr_t)s / SPI_HANDLE_STRIDE;
    enum rs_status status = RS_NO_BUFFERS;
    if (s % SPI_HANDLE_STRIDE != 0 ||
        index >= (uintptr_t)SPI_HANDLE_CHUNKS * SPI_HANDLE_CHUNK_SLOTS) {
        return status;
    }
    AcquireSRWLockExclusive(&handle_lock);
    _Atomic(spi_handle_slot *) *place = &spi_handle_chunks[index / SPI_HANDLE_CHUNK_SLOTS];
    spi_handle_slot *chunk = atomic_load_explicit(place, memory_order_relaxed);
    if (chunk == NULL) {
        chunk = mi_calloc(SPI_HANDLE_CHUNK_SLOTS, sizeof(*chunk));
        atomic_store_explicit(place, chunk, memory_order_release);
    }
    if (!spi_started()) {
        status = RS_NOT_INITIALISED; /* the last WSPCleanup has come, or waits for the lock */
    } else if (chunk != NULL) {
        /* Release, partner spi_socket_of: core is filled in. */
        atomic_store_explicit(&socket->handle, (uintptr_t)s, memory_order_release);
        atomic_store_explicit(&chunk[index % SPI_HANDLE_CHUNK_SLOTS], socket, memory_order_release);
        status = RS_OK;
    }
    ReleaseSRWLockExclusive(&handle_lock);
    return status;
}

/* False: nobody has the record. It may be in another life than the caller thinks. */
static bool handle_hold(struct spi_socket *socket)
{
    uint32_t refs = atomic_load_explicit(&socket->refs, memory_order_relaxed);
    while (refs != 0 &&
           !atomic_compare_exchange_weak_explicit(&socket->refs, &refs, refs + 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
    }
    return refs != 0;
}

void spi_socket_hold(struct spi_socket *socket)
{
    atomic_fetch_add_explicit(&socket->refs, 1, memory_order_relaxed);
}

struct spi_socket *spi_socket_get(SOCKET s)
{
    spi_handle_slot *slot = spi_hook_is_inside() ? NULL : spi_handle_find(s);
    struct spi_socket *socket = NULL;
    while (slot != NULL && (socket = atomic_load_explicit(slot, memory_order_acquire)) != NULL) {
        if (!handle_hold(socket)) {
            continue; /* it was closed under our eyes: the slot says what is there now */
        }
        if (atomic_load_explicit(slot, memory_order_acquire) == socket &&
            atomic_load_explicit(&socket->handle, memory_order_relaxed) == (uintptr_t)s) {
            return socket;
        }
        spi_socket_put(socket);
    }
    return NULL;
}

struct spi_socket *spi_socket_of(struct client_socket *core)
{
    struct spi_socket *socket = client_socket_user(core);
    if (socket == NULL || !handle_hold(socket)) {
        return NULL;
    }
    /* Acquire, partner spi_handle_insert. */
    if (atomic_load_explicit(&socket->handle, memory_order_acquire) != (uintptr_t)INVALID_SOCKET &&
        socket->core == core) {
        return socket;
    }
    spi_socket_put(socket);
    return NULL;
}

void spi_socket_put(struct spi_socket *socket)
{
    /* Acquire and release, partner the other puts. */
    if (atomic_fetch_sub_explicit(&socket->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (socket->core != NULL) {
        client_socket_unref(socket->core);
    }
    if (socket->session != NULL) {
        spi_session_put(socket->session);
    }
    AcquireSRWLockExclusive(&handle_lock);
    socket->next_free = record_free;
    record_free = socket;
    ReleaseSRWLockExclusive(&handle_lock);
}

struct spi_socket *spi_handle_remove(SOCKET s)
{
    spi_handle_slot *slot = spi_hook_is_inside() ? NULL : spi_handle_find(s);
    /* Acquire and release, partner insert and the finders: of two closers one gets it. */
    return slot == NULL ? NULL : atomic_exchange_explicit(slot, NULL, memory_order_acq_rel);
}

enum rs_status spi_socket_close(struct spi_socket *socket, SOCKET s)
{
    INT ignored = 0;
    spi_events_close(socket);
    spi_accept_close(socket);
    spi_ops_abort(socket); /* the handle still says to which port */
    enum rs_status status = client_socket_close(socket->core);
    spi_accept_ready(socket);
    /* The slot is empty already, so the system may give the same value to the next socket. */
    (void)spi_upcalls.lpWPUCloseSocketHandle(s, &ignored);
    spi_socket_put(socket);
    return status;
}

void spi_sockets_close_all(void)
{
    /* Whoever inserts behind this sees that there is no startup any more. */
    AcquireSRWLockExclusive(&handle_lock);
    ReleaseSRWLockExclusive(&handle_lock);
    for (uintptr_t c = 0; c < SPI_HANDLE_CHUNKS; c++) {
        if (atomic_load_explicit(&spi_handle_chunks[c], memory_order_acquire) == NULL) {
            continue;
        }
        for (uintptr_t i = 0; i < SPI_HANDLE_CHUNK_SLOTS; i++) {
            SOCKET s = (SOCKET)((c * SPI_HANDLE_CHUNK_SLOTS + i) * SPI_HANDLE_STRIDE);
            struct spi_socket *socket = spi_handle_remove(s);
            if (socket != NULL) {
                (void)!spi_socket_close(socket, s);
            }
        }
    }
}
