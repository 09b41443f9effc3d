/*
 * What the tests of rings/os need from the system and the boundary itself does not offer: starting
 * and killing processes, breaking mappings, hostile messages. Two implementations, chosen in CMake:
 * os_support_posix.c and os_support_win32.c. Test threads only; a failing system call here ends the
 * test program with a message.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_OS_SUPPORT_H
#define RINGSOCK_TESTS_SUPPORT_OS_SUPPORT_H

#include "rings/os/os.h"

#define TEST_WAIT_NS (20 * 1000000000ull) /* bound of every wait that is expected to end well */

/* In a child process there is no cmocka: says what failed and ends with status 1. */
#define CHILD_CHECK(condition)                         \
    do {                                               \
        if (!(condition)) {                            \
            test_fail(__FILE__, __LINE__, #condition); \
        }                                              \
    } while (0)
_Noreturn void test_fail(const char *file, int line, const char *what);

/* ---- processes ---- */

struct test_process {
    intptr_t handle;
    uint32_t pid;
};

/* Starts this same program again with up to three arguments (NULL ends early); main() looks at
 * them. */
struct test_process test_process_spawn_self(const char *role, const char *arg, const char *arg2);
/* Starts a program with an argv that ends in NULL; argv[0] is its path. */
struct test_process test_process_spawn(const char *const argv[]);
void test_process_kill(const struct test_process *process);
/* Waits for the end; the exit status, or -1 when a signal or an exception ended it. */
int test_process_wait(struct test_process *process);

/* Open descriptors or handles of this process: what a leak shows in. */
uint32_t test_handle_count(void);

/* ---- runtime folder ---- */

/* Gives this process and its children a place of their own for os_listen, and a name that nobody
 * else uses; removes it again. */
const char *test_runtime_enter(void);
void test_runtime_leave(void);
/* Removes what os_listen left of another name. */
void test_runtime_forget(const char *name);

/* ---- memory ---- */

/* Tries everything that could make read-only shared memory writable or smaller. NULL if all of it
 * failed, as it must; else the name of the attempt that worked. */
const char *test_memory_attack(const struct os_shm *shm);
/* How many of the ways work by which a client could take pages out of memory that it may write, or
 * map it writable once more; and how many do before os_shm_seal on this system. */
uint32_t test_memory_holes(const struct os_shm *shm);
extern const uint32_t test_memory_holes_unsealed;
/* Sees to it, as a client could, that the object cannot be sealed any more. False: no way here. */
bool test_memory_deny_seal(const struct os_shm *shm);
/* Makes a mapping whose second half faults when it is read. */
void *test_memory_make_broken(size_t size_bytes);
/* The crash to come is expected: no core file, no dialog. */
void test_quiet_crash(void);
/* True if a forked child has no access to the mapping; also where there is no fork. */
bool test_memory_hidden_from_fork(const void *base);

/* ---- connection ---- */

/* Sends a message longer than OS_CONN_MESSAGE_BYTES, past os_conn_send. */
void test_conn_send_too_long(struct os_conn *conn);
/* Sends, from the client's end, a message with a handle. False if the system refused that already.
 */
bool test_conn_send_handle_to_dataplane(struct os_conn *conn);
/* Sends, from the dataplane's end, more handles than a message may have. */
void test_conn_send_too_many_handles(struct os_conn *conn);

/* ---- shutdown ---- */

/* Asks this process to stop, as a person would. False if that cannot be done here. */
bool test_request_shutdown(void);

#endif
