/*
 * The whole operating-system boundary: shared memory, events, the control connection, threads,
 * clock, process watch, fault guard. Two implementations, chosen in CMake: rings/os/posix_*.c and
 * rings/os/win32_*.c. Everything above this header is free of operating-system names. Called by the
 * dataplane's control thread and by the client's slow paths; nothing here is called per message
 * except os_tsc, os_cpu_relax, os_yield, os_tls_get and os_event_signal.
 *
 * Errors: a failing system call gives RS_OS_ERROR (or the more precise status named at the
 * function) and leaves a text for os_last_error_text(), per thread: which call failed and the
 * system's word on it.
 */
#ifndef RINGSOCK_RINGS_OS_OS_H
#define RINGSOCK_RINGS_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/status.h"

const char *os_last_error_text(void);

/* ---- clock and processor ---- */

#if defined(__x86_64__) || defined(__i386__)
static inline uint64_t os_tsc(void)
{
    return __builtin_ia32_rdtsc();
}
static inline void os_cpu_relax(void)
{
    __builtin_ia32_pause();
}
#else
#error "Ringsock needs an x86 processor with an invariant TSC"
#endif

uint64_t os_monotonic_ns(void);
uint64_t os_unix_ns(void);
/* TSC frequency in Hz, from the system's word or by calibration against the monotonic clock (about
 * 20 ms at the first call; cached). */
uint64_t os_tsc_hz(void);
void os_yield(void);
/* For slow paths and tests' pacing only. */
void os_sleep_ns(uint64_t ns);
/* Fills with random bytes from the system's generator. */
RS_CHECK_RESULT enum rs_status os_random(void *out, size_t bytes);
uint32_t os_process_id(void);

/* ---- shared memory: one object = one extent ---- */

struct os_shm {
    void *base; /* this process's mapping, NULL if none */
    uint64_t size_bytes;
    intptr_t handle; /* fd or HANDLE, -1 if none */
};

enum os_shm_kind {
    OS_SHM_DP, /* the creator writes; others can map it read-only at most (Linux:
                  F_SEAL_FUTURE_WRITE|SHRINK|GROW after mapping; Windows: duplicated to the client
                  with SECTION_MAP_READ only) */
    OS_SHM_CL  /* both write (Linux: sealed SHRINK|GROW, the rest by os_shm_seal) */
};

/* Makes and maps zeroed memory for sharing. size_bytes: multiple of 4096 (of the 64 KiB granularity
 * where the system wants it; then rounded up inside). Errors: RS_NO_MEMORY, RS_OS_ERROR. Not
 * inherited by forked children (MADV_DONTFORK, close-on-exec). */
RS_CHECK_RESULT enum rs_status os_shm_create(enum os_shm_kind kind, uint64_t size_bytes,
                                             struct os_shm *out);
/* Maps an object received over a control connection; takes over handle (closed also on failure).
 * Checks that the object really has size_bytes. writable: for OS_SHM_CL. */
RS_CHECK_RESULT enum rs_status os_shm_map(intptr_t handle, uint64_t size_bytes, bool writable,
                                          struct os_shm *out);
/* An OS_SHM_CL object that its client has mapped: the client's mapping stays writable, but nobody
 * can map it writable any more, and nobody can punch holes into it, which would cost whoever reads
 * it a page fault each. By the creator. Harmless when repeated. RS_CORRUPT: the client has seen to
 * it that it cannot be sealed. (Windows: nobody can take pages out of a section; does nothing.) */
RS_CHECK_RESULT enum rs_status os_shm_seal(const struct os_shm *shm);
void os_shm_destroy(struct os_shm *shm); /* unmaps and closes; harmless on a zeroed or destroyed one
                                            whose base is NULL */

/* The dataplane's reads of client-written memory must not kill it. Registers a mapping: a hardware
 * fault inside it (SIGBUS, in-page error) is answered by zero pages in its place, and *faulted is
 * set to 1 (release). At most 1,024 registered; RS_NO_BUFFERS beyond. */
RS_CHECK_RESULT enum rs_status os_guard_add(void *base, uint64_t size_bytes,
                                            _Atomic uint32_t *faulted);
void os_guard_remove(void *base);
uint32_t os_guard_count(void); /* registered now */

/* ---- events: one waiter, auto-reset, a signal before the wait is remembered ---- */

/* A waiter gets the event by its handle over the control connection and fills it in: {.handle = h}.
 */
struct os_event {
    intptr_t handle; /* end of a Unix socket pair, or auto-reset event; -1 if none */
    intptr_t aux;    /* system-specific; 0 in an event received from a peer */
};

RS_CHECK_RESULT enum rs_status os_event_create(struct os_event *out);
void os_event_destroy(struct os_event *event);
/* By the event's creator only; nothing happens on a received one. Never blocks, whatever the waiter
 * does with its handle. The poll loop's only system call. */
void os_event_signal(struct os_event *event);
/* Waits for a signal, the end of the watched process (peer may be NULL) or the time-out. timeout_ns
 * UINT64_MAX: for ever. RS_OK signalled (also when peer ended after that), RS_TIMED_OUT,
 * RS_DATAPLANE_GONE the watched process ended (Linux: or the event's creator destroyed it),
 * RS_OS_ERROR. */
struct os_process;
RS_CHECK_RESULT enum rs_status os_event_wait(struct os_event *event, const struct os_process *peer,
                                             uint64_t timeout_ns);

/* The same for two events: RS_OK when either was signalled. */
RS_CHECK_RESULT enum rs_status os_event_wait_either(struct os_event *event, struct os_event *second,
                                                    const struct os_process *peer,
                                                    uint64_t timeout_ns);

/* ---- processes ---- */

struct os_process {
    intptr_t handle; /* pidfd or process handle, -1 if none */
    uint32_t pid;
};

/* RS_DATAPLANE_GONE: there is no such process. For the peer of a connection use
 * os_conn_peer_process: a number can be reused. */
RS_CHECK_RESULT enum rs_status os_process_open(uint32_t pid, struct os_process *out);
bool os_process_alive(const struct os_process *process); /* asks the OS, never a heartbeat */
void os_process_close(struct os_process *process);
/* The program's short name, cut to fit, NUL-terminated; "" when the system does not say. Whatever
 * bytes the program chose. Slow. */
void os_process_name(const struct os_process *process, char *out, size_t bytes);
/* What this process uses now; UINT64_MAX where the system does not say. Slow. */
struct os_usage {
    uint64_t resident_bytes;
    uint64_t handles; /* open descriptors or handles */
};
void os_process_usage(struct os_usage *out);

/* ---- who may attach ---- */

#define OS_ACCESS_TEXT_BYTES 256u
#define OS_ACCESS_IDS_MAX    128u /* more do not fit OS_ACCESS_TEXT_BYTES */

enum os_access_key { OS_ACCESS_USERS, OS_ACCESS_GROUPS, OS_ACCESS_SECURITY };

/* All zero: the user who runs the dataplane and the superuser (Windows: Administrators and SYSTEM).
 * The texts are what the configuration says, "" where it says nothing. */
struct os_access {
    char users[OS_ACCESS_TEXT_BYTES];    /* Linux: names or ids, separated by commas */
    char groups[OS_ACCESS_TEXT_BYTES];   /* Linux */
    char security[OS_ACCESS_TEXT_BYTES]; /* Windows: an access list in SDDL, "D:(A;;GRGW;;;BU)" */
    uint32_t uids[OS_ACCESS_IDS_MAX];    /* what os_access_parse made of the lists */
    uint32_t gids[OS_ACCESS_IDS_MAX];
    uint32_t uid_count, gid_count;
};

/* Gives one text its meaning. RS_OK also for an empty one; RS_NOT_SUPPORTED this system has no use
 * for it; RS_INVALID unknown or malformed. os_last_error_text() then says what would be right.
 * Reads the system's user database; slow. */
RS_CHECK_RESULT enum rs_status os_access_parse(struct os_access *access, enum os_access_key key);

/* ---- control connection: Unix seqpacket socket / ACL'd named pipe in message mode ---- */

/*
 * Messages of 1 to OS_CONN_MESSAGE_BYTES with at most OS_CONN_HANDLES handles. Only an accepted
 * connection (the dataplane's end) sends handles, and only the other end receives any. Linux passes
 * them with SCM_RIGHTS; on Windows the sender duplicates them into the peer process with the rights
 * that `kind` says. A connection is used by one thread at a time.
 */
#define OS_CONN_MESSAGE_BYTES 1024u
#define OS_CONN_HANDLES       4u

enum os_handle_kind { OS_HANDLE_SHM_READ, OS_HANDLE_SHM_WRITE, OS_HANDLE_EVENT_WAIT };

struct os_conn_handle {
    intptr_t handle;
    enum os_handle_kind kind;
};

struct os_listener {
    intptr_t handle;
    intptr_t aux[4]; /* system-specific */
    char name[128];
};

struct os_conn {
    intptr_t handle;   /* -1 if none */
    intptr_t aux[4];   /* system-specific: overlapped event of the pipe and the like */
    uint32_t peer_pid; /* from the system (SO_PEERCRED, GetNamedPipeClientProcessId /
                          ServerProcessId), never from the peer's word */
    uint32_t peer_uid; /* Linux; 0 on Windows */
};

/* Listens for clients of an instance. name: [A-Za-z0-9_-]{1,31}, else RS_INVALID. access: NULL as
 * all zero; read during the call only. Linux: DIR/NAME.sock, with NAME.lock beside it, where DIR is
 * $RINGSOCK_RUNTIME_DIR, else /run/ringsock (root) or $XDG_RUNTIME_DIR/ringsock, else
 * /tmp/ringsock-UID; folder 0755, socket 0666: anybody may connect, os_access_allows decides. Also
 * raises the soft limit of open files to the hard one. Windows: \\.\pipe\ringsock-NAME with the
 * security descriptor that access says, in which the current user always has all access and nobody
 * else more than a client needs. What a dead dataplane left is replaced; a live one gives
 * RS_ADDR_IN_USE; what may not be replaced RS_OS_ERROR. RS_INVALID also for a folder whose path is
 * too long. */
RS_CHECK_RESULT enum rs_status os_listen(const char *name, const struct os_access *access,
                                         struct os_listener *out);
void os_listener_close(struct os_listener *listener);
/* RS_NOT_READY when nobody listens; RS_ATTACH_REFUSED when the system denies it; RS_TIMED_OUT.
 * Linux: looks where this user's os_listen would, then in /run/ringsock (not if
 * RINGSOCK_RUNTIME_DIR is set). */
RS_CHECK_RESULT enum rs_status os_connect(const char *name, uint64_t timeout_ns,
                                          struct os_conn *out);
void os_conn_close(struct os_conn *conn);
/* May the client of this accepted connection attach? Linux: root, the dataplane's user, a user of
 * access, or one whose primary or supplementary groups have one of access; user and groups are
 * those the kernel noted when it connected. On Windows the pipe's security descriptor has decided
 * already. False: why says who asked and who may (within 215 characters, NUL-terminated). */
RS_CHECK_RESULT bool os_access_allows(const struct os_access *access, const struct os_conn *conn,
                                      char *why, size_t why_bytes);
/* May the client of this accepted connection see what belongs to other users? Linux: root and the
 * dataplane's user, not those that access only lets attach. Windows: whoever the pipe let in. */
bool os_access_sees_all(const struct os_conn *conn);
/* Opens the process at the other end, certain that it is still the one that connected.
 * RS_DATAPLANE_GONE when it is not. */
RS_CHECK_RESULT enum rs_status os_conn_peer_process(const struct os_conn *conn,
                                                    struct os_process *out);
/* Sends one whole message, never waits. RS_DATAPLANE_GONE when the peer is gone, RS_WOULD_BLOCK
 * when it does not read, RS_MESSAGE_SIZE, RS_INVALID (empty, too many handles, handles from the
 * client's end). The handles stay the caller's. */
RS_CHECK_RESULT enum rs_status os_conn_send(struct os_conn *conn, const void *message, size_t bytes,
                                            const struct os_conn_handle *handles,
                                            uint32_t handle_count);
/* Receives one whole message; *bytes in: capacity, out: length; handles received go to the caller
 * (handles[].kind is not set). RS_TIMED_OUT, RS_DATAPLANE_GONE (peer closed; after the messages it
 * sent before), RS_CORRUPT (too long, too many handles, handles to the dataplane's end; all
 * received ones are closed). */
RS_CHECK_RESULT enum rs_status os_conn_recv(struct os_conn *conn, void *message, size_t *bytes,
                                            intptr_t handles[OS_CONN_HANDLES],
                                            uint32_t *handle_count, uint64_t timeout_ns);
void os_handle_close(intptr_t handle);

/* ---- the control thread's wait: many sources at once ---- */

enum os_source_kind { OS_SOURCE_LISTENER, OS_SOURCE_CONN, OS_SOURCE_PROCESS, OS_SOURCE_EVENT };

struct os_poller; /* opaque; one thread */

RS_CHECK_RESULT enum rs_status os_poller_create(struct os_poller **out);
void os_poller_destroy(struct os_poller *poller);
/* object: the struct os_listener, os_conn, os_process or os_event (its creator's); stays the
 * caller's, must not move, and is removed before it is closed. token comes back from the wait.
 * RS_ALREADY when it is in. */
RS_CHECK_RESULT enum rs_status os_poller_add(struct os_poller *poller, enum os_source_kind kind,
                                             void *object, uint64_t token);
void os_poller_remove(struct os_poller *poller, enum os_source_kind kind, void *object);
/* Waits until a source is ready (listener: a client connects; conn: a message or its end; process:
 * it ended; event: signalled, and consumed by this) or timeout_ns passed. RS_OK in both cases, with
 * up to max tokens, 0 after a time-out. Level-triggered but for events. A token can be of a source
 * that the handling of an earlier one just removed. */
RS_CHECK_RESULT enum rs_status os_poller_wait(struct os_poller *poller, uint64_t timeout_ns,
                                              uint64_t *tokens, uint32_t max, uint32_t *count);
/* After a listener's token: takes one client. RS_WOULD_BLOCK when it was gone again. */
RS_CHECK_RESULT enum rs_status os_accept(struct os_listener *listener, struct os_conn *out);

/* ---- threads ---- */

struct os_thread {
    intptr_t handle;
};

RS_CHECK_RESULT enum rs_status os_thread_start(struct os_thread *out, void (*entry)(void *),
                                               void *arg, const char *name);
void os_thread_join(struct os_thread *thread);
/* Binds the calling thread to a processor; RS_INVALID when there is none with that index. */
RS_CHECK_RESULT enum rs_status os_thread_pin(uint32_t cpu_idx);

/*
 * A number for the calling thread: not 0, and no other living thread of the process has it. The
 * system gives it to a later thread again. A few instructions.
 */
#ifdef _WIN32
static inline uint32_t os_thread_id(void)
{
    uint32_t id; /* ClientId.UniqueThread in the thread's environment block */
#ifdef __x86_64__
    __asm__("movl %%gs:0x48, %0" : "=r"(id));
#else
    __asm__("movl %%fs:0x24, %0" : "=r"(id));
#endif
    return id;
}
#else
extern _Thread_local uint32_t os_thread_id_kept __attribute__((tls_model("initial-exec")));
uint32_t os_thread_id_ask(void);
static inline uint32_t os_thread_id(void)
{
    uint32_t id = os_thread_id_kept;
    return __builtin_expect(id != 0, 1) ? id : os_thread_id_ask();
}
#endif
/* False: no thread of this process has that number now, however it ended. Asks the system. */
bool os_thread_alive(uint32_t id);

struct os_mutex {
    _Alignas(8) unsigned char storage[64];
};
void os_mutex_init(struct os_mutex *mutex);
void os_mutex_destroy(struct os_mutex *mutex);
void os_mutex_lock(struct os_mutex *mutex);
void os_mutex_unlock(struct os_mutex *mutex);

/* Thread-local slot with a destructor run at the thread's end when its value is not NULL (pthread
 * keys / FLS). */
struct os_tls {
    uintptr_t key;
};
RS_CHECK_RESULT enum rs_status os_tls_create(void (*destructor)(void *), struct os_tls *out);
void os_tls_destroy(struct os_tls *tls);
void *os_tls_get(const struct os_tls *tls);
void os_tls_set(const struct os_tls *tls, void *value);

/* ---- the host's own network and memory: start-up checks of a dataplane that shares a NIC with the
 * kernel. Any thread; slow. ---- */

/* True: an interface of this host (of this network namespace) has that address. False also when the
 * system does not say. */
bool os_host_has_ipv4(uint32_t ip_be32);
bool os_host_has_mac(const uint8_t mac[6]);
/* True: huge pages can be had by this process now (Linux: some are free; Windows: the 'Lock pages
 * in memory' right is held). */
bool os_huge_pages_usable(void);

/* Zeroed memory for a table that is read at random, aligned to a cache line: large ones lie on huge
 * pages where the system gives these without reservation (Linux, transparent huge pages), so that a
 * look-up misses the cache but not the page table too. bytes 0 yields a place all the same. NULL:
 * none left. Any thread. */
void *os_table_alloc(size_t bytes);
void os_table_free(void *table, size_t bytes); /* bytes as at os_table_alloc; NULL is harmless */

/* SIGINT/SIGTERM, Ctrl-C and console close: signals *event (and nothing else). Once per
 * process, RS_ALREADY after that; event lives as long as the process. */
RS_CHECK_RESULT enum rs_status os_on_shutdown(struct os_event *event);

#endif
