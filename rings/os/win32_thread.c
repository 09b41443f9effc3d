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

/*
 * What FlsGetValue said last on this thread, which costs a fifth of a send. It holds while the
 * thread is the same fiber and no value changed anywhere: values change once per thread, and a
 * fiber that moves to another thread takes its values there. The kept ones are in the image's
 * .tls section, found as compilers find them that know it (PE format, "The .tls Section"); GCC's
 * own _Thread_local is a call here.
 */
struct tls_kept {
    void *fiber;
    uintptr_t changes;
    void *value;
};
static struct tls_kept tls_kept[TLS_SLOTS] __attribute__((section(".tls$RSK")));
/* Starts at 1: a thread's kept values are 0, and so old. Partner: tls_changed on other threads. */
static _Atomic uintptr_t tls_changes = 1;

/* NOLINTBEGIN(bugprone-reserved-identifier): the C runtime's names */
extern ULONG _tls_index;  /* of this image; set by the loader */
extern char _tls_start[]; /* where the section begins, as linked */
/* NOLINTEND(bugprone-reserved-identifier) */

static inline struct tls_kept *tls_kept_of(uint32_t slot_idx)
{
    char *const *blocks; /* ThreadLocalStoragePointer in the thread's environment block */
#ifdef __x86_64__
    __asm__("movq %%gs:0x58, %0" : "=r"(blocks));
#else
    __asm__("movl %%fs:0x2c, %0" : "=r"(blocks));
#endif
    uintptr_t off = (uintptr_t)&tls_kept[slot_idx] - (uintptr_t)_tls_start;
    return (struct tls_kept *)(void *)(blocks[_tls_index] + off);
}

/* As GetCurrentFiber, whose inline form the compiler takes for an array of no elements. */
static inline void *tls_fiber(void)
{
    void *fiber;
#ifdef __x86_64__
    __asm__("movq %%gs:0x20, %0" : "=r"(fiber));
#else
    __asm__("movl %%fs:0x10, %0" : "=r"(fiber));
#endif
    return fiber;
}

/* Whoever uses a fiber's value behind the change learned of the fiber from whoever changed it, so
 * sees the count, too. */
static void tls_changed(void)
{
    (void)atomic_fetch_add(&tls_changes, 1);
}

static void tls_run_destructor(uint32_t slot_idx, void *value)
{
    tls_changed();
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
    tls_changed();
    out->key = slot_idx;
    return RS_OK;
}

/* FlsFree calls the callback for every thread's value; ours keep to what pthread_key_delete does,
 * which is nothing. */
void os_tls_destroy(struct os_tls *tls)
{
    struct tls_slot *slot = &tls_slots[tls->key];
    atomic_store(&slot->destructor, NULL);
    (void)FlsFree(slot->fls_idx);
    tls_changed();
    atomic_store(&slot->used, false);
}

void *os_tls_get(const struct os_tls *tls)
{
    struct tls_kept *kept = tls_kept_of((uint32_t)tls->key);
    uintptr_t changes = atomic_load_explicit(&tls_changes, memory_order_relaxed);
    void *fiber = tls_fiber();
    if (kept->fiber != fiber || kept->changes != changes) {
        *kept = (struct tls_kept){
            .fiber = fiber, .changes = changes, .value = FlsGetValue(tls_slots[tls->key].fls_idx)};
    }
    return kept->value;
}

void os_tls_set(const struct os_tls *tls, void *value)
{
    BOOL set = FlsSetValue(tls_slots[tls->key].fls_idx, value);
    tls_changed();
    assert(set);
    (void)set;
}
