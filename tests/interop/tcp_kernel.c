/*
 * tcp_kernel GROUP [CASE ...]: our TCP against the kernel's, over a TAP device, on the real clock.
 * Each case runs in a process and in network namespaces of its own, which end with it, so none can
 * disturb another, or leave something behind. Exit status 0 all passed, 77 this host cannot do it.
 * Without DPDK and without a dataplane: what fails here is the engine's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/os/os.h"
#include "tcp_world.h"
#include "tests/support/check.h"

/* A case bounds each of its waits; this is for what hangs elsewhere. */
#define CASE_SECONDS 60u

static const struct {
    const char *name;
    const struct tcp_case *cases;
} groups[] = {
    {"open", tcp_cases_open},       {"bulk", tcp_cases_bulk},     {"loss", tcp_cases_loss},
    {"options", tcp_cases_options}, {"window", tcp_cases_window}, {"close", tcp_cases_close},
    {"many", tcp_cases_many},       {"path", tcp_cases_path},     {"time", tcp_cases_time}};

static int run_case(const struct tcp_case *one)
{
    uint64_t start_ns = os_monotonic_ns();
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(CASE_SECONDS);
        one->run();
        world_close();
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    const double took = (double)(os_monotonic_ns() - start_ns) / 1e9;
    if (WIFSIGNALED(status)) {
        printf("FAILED %s: signal %d after %.1f s\n", one->name, WTERMSIG(status), took);
        return 1;
    }
    const int result = WEXITSTATUS(status);
    printf("%s %s (%.2f s)\n",
           result == 0                ? "ok"
           : result == KERNEL_SKIPPED ? "skipped"
                                      : "FAILED",
           one->name, took);
    return result;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return argc == 2;
}

int main(int argc, char **argv)
{
    int worst = 0;
    uint32_t ran = 0;
    for (size_t g = 0; argc >= 2 && g < sizeof(groups) / sizeof(groups[0]); g++) {
        if (strcmp(argv[1], groups[g].name) != 0) {
            continue;
        }
        for (const struct tcp_case *one = groups[g].cases; one->name != NULL; one++) {
            if (wanted(one->name, argc, argv)) {
                int result = run_case(one);
                worst = result != 0 && worst != 1 ? result : worst;
                ran++;
            }
        }
    }
    if (ran == 0) {
        (void)fputs("usage: tcp_kernel GROUP [CASE ...]\n", stderr);
        return 2;
    }
    return worst;
}
