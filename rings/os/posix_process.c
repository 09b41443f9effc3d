/*
 * Process watch (pidfd) and the shutdown signals on Linux. Called by the control thread, by a
 * client that waits, and by main.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
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
