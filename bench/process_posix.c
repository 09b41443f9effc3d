/* A second program on POSIX systems, see process.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/process.h"

static uint64_t process_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool process_start(const char *const *argv, struct process *out, char *error, size_t error_bytes)
{
    int pipe_fds[2];
    *out = (struct process){.handle = -1, .output = -1};
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        (void)snprintf(error, error_bytes, "pipe2: %s", strerror(errno));
        return false;
    }
    pid_t pid = fork();
    if (pid < 0) {
        (void)snprintf(error, error_bytes, "fork: %s", strerror(errno));
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        return false;
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a bench that dies leaves nothing spinning */
        (void)dup2(pipe_fds[1], STDOUT_FILENO);
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        (void)dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    (void)close(pipe_fds[1]);
    *out = (struct process){.handle = pid, .output = pipe_fds[0]};
    return true;
}

bool process_wait_number(struct process *process, const char *word, uint32_t timeout_ms,
                         uint32_t *out)
{
    char line[512];
    size_t used = 0;
    uint64_t deadline_ms = process_now_ms() + timeout_ms;
    for (;;) {
        uint64_t now_ms = process_now_ms();
        struct pollfd fd = {.fd = (int)process->output, .events = POLLIN};
        char c;
        if (now_ms >= deadline_ms || poll(&fd, 1, (int)(deadline_ms - now_ms)) <= 0 ||
            read((int)process->output, &c, 1) != 1) {
            return false;
        }
        if (c != '\n') {
            line[used] = c;
            used += used + 1 < sizeof(line);
            continue;
        }
        line[used] = '\0';
        if (strncmp(line, word, strlen(word)) == 0) {
            *out = (uint32_t)strtoul(line + strlen(word), NULL, 10);
            return true;
        }
        used = 0;
    }
}

bool process_wait_line(struct process *process, const char *word, uint32_t timeout_ms)
{
    uint32_t nothing;
    return process_wait_number(process, word, timeout_ms, &nothing);
}

int process_stop(struct process *process)
{
    if (process->handle <= 0) {
        return 0;
    }
    pid_t pid = (pid_t)process->handle;
    int status = 0;
    bool ended = false;
    uint64_t deadline_ms = process_now_ms() + 2000;
    (void)kill(pid, SIGTERM);
    while (!(ended = waitpid(pid, &status, WNOHANG) == pid) && process_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, 1); /* waits for the child's end; pidfd needs a newer C library */
    }
    if (!ended) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    (void)close((int)process->output);
    *process = (struct process){.handle = -1, .output = -1};
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

uint32_t process_id(const struct process *process)
{
    return (uint32_t)process->handle;
}

bool process_alive(const struct process *process)
{
    siginfo_t info = {.si_pid = 0};
    return process->handle > 0 &&
           waitid(P_PID, (id_t)process->handle, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

void process_directory(const char *path, char *out, size_t out_bytes)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    (void)snprintf(out, out_bytes, "%.*s", (int)length, path);
}

void process_temp_directory(char *out, size_t out_bytes)
{
    const char *directory = getenv("TMPDIR");
    (void)snprintf(out, out_bytes, "%s/",
                   directory != NULL && *directory != '\0' ? directory : "/tmp");
}

bool process_stop_is_graceful(void)
{
    return true;
}
