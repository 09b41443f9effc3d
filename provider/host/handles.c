/*
 * The handles behind sockets: an overlapped handle of the null device each, which the system gives
 * and takes back, and what the host knows about it. Any thread, by handles_lock.
 */
#include "provider/host/host.h"

#include <stdlib.h>

#define BUCKETS 1024u

struct host_handle {
    struct host_handle *next;
    SOCKET s;
    DWORD_PTR context;
    DWORD catalog_id;
    HANDLE port;
    ULONG_PTR key;
};

static SRWLOCK handles_lock = SRWLOCK_INIT;
static struct host_handle *handles_buckets[BUCKETS];
static unsigned handles_count;

/* The link that points to s, or the end of its chain. handles_lock held. */
static struct host_handle **handles_find(SOCKET s)
{
    struct host_handle **link = &handles_buckets[(s >> 2) % BUCKETS];
    while (*link != NULL && (*link)->s != s) {
        link = &(*link)->next;
    }
    return link;
}

SOCKET host_handle_create(DWORD catalog_id, DWORD_PTR context, int *error)
{
    struct host_handle *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        *error = WSAENOBUFS;
        return INVALID_SOCKET;
    }
    HANDLE kernel =
        CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                    OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    if (kernel == INVALID_HANDLE_VALUE) {
        free(entry);
        *error = WSAEMFILE;
        return INVALID_SOCKET;
    }
    entry->s = (SOCKET)kernel;
    entry->context = context;
    entry->catalog_id = catalog_id;
    AcquireSRWLockExclusive(&handles_lock);
    *handles_find(entry->s) = entry;
    handles_count++;
    ReleaseSRWLockExclusive(&handles_lock);
    return entry->s;
}

int host_handle_close(SOCKET s)
{
    AcquireSRWLockExclusive(&handles_lock);
    struct host_handle **link = handles_find(s);
    struct host_handle *entry = *link;
    if (entry != NULL) {
        *link = entry->next;
        handles_count--;
    }
    ReleaseSRWLockExclusive(&handles_lock);
    if (entry == NULL) {
        return WSAENOTSOCK;
    }
    free(entry);
    CloseHandle((HANDLE)s);
    return 0;
}

int host_handle_context(SOCKET s, DWORD_PTR *context)
{
    AcquireSRWLockShared(&handles_lock);
    const struct host_handle *entry = *handles_find(s);
    if (entry != NULL) {
        *context = entry->context;
    }
    ReleaseSRWLockShared(&handles_lock);
    return entry != NULL ? 0 : WSAENOTSOCK;
}

int host_handle_set_port(SOCKET s, HANDLE port, ULONG_PTR key)
{
    int error = WSAENOTSOCK;
    AcquireSRWLockExclusive(&handles_lock);
    struct host_handle *entry = *handles_find(s);
    if (entry != NULL) {
        error = entry->port == NULL ? 0 : WSAEINVAL;
        if (error == 0) {
            entry->port = port;
            entry->key = key;
        }
    }
    ReleaseSRWLockExclusive(&handles_lock);
    return error;
}

bool host_handle_port(SOCKET s, HANDLE *port, ULONG_PTR *key)
{
    bool found = false;
    AcquireSRWLockShared(&handles_lock);
    const struct host_handle *entry = *handles_find(s);
    if (entry != NULL && entry->port != NULL) {
        *port = entry->port;
        *key = entry->key;
        found = true;
    }
    ReleaseSRWLockShared(&handles_lock);
    return found;
}

unsigned host_handle_count(void)
{
    AcquireSRWLockShared(&handles_lock);
    unsigned count = handles_count;
    ReleaseSRWLockShared(&handles_lock);
    return count;
}
