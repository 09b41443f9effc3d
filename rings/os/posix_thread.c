/*
 * Threads, mutexes and thread-local slots on Linux: thin over pthreads. A thread made here takes no
 * signals but its own faults: in a client's process the program's handlers belong on the program's
 * threads.
 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

#define THREAD_NAME_BYTES 16 /* pthread_setname_np(3): 15 characters and the end */

static_assert(sizeof(pthread_mutex_t) <= sizeof(struct os_mutex), "mutex fits");
static_assert(_Alignof(pthread_mutex_t) <= 8, "mutex aligned");
static_assert(sizeof(pthread_t) <= sizeof(intptr_t), "thread number fits");

struct thread_start {
    void (*entry)(void *);
    void *arg;
    char name[THREAD_NAME_BYTES];
};

static void *thread_run(void *arg)
{
    struct thread_start start = *(struct thread_start *)arg;
    free(arg);
    (void)pthread_setname_np(pthread_self(), start.name);
    start.entry(start.arg);
    return NULL;
}

enum rs_status os_thread_start(struct os_thread *out, void (*entry)(void *), void *arg,
                               const char *name)
{
    struct thread_start *start = malloc(sizeof *start);
    if (!start) {
        return RS_NO_MEMORY;
    }
    start->entry = entry;
    start->arg = arg;
    (void)snprintf(start->name, sizeof start->name, "%s", name);

    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked;
    sigset_t before;
    (void)sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        (void)sigdelset(&blocked, faults[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, thread_run, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        free(start);
        errno = error;
        return posix_error("pthread_create");
    }
    out->handle = (intptr_t)thread;
    return RS_OK;
}

void os_thread_join(struct os_thread *thread)
{
    int error = pthread_join((pthread_t)thread->handle, NULL);
    assert(error == 0);
    (void)error;
    thread->handle = 0;
}

enum rs_status os_thread_pin(uint32_t cpu_idx)
{
    if (cpu_idx >= CPU_SETSIZE) {
        return RS_INVALID;
    }
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu_idx, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
        (void)posix_error("sched_setaffinity");
        return errno == EINVAL ? RS_INVALID : RS_OS_ERROR;
    }
    return RS_OK;
}

/* ---- numbers ---- */

_Thread_local uint32_t os_thread_id_kept __attribute__((tls_model("initial-exec")));

static pthread_once_t thread_id_once = PTHREAD_ONCE_INIT;

/* The child's only thread is another one than its copy in the parent. */
static void thread_id_forget(void)
{
    os_thread_id_kept = 0;
}

static void thread_id_watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, thread_id_forget);
}

uint32_t os_thread_id_ask(void)
{
    (void)pthread_once(&thread_id_once, thread_id_watch_forks);
    os_thread_id_kept = (uint32_t)syscall(SYS_gettid);
    return os_thread_id_kept;
}

/* A first thread that ended before the others keeps its number, as a zombie; proc(5) has the state
 * behind the name, which may contain anything. */
static bool thread_is_zombie(uint32_t id)
{
    char path[64];
    char line[512];
    (void)snprintf(path, sizeof path, "/proc/self/task/%u/stat", id);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    const char *state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    bool zombie = state && (state[2] == 'Z' || state[2] == 'X');
    (void)fclose(file);
    return zombie;
}

bool os_thread_alive(uint32_t id)
{
    if (syscall(SYS_tgkill, getpid(), (pid_t)id, 0) != 0 && errno == ESRCH) {
        return false;
    }
    return !thread_is_zombie(id);
}

/* ---- locks ---- */

static pthread_mutex_t *mutex_of(struct os_mutex *mutex)
{
    return (pthread_mutex_t *)(void *)mutex->storage;
}

void os_mutex_init(struct os_mutex *mutex)
{
    int error = pthread_mutex_init(mutex_of(mutex), NULL);
    assert(error == 0);
    (void)error;
}

void os_mutex_destroy(struct os_mutex *mutex)
{
    int error = pthread_mutex_destroy(mutex_of(mutex));
    assert(error == 0);
    (void)error;
}

void os_mutex_lock(struct os_mutex *mutex)
{
    int error = pthread_mutex_lock(mutex_of(mutex));
    assert(error == 0);
    (void)error;
}

void os_mutex_unlock(struct os_mutex *mutex)
{
    int error = pthread_mutex_unlock(mutex_of(mutex));
    assert(error == 0);
    (void)error;
}

/* ---- thread-local slots ---- */

/*
 * The value is in the thread's own storage, which a new thread always finds empty; a pthread key
 * only brings the destructor. A key's value survives its thread when that ended by a bare exit
 * system call, and glibc hands it to the next thread on the same stack.
 */
#define TLS_SLOTS 8u

struct tls_slot {
    void (*_Atomic destructor)(void *); /* partner: tls_run_destructor, on a thread that ends */
    pthread_key_t key;
    _Atomic bool used; /* partner: os_tls_create on another thread */
};

static struct tls_slot tls_slots[TLS_SLOTS];
static _Thread_local void *tls_values[TLS_SLOTS] __attribute__((tls_model("initial-exec")));

/* `arg` may be a dead thread's. */
static void tls_run_destructor(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < TLS_SLOTS; i++) {
        void *value = tls_values[i];
        void (*destructor)(void *) = atomic_load(&tls_slots[i].destructor);
        tls_values[i] = NULL;
        if (value && destructor) {
            destructor(value);
        }
    }
}

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
    int error = pthread_key_create(&slot->key, tls_run_destructor);
    if (error != 0) {
        atomic_store(&slot->used, false);
        errno = error;
        (void)posix_error("pthread_key_create");
        return error == EAGAIN ? RS_NO_BUFFERS : RS_OS_ERROR;
    }
    atomic_store(&slot->destructor, destructor);
    out->key = slot_idx;
    return RS_OK;
}

/* Values that threads still have are theirs no more when the slot is used again: as pthread keys,
 * slots are for the process's life or for tests. */
void os_tls_destroy(struct os_tls *tls)
{
    struct tls_slot *slot = &tls_slots[tls->key];
    atomic_store(&slot->destructor, NULL);
    (void)pthread_key_delete(slot->key);
    tls_values[tls->key] = NULL;
    atomic_store(&slot->used, false);
}

void *os_tls_get(const struct os_tls *tls)
{
    return tls_values[tls->key];
}

void os_tls_set(const struct os_tls *tls, void *value)
{
    int error = pthread_setspecific(tls_slots[tls->key].key, value);
    assert(error == 0);
    (void)error;
    tls_values[tls->key] = value;
}
