/*
 * stream_kernel OPTIONS GROUP... -- COMMAND...: stream sockets on Ringsock against the kernel's.
 * COMMAND starts stream_side, the program on Ringsock; the kernel's sockets are this process's,
 * which is in the peer's namespace (tests/interop/run_streams brings it there). Exit status 0: all
 * cases passed.
 *
 *   --full                     long runs
 *   --slow                     short runs, for a NIC that is slow
 *   --wire NAMESPACE IF IF IF  where the wire is, its interfaces to ringsockd and to the kernel,
 * and the kernel's GROUP                      or GROUP.CASE
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stream_rig.h"
#include "tests/support/check.h"

/* A case bounds each of its waits; this is for what hangs elsewhere. */
#define CASE_SECONDS      120u
#define CASE_SECONDS_FULL 2400u

static const struct {
    const char *name;
    const struct stream_case *cases;
} groups[] = {{"refuse", stream_cases_refuse}, {"bulk", stream_cases_bulk},
              {"close", stream_cases_close},   {"window", stream_cases_window},
              {"vanish", stream_cases_vanish}, {"many", stream_cases_many},
              {"fair", stream_cases_fair}};

static void run_case(const struct stream_case *one)
{
    const uint64_t start_ms = rig_now_ms();
    rig.case_name = one->name;
    (void)alarm(rig.full ? CASE_SECONDS_FULL : CASE_SECONDS);
    one->run();
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
    printf("ok %s (%.2f s)\n", one->name, (double)(rig_now_ms() - start_ms) / 1000);
    (void)fflush(stdout);
}

static uint32_t run_group(const char *name)
{
    const char *dot = strchr(name, '.');
    const size_t length = dot != NULL ? (size_t)(dot - name) : strlen(name);
    uint32_t ran = 0;
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        if (strlen(groups[g].name) != length || strncmp(groups[g].name, name, length) != 0) {
            continue;
        }
        for (const struct stream_case *one = groups[g].cases; one->name != NULL; one++) {
            if (dot == NULL || strcmp(one->name, dot + 1) == 0) {
                run_case(one);
                ran++;
            }
        }
    }
    return ran;
}

static int open_namespace(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), name[0] == '/' ? "%s" : "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void prepare(void)
{
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    rig.case_name = "start";
    rig.peer_ns = open_namespace("/proc/self/ns/net");
    kernel_set("tcp_congestion_control", "reno"); /* of sockets that ask for none */
    kernel_set("ip_local_port_range", "10000 65000");
}

int main(int argc, char **argv)
{
    char **word = argv + 1;
    uint32_t ran = 0;
    for (; *word != NULL && (*word)[0] == '-' && (*word)[1] == '-' && (*word)[2] != '\0'; word++) {
        if (strcmp(*word, "--full") == 0) {
            rig.full = true;
        } else if (strcmp(*word, "--slow") == 0) {
            rig.slow = true;
        } else if (strcmp(*word, "--wire") == 0 && word + 4 < argv + argc) {
            rig.wire_ns = open_namespace(word[1]);
            rig.wire_ours_if = word[2];
            rig.wire_peer_if = word[3];
            rig.peer_if = word[4];
            word += 4;
        }
    }
    char **command = word;
    while (*command != NULL && strcmp(*command, "--") != 0) {
        command++;
    }
    if (*command == NULL || rig.wire_ours_if == NULL) {
        (void)fputs("usage: stream_kernel OPTIONS GROUP... -- COMMAND...\n", stderr);
        return 2;
    }
    prepare();
    side_start(command + 1);
    for (; word < command; word++) {
        uint32_t cases = run_group(*word);
        if (cases == 0) {
            FAIL("there is no %s", *word);
        }
        ran += cases;
    }
    rig.case_name = "end";
    side_end();
    printf("ok all %u cases\n", ran);
    return 0;
}
