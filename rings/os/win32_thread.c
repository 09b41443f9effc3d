/*
 * Threads, locks and thread-local slots on Windows.
 */
#include <assert.h>
#include <process.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "rings/os/win32_internal.h"

#define THREAD_NAME_CHARS 32

static_assert(sizeof(SRWLOCK) <= sizeof(struct os_mutex), "lock fits");

/* ---- threads ---- */

struct thread_start {
    void (*entry)(void *);
    void *arg;
    wchar_t name[THREAD_NAME_CHARS];
};

/* SetThreadDescription exists since Windows 10 1607; a name is only for debuggers. */
static void thread_set_name(const wchar_t *name)
{
    typedef HRESULT(WINAPI * set_description)(HANDLE, PCWSTR);
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    FARPROC found = kernel ? GetProcAddress(kernel, "SetThreadDescription") : NULL;
    if (found) {
        set_description call = (set_description)(void (*)(void))found;
        (void)call(GetCurrentThread(), name);
    }
}

static unsigned int __stdcall thread_run(void *arg)
{
    struct thread_start start = *(struct thread_start *)arg;
    free(arg);
    thread_set_name(start.name);
    start.entry(start.arg);
    return 0;
}

enum rs_status os_thread_start(struct os_thread *out, void (*entry)(void *), void *arg,
                               const char *name)
{
    struct thread_start *start = calloc(1, sizeof *start);
    if (!start) {
        return RS_NO_MEMORY;
    }
    start->entry = entry;
    start->arg = arg;
    for (size_t i = 0; i + 1 < THREAD_NAME_CHARS && name[i]; i++) {
        start->name[i] = (wchar_t)(unsigned char)name[i];
    }
    uintptr_t thread = _beginthreadex(NULL, 0, thread_run, start, 0, NULL);
    if (thread == 0) {
        free(start);
        return os_error_set("_beginthreadex", "no thread");
    }
    out->handle = (intptr_t)thread;
    return RS_OK;
}

void os_thread_join(struct os_thread *thread)
{
    DWORD waited = WaitForSingleObject(win32_handle(thread->handle), INFINITE);
    assert(waited == WAIT_OBJECT_0);
    (void)waited;
    os_handle_close(thread->handle);
    thread->handle = 0;
}

/* Processors come in groups of at most 64; an index counts through all of them. */
enum rs_status os_thread_pin(uint32_t cpu_idx)
{
    WORD groups = GetActiveProcessorGroupCount();
    for (WORD group = 0; group < groups; group++) {
        DWORD processors = GetActiveProcessorCount(group);
        if (cpu_idx >= processors) {
            cpu_idx -= processors;
            continue;
        }
        GROUP_AFFINITY affinity = {.Mask = (KAFFINITY)1 << cpu_idx, .Group = group};
        if (!SetThreadGroupAffinity(GetCurrentThread(), &affinity, NULL)) {
            return win32_error("SetThreadGroupAffinity");
        }
        return RS_OK;
    }
    return RS_INVALID;
}

/* A number that no thread has, or one of another process, cannot be opened or is not ours. */
bool os_thread_alive(uint32_t id)
{
    HANDLE thread = OpenThread(SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION, FALSE, id);
    if (!thread) {
        return GetLastError() != ERROR_INVALID_PARAMETER;
    }
    bool alive = GetProcessIdOfThread(thread) == GetCurrentProcessId() &&
                 WaitForSingleObject(thread, 0) == WAIT_TIMEOUT;
    (void)CloseHandle(thread);
    return alive;
}

/* ---- locks ---- */

static SRWLOCK *mutex_of(struct os_mutex *mutex)
{
    return (SRWLOCK *)(void *)mutex->storage;
}

void os_mutex_init(struct os_mutex *mutex)
{
    InitializeSRWLock(mutex_of(mutex));
}

void os_mutex_destroy(struct os_mutex *mutex)
{
    (void)mutex; /* a slim lock owns nothing */
}

void os_mutex_lock(struct os_mutex *mutex)
{
    AcquireSRWLockExclusive(mutex_of(mutex));
}

void os_mutex_unlock(struct os_mutex *mutex)
{
    ReleaseSRWLockExclusive(mutex_of(mutex));
}

/* ---- thread-local slots ---- */

/*
 * Fiber-local storage, because TLS has no destructor. Its callback is told the value and not the
 * slot, and has another calling convention than ours on 32-bit systems: hence one small callback
 * per slot, which looks the destructor up.
 */
#define TLS_SLOTS 8u

struct tls_slot {
    void (*_Atomic destructor)(void *); /* partner: the callback, on a thread that ends */
    DWORD fls_idx;
    _Atomic bool used; /* partner: os_tls_create on another thread */
};

static struct tls_slot tls_slots[TLS_SLOTS];

static void tls_run_destructor(uint32_t slot_idx, void *value)
{
    void (*destructor)(void *) = atomic_load(&tls_slots[slot_idx].destructor);
    if (value && destructor) {
        destructor(value);
    }
}

#define TLS_CALLBACK(slot_idx)                              \
    static void WINAPI tls_callback_##slot_idx(void *value) \
    {                                                       \
        tls_run_destructor(slot_idx, value);                \
    }
TLS_CALLBACK(0)
TLS_CALLBACK(1)
TLS_CALLBACK(2)
TLS_CALLBACK(3)
TLS_CALLBACK(4)
TLS_CALLBACK(5)
TLS_CALLBACK(6)
TLS_CALLBACK(7)

static const PFLS_CALLBACK_FUNCTION tls_callbacks[TLS_SLOTS] = {
    tls_callback_0, tls_callback_1, tls_callback_2, tls_callback_3,
    tls_callback_4, tls_callback_5, tls_callback_6, tls_callback_7,
};

enum rs_status os_tls_create(void (*destructor)(void *), struct os_tls *out)
{
    uint32_t slot_idx = 0;
    while (slot_idx < TLS_SLOTS && atomic_exchange(&tls_slots[slot_idx].used, true)) {
        slot_idx++;
    }
    if (slot_idx == TLS_SLOTS) {
        (void)os_error_set("thread-local slots", "all in use");
        return RS_NO_BUFFERS;
    }
    struct tls_slot *slot = &tls_slots[slot_idx];
    atomic_store(&slot->destructor, destructor);
    slot->fls_idx = FlsAlloc(tls_callbacks[slot_idx]);
    if (slot->fls_idx == FLS_OUT_OF_INDEXES) {
        atomic_store(&slot->used, false);
        (void)win32_error("FlsAlloc");
        return RS_NO_BUFFERS;
    }
    out->key = slot->fls_idx;
    return RS_OK;
}

/* FlsFree calls the callback for every thread's value; ours keep to what pthread_key_delete does,
 * which is nothing. */
void os_tls_destroy(struct os_tls *tls)
{
    for (uint32_t i = 0; i < TLS_SLOTS; i++) {
        if (atomic_load(&tls_slots[i].used) && tls_slots[i].fls_idx == (DWORD)tls->key) {
            atomic_store(&tls_slots[i].destructor, NULL);
            (void)FlsFree((DWORD)tls->key);
            atomic_store(&tls_slots[i].used, false);
            return;
        }
    }
}

void *os_tls_get(const struct os_tls *tls)
{
    return FlsGetValue((DWORD)tls->key);
}

void os_tls_set(const struct os_tls *tls, void *value)
{
    BOOL set = FlsSetValue((DWORD)tls->key, value);
    assert(set);
    (void)set;
}
