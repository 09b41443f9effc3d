/*
 * os_support.h on Linux.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/os_support.h"

#define SUPPORT_PAGE_BYTES 4096u

static char runtime_folder[64];

_Noreturn void test_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: failed: %s (errno %d %s, last error '%s')\n", file, line, what,
                  errno, strerror(errno), os_last_error_text());
    exit(1);
}

/* ---- processes ---- */

struct test_process test_process_spawn(const char *const argv[])
{
    pid_t pid = 0;
    int error = posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    CHILD_CHECK(error == 0);
    return (struct test_process){.handle = pid, .pid = (uint32_t)pid};
}

struct test_process test_process_spawn_self(const char *role, const char *arg, const char *arg2)
{
    const char *const argv[] = {"/proc/self/exe", role, arg, arg2, NULL};
    return test_process_spawn(argv);
}

void test_process_kill(const struct test_process *process)
{
    CHILD_CHECK(kill((pid_t)process->pid, SIGKILL) == 0);
}

int test_process_wait(struct test_process *process)
{
    int status = 0;
    pid_t ended = 0;
    do {
        ended = waitpid((pid_t)process->pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    CHILD_CHECK(ended == (pid_t)process->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

uint32_t test_handle_count(void)
{
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHILD_CHECK(folder);
    while (readdir(folder)) { /* NOLINT(concurrency-mt-unsafe) */
        count++;
    }
    (void)closedir(folder);
    return count;
}

/* ---- runtime folder ---- */

const char *test_runtime_enter(void)
{
    (void)snprintf(runtime_folder, sizeof runtime_folder, "/tmp/ringsock-test-XXXXXX");
    CHILD_CHECK(mkdtemp(runtime_folder));
    CHILD_CHECK(setenv("RINGSOCK_RUNTIME_DIR", runtime_folder, 1) == 0);
    return "test";
}

void test_runtime_forget(const char *name)
{
    static const char *const left[] = {"sock", "lock"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s.%s", runtime_folder, name, left[i]);
        (void)unlink(path);
    }
}

void test_runtime_leave(void)
{
    test_runtime_forget("test");
    CHILD_CHECK(rmdir(runtime_folder) == 0);
    CHILD_CHECK(unsetenv("RINGSOCK_RUNTIME_DIR") == 0);
}

/* ---- memory ---- */

const char *test_memory_attack(const struct os_shm *shm)
{
    const int fd = (int)shm->handle;
    const size_t bytes = (size_t)shm->size_bytes;
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reopened = open(path, O_RDWR | O_CLOEXEC);
    const char *worked = NULL;
    if (mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED) {
        worked = "mmap writable";
    } else if (mmap(NULL, bytes, PROT_WRITE, MAP_SHARED, reopened, 0) != MAP_FAILED) {
        worked = "mmap writable of the reopened file";
    } else if (mprotect(shm->base, bytes, PROT_READ | PROT_WRITE) == 0) {
        worked = "mprotect";
    } else if (pwrite(fd, "x", 1, 0) >= 0) {
        worked = "pwrite";
    } else if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SUPPORT_PAGE_BYTES) ==
               0) {
        worked = "fallocate(PUNCH_HOLE)";
    } else if (madvise(shm->base, bytes, MADV_REMOVE) == 0) {
        worked = "madvise(MADV_REMOVE)";
    } else if (ftruncate(fd, 0) == 0) {
        worked = "ftruncate";
    } else if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0) {
        worked = "fcntl(F_ADD_SEALS)";
    }
    if (reopened >= 0) {
        (void)close(reopened);
    }
    return worked;
}

const uint32_t test_memory_holes_unsealed = 4;

uint32_t test_memory_holes(const struct os_shm *shm)
{
    const int fd = (int)shm->handle;
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reopened = open(path, O_RDWR | O_CLOEXEC);
    uint32_t worked = madvise(shm->base, SUPPORT_PAGE_BYTES, MADV_REMOVE) == 0;
    worked += fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SUPPORT_PAGE_BYTES) == 0;
    const int fds[2] = {fd, reopened};
    for (uint32_t i = 0; i < 2; i++) {
        void *at = mmap(NULL, SUPPORT_PAGE_BYTES, PROT_WRITE, MAP_SHARED, fds[i], 0);
        if (at != MAP_FAILED) {
            worked++;
            (void)munmap(at, SUPPORT_PAGE_BYTES);
        }
    }
    (void)close(reopened);
    return worked;
}

bool test_memory_deny_seal(const struct os_shm *shm)
{
    return fcntl((int)shm->handle, F_ADD_SEALS, F_SEAL_SEAL) == 0;
}

void *test_memory_make_broken(size_t size_bytes)
{
    int fd = memfd_create("ringsock-test", MFD_CLOEXEC);
    CHILD_CHECK(fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0);
    unsigned char *base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHILD_CHECK(base != MAP_FAILED);
    memset(base, 0x5a, size_bytes);
    CHILD_CHECK(ftruncate(fd, (off_t)(size_bytes / 2)) == 0);
    (void)close(fd);
    return base;
}

void test_quiet_crash(void)
{
    const struct rlimit none = {0, 0};
    CHILD_CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
}

bool test_memory_hidden_from_fork(const void *base)
{
    pid_t pid = fork();
    CHILD_CHECK(pid >= 0);
    if (pid == 0) {
        unsigned char here = 0;
        /* ENOMEM: the page is not mapped, mincore(2). */
        bool mapped = mincore((void *)(uintptr_t)base, 1, &here) == 0;
        _exit(mapped ? 1 : 0);
    }
    struct test_process child = {.handle = pid, .pid = (uint32_t)pid};
    return test_process_wait(&child) == 0;
}

/* ---- connection ---- */

static bool support_send_fds(const struct os_conn *conn, const int *fds, size_t count)
{
    union {
        struct cmsghdr align;
        unsigned char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control = {.bytes = {0}};
    CHILD_CHECK(count <= 16);
    char byte = 'x';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
    return sendmsg((int)conn->handle, &header, MSG_NOSIGNAL) == 1;
}

void test_conn_send_too_long(struct os_conn *conn)
{
    char message[OS_CONN_MESSAGE_BYTES + 1] = {0};
    CHILD_CHECK(send((int)conn->handle, message, sizeof message, MSG_NOSIGNAL) ==
                (ssize_t)sizeof message);
}

bool test_conn_send_handle_to_dataplane(struct os_conn *conn)
{
    const int fds[] = {STDERR_FILENO};
    if (support_send_fds(conn, fds, 1)) {
        return true;
    }
    CHILD_CHECK(errno == EPERM); /* SO_PASSRIGHTS */
    return false;
}

void test_conn_send_too_many_handles(struct os_conn *conn)
{
    int fds[16];
    for (size_t i = 0; i < 16; i++) {
        fds[i] = STDERR_FILENO;
    }
    CHILD_CHECK(support_send_fds(conn, fds, 16));
}

/* ---- shutdown ---- */

bool test_request_shutdown(void)
{
    return kill(getpid(), SIGTERM) == 0;
}
