/*
 * Process watch (pidfd) and the shutdown signals on Linux. Called by the control thread, by a
 * client that waits, and by main.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

enum rs_status os_process_open(uint32_t pid, struct os_process *out)
{
    *out = (struct os_process){.handle = -1, .pid = pid};
    if (pid == 0 || pid > INT32_MAX) {
        return RS_INVALID;
    }
    long fd = syscall(SYS_pidfd_open, (pid_t)pid, 0); /* always close-on-exec, pidfd_open(2) */
    if (fd < 0) {
        (void)posix_error("pidfd_open");
        return errno == ESRCH ? RS_DATAPLANE_GONE : RS_OS_ERROR;
    }
    out->handle = (intptr_t)fd;
    return RS_OK;
}

bool os_process_alive(const struct os_process *process)
{
    struct pollfd watch = {.fd = (int)process->handle, .events = POLLIN};
    if (process->handle < 0) {
        return false;
    }
    int ready = 0;
    do {
        ready = poll(&watch, 1, 0);
    } while (ready < 0 && errno == EINTR);
    return ready == 0;
}

void os_process_close(struct os_process *process)
{
    os_handle_close(process->handle);
    process->handle = -1;
}

/* A small file of /proc, NUL-terminated. Empty when it cannot be read. */
static void process_read(const char *path, char *out, size_t bytes)
{
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, out, bytes - 1);
        (void)close(fd);
    }
    out[got > 0 ? got : 0] = '\0';
}

void os_process_name(const struct os_process *process, char *out, size_t bytes)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%u/comm", process->pid);
    process_read(path, out, bytes);
    out[strcspn(out, "\n")] = '\0';
    if (!os_process_alive(process)) { /* then the number may be another one's by now */
        out[0] = '\0';
    }
}

static uint64_t process_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return UINT64_MAX;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count - 1; /* the folder itself */
}

void os_process_usage(struct os_usage *out)
{
    char text[128];
    process_read("/proc/self/statm", text, sizeof(text)); /* proc(5): size resident ... in pages */
    const char *resident = strchr(text, ' ');
    out->resident_bytes = resident != NULL
                              ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE)
                              : UINT64_MAX;
    out->handles = process_descriptors();
}

void os_handle_close(intptr_t handle)
{
    if (handle >= 0) {
        (void)close((int)handle);
    }
}

/* Written once by os_on_shutdown; partner: the handler, on whatever thread the signal finds. */
static struct os_event *_Atomic shutdown_event;

static void shutdown_on_signal(int signal_number)
{
    (void)signal_number;
    struct os_event *event = atomic_load(&shutdown_event);
    if (event) {
        os_event_signal(event);
    }
}

enum rs_status os_on_shutdown(struct os_event *event)
{
    struct os_event *none = NULL;
    if (!atomic_compare_exchange_strong(&shutdown_event, &none, event)) {
        return RS_ALREADY;
    }
    struct sigaction action = {.sa_handler = shutdown_on_signal, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        atomic_store(&shutdown_event, NULL);
        return posix_error("sigaction");
    }
    return RS_OK;
}
