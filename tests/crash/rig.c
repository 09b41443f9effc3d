/* See rig.h. */
#include "tests/crash/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/os/os.h"
#include "tests/support/check.h"

#define READY_NS      20000000000ull
#define STOP_NS       20000000000ull
#define OWN_SLACK_KIB 512u /* what an allocator keeps for itself, and stacks */

static void rig_path(const struct rig *rig, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", rig->folder, name);
}

static void rig_print_log(const struct rig *rig)
{
    char path[128];
    char line[512];
    rig_path(rig, "log", path);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        (void)fprintf(stderr, "  ringsockd: %s", line);
    }
    if (log != NULL) {
        (void)fclose(log);
    }
}

static const char *const rig_conf_names[RIG_QUEUES_MAX] = {"conf", "conf-1"};

static void rig_make(struct rig *rig, const char *nic, const char *limits, uint32_t queues)
{
    char path[128];
    *rig = (struct rig){.folder = "/tmp/ringsock-crash-XXXXXX", .queues = queues};
    CHECK(mkdtemp(rig->folder) != NULL && queues <= RIG_QUEUES_MAX);
    for (uint32_t i = 0; i < queues; i++) {
        rig_path(rig, rig_conf_names[i], path);
        FILE *out = fopen(path, "we");
        CHECK(out != NULL);
        (void)fprintf(out,
                      "[nic]\nqueue = %u\n%s[queue]\nidle = yield\n"
                      "[instance]\nname = " RIG_INSTANCE "\nclient_idle = yield\n"
                      "[log]\nlevel = warning\n[limits]\n%s",
                      i, nic[0] != '\0' ? nic : "device = loopback\n", limits);
        CHECK(fclose(out) == 0);
    }
    CHECK(setenv("RINGSOCK_RUNTIME_DIR", rig->folder, 1) == 0); /* NOLINT(concurrency-mt-unsafe) */
    CHECK(setenv("RINGSOCK_INSTANCE", RIG_INSTANCE, 1) == 0);   /* NOLINT(concurrency-mt-unsafe) */
}

void rig_create(struct rig *rig, const char *limits)
{
    rig_make(rig, "", limits, 1);
}

void rig_create_nic(struct rig *rig, const char *nic, const char *limits)
{
    rig_make(rig, nic, limits, 1);
}

void rig_create_queues(struct rig *rig, const char *limits, uint32_t queues)
{
    rig_make(rig, "", limits, queues);
}

/* In the child. */
static void rig_exec(const struct rig *rig)
{
    char confs[RIG_QUEUES_MAX][128], ledger[128], log[128];
    for (uint32_t i = 0; i < RIG_QUEUES_MAX; i++) {
        rig_path(rig, rig_conf_names[i], confs[i]);
    }
    rig_path(rig, "ledger", ledger);
    rig_path(rig, "log", log);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
    }
    (void)execl(RINGSOCKD, RINGSOCKD, "--json-ledger", ledger, confs[0],
                rig->queues > 1 ? confs[1] : (char *)NULL, (char *)NULL);
    _exit(127);
}

static bool rig_is_ready(void *context)
{
    const struct rig *rig = context;
    char path[128];
    char line[256];
    bool ready = false;
    rig_path(rig, "log", path);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        ready |= strncmp(line, "ringsockd: ready", 16) == 0;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return ready;
}

void rig_start(struct rig *rig)
{
    char path[128];
    CHECK(rig->pid == 0);
    rig_path(rig, "log", path);
    (void)unlink(path);
    pid_t parent = getpid();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            rig_exec(rig);
        }
        _exit(127);
    }
    rig->pid = pid;
    rig_await(rig_is_ready, rig, READY_NS, "ringsockd to be ready");
}

/* Behind the first place where the ledger says `text`, or NULL. */
static const char *rig_ledger_find(const struct rig *rig, const char *wanted)
{
    char path[128];
    static char text[65536];
    rig_path(rig, "ledger", path);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t bytes = fread(text, 1, sizeof(text) - 1, file);
    CHECK(fclose(file) == 0);
    text[bytes] = '\0';
    const char *at = strstr(text, wanted);
    return at != NULL ? at + strlen(wanted) : NULL;
}

uint64_t rig_ledger(const struct rig *rig, const char *name)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "\"%s\": ", name);
    const char *at = rig_ledger_find(rig, wanted);
    CHECK(at != NULL);
    return strtoull(at, NULL, 10);
}

/* A sanitizer's complaint in the log. */
static bool rig_log_complains(const struct rig *rig)
{
    char path[128];
    char line[512];
    bool complains = false;
    rig_path(rig, "log", path);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        complains |= strstr(line, "Sanitizer") != NULL || strstr(line, "runtime error") != NULL ||
                     strstr(line, "Assertion") != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return complains;
}

void rig_stop(struct rig *rig)
{
    CHECK(kill(rig->pid, SIGTERM) == 0);
    int status = rig_reap(rig->pid, STOP_NS, "ringsockd to stop");
    rig->pid = 0;
    /* 1: the ledger says that a full receiver lost something; what it says else is in the file. */
    bool good = WIFEXITED(status) && WEXITSTATUS(status) <= 1 && !rig_log_complains(rig);
    if (!good) {
        (void)fprintf(stderr, "ringsockd ended with wait status %#x\n", (unsigned)status);
        rig_print_log(rig);
    }
    CHECK(good);
    CHECK(rig_ledger_find(rig, "\"balances\": true") != NULL &&
          rig_ledger_find(rig, "\"balances\": false") == NULL);
}

void rig_kill(struct rig *rig)
{
    CHECK(kill(rig->pid, SIGKILL) == 0);
    (void)rig_reap(rig->pid, STOP_NS, "ringsockd to die");
    rig->pid = 0;
}

void rig_remove(struct rig *rig)
{
    static const char *const names[] = {"conf",       "conf-1",     "ledger",      "log",
                                        "crash.sock", "crash.lock", "before.json", "after.json"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        rig_path(rig, names[i], path);
        (void)unlink(path);
    }
    CHECK(rmdir(rig->folder) == 0);
}

pid_t rig_fork(int (*entry)(void *), void *arg)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(127);
        }
        exit(entry(arg)); /* NOLINT(concurrency-mt-unsafe): the leak check runs at exit */
    }
    return pid;
}

int rig_reap(pid_t pid, uint64_t timeout_ns, const char *what)
{
    uint64_t give_up_ns = os_monotonic_ns() + timeout_ns;
    int status = 0;
    pid_t reaped;
    while ((reaped = waitpid(pid, &status, WNOHANG)) == 0 && os_monotonic_ns() < give_up_ns) {
        os_sleep_ns(NS_PER_MS);
    }
    if (reaped != pid) {
        (void)fprintf(stderr, "waited %llu ms for %s\n",
                      (unsigned long long)(timeout_ns / NS_PER_MS), what);
    }
    CHECK(reaped == pid);
    return status;
}

static uint64_t rig_status_field(pid_t pid, const char *name)
{
    char path[64];
    char line[256];
    uint64_t value = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtoull(line + strlen(name), NULL, 10);
        }
    }
    (void)fclose(file);
    return value;
}

static uint64_t rig_count_fds(pid_t pid)
{
    char path[64];
    uint64_t count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    /* '.', '..', and for our own process the folder itself */
    return count - 2 - (pid == getpid());
}

static uint64_t rig_count_maps(pid_t pid)
{
    char path[64];
    int letter;
    uint64_t count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while ((letter = getc(file)) != EOF) {
        count += letter == '\n';
    }
    (void)fclose(file);
    return count;
}

struct rig_usage rig_usage(pid_t pid)
{
    return (struct rig_usage){.own_kib = rig_status_field(pid, "RssAnon:"),
                              .fds = rig_count_fds(pid),
                              .maps = rig_count_maps(pid)};
}

bool rig_same_memory(const struct rig_usage *before, const struct rig_usage *after)
{
    return RIG_KEEPS_FREED || after->own_kib <= before->own_kib + OWN_SLACK_KIB;
}

bool rig_same_maps(const struct rig_usage *before, const struct rig_usage *after)
{
    return RIG_KEEPS_FREED || after->maps <= before->maps;
}

void rig_usage_print(const char *when, const struct rig_usage *usage)
{
    printf("%-36s %8llu KiB of its own, %llu descriptors, %llu mappings\n", when,
           (unsigned long long)usage->own_kib, (unsigned long long)usage->fds,
           (unsigned long long)usage->maps);
    (void)fflush(stdout);
}

void rig_await(bool (*look)(void *), void *context, uint64_t timeout_ns, const char *what)
{
    uint64_t give_up_ns = os_monotonic_ns() + timeout_ns;
    bool seen;
    while (!(seen = look(context)) && os_monotonic_ns() < give_up_ns) {
        os_sleep_ns(NS_PER_MS);
    }
    if (!seen) {
        (void)fprintf(stderr, "waited %llu ms for %s\n",
                      (unsigned long long)(timeout_ns / NS_PER_MS), what);
    }
    CHECK(seen);
}

/* ---- ringsockctl
 * ----------------------------------------------------------------------------------------- */

/* Runs it and copies what stands behind "name": up to the closing bracket; ends the test when it
 * fails. */
static void rig_ask(const char *command, const char *name, char open, char close, char *out,
                    size_t out_bytes)
{
    char line[512];
    char wanted[64];
    static char text[262144];
    (void)snprintf(line, sizeof(line), "%s %s --json", RINGSOCKCTL, command);
    (void)snprintf(wanted, sizeof(wanted), "\"%s\": %c", name, open);
    FILE *pipe = popen(line, "re"); /* NOLINT(cert-env33-c): a path of the build */
    CHECK(pipe != NULL);
    size_t bytes = fread(text, 1, sizeof(text) - 1, pipe);
    int status = pclose(pipe);
    text[bytes] = '\0';
    const char *from = strstr(text, wanted);
    const char *to = from != NULL ? strchr(from, close) : NULL;
    if (status != 0 || to == NULL || (size_t)(to - from) >= out_bytes) {
        (void)fprintf(stderr, "%s: wait status %#x: %.2000s\n", line, (unsigned)status, text);
    }
    CHECK(status == 0 && to != NULL && (size_t)(to - from) < out_bytes);
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = '\0';
}

void rig_tables(const struct rig *rig, struct rig_tables *out)
{
    CHECK(rig->pid != 0);
    rig_ask("status", "in_use", '{', '}', out->in_use, sizeof(out->in_use));
    rig_ask("sockets", "ports", '[', ']', out->ports, sizeof(out->ports));
    rig_ask("status", "tcp", '{', '}', out->tcp, sizeof(out->tcp));
    char *time_waits = strstr(out->tcp, ", \"time_waits\"");
    CHECK(time_waits != NULL); /* it goes by itself, after its time */
    *time_waits = '\0';
}

void rig_await_tables(const struct rig *rig, const struct rig_tables *before,
                      const struct rig_usage *usage, uint64_t timeout_ns, const char *what)
{
    uint64_t give_up_ns = os_monotonic_ns() + timeout_ns;
    struct rig_tables now;
    struct rig_usage usage_now;
    for (;;) {
        rig_tables(rig, &now);
        usage_now = rig_usage(rig->pid);
        if (strcmp(now.in_use, before->in_use) == 0 && strcmp(now.ports, before->ports) == 0 &&
            strcmp(now.tcp, before->tcp) == 0 && usage_now.fds == usage->fds &&
            rig_same_maps(usage, &usage_now)) {
            return;
        }
        if (os_monotonic_ns() > give_up_ns) {
            break;
        }
        os_sleep_ns(NS_PER_MS);
    }
    rig_usage_print("before", usage);
    rig_usage_print("now", &usage_now);
    (void)fprintf(stderr, "waited %llu ms for %s\nbefore: %s %s %s\nnow: %s %s %s\n",
                  (unsigned long long)(timeout_ns / NS_PER_MS), what, before->in_use, before->ports,
                  before->tcp, now.in_use, now.ports, now.tcp);
    exit(1); /* NOLINT(concurrency-mt-unsafe) */
}
