/*
 * The program on Ringsock as a child with two pipes, and connections with both ends, see
 * stream_rig.h. The wire is stream_wire.c.
 */
#include "stream_rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stream_pattern.h"
#include "tests/support/check.h"

#define SIDE_LINE_BYTES   512u
#define SIDE_SECONDS      90u /* the commands bound themselves; this is for a program that hangs */
#define SIDE_SECONDS_FULL 1800u
#define FILL_MS           300u
#define CLOSE_SECONDS     5

struct rig rig;

static struct {
    pid_t pid;
    int to, from;
    char command[SIDE_LINE_BYTES], answer[SIDE_LINE_BYTES];
    size_t length; /* of the answer so far */
    bool asked, complete;
} program;

void rig_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    (void)printf("FAILED %s (%s:%d): ", rig.case_name, file, line);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("; last command: %s%s%s\n", program.command,
                 program.complete ? ", answered: " : "", program.complete ? program.answer : "");
    (void)fflush(stdout);
    exit(1);
}

uint64_t rig_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void rig_wait(uint64_t deadline_ms, const char *what, const char *file, int line)
{
    if (rig_now_ms() >= deadline_ms) {
        rig_fail(file, line, "waited in vain for %s", what);
    }
    (void)poll(NULL, 0, 1);
}

/* ---- the program on Ringsock ---- */

void side_start(char *const *command)
{
    int to[2];
    int from[2];
    CHECK(pipe2(to, 0) == 0 && pipe2(from, 0) == 0);
    (void)fflush(NULL);
    program.pid = fork();
    CHECK(program.pid >= 0);
    if (program.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        for (int i = 0; i < 2; i++) {
            (void)close(to[i]);
            (void)close(from[i]);
        }
        (void)execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    program.to = to[1];
    program.from = from[0];
    program.asked = true;
    (void)snprintf(program.command, sizeof(program.command), "(start)");
    if (strcmp(side_finish(), "ready") != 0) {
        FAIL("stream_side says '%s', not 'ready'", program.answer);
    }
}

void side_end(void)
{
    int status = -1;
    (void)close(program.to);
    AWAIT(20, "stream_side to end", waitpid(program.pid, &status, WNOHANG) == program.pid);
    EXPECT_IS(status, 0);
}

int side_fd(void)
{
    return program.from;
}

bool side_answered(uint32_t timeout_ms)
{
    struct pollfd poller = {.fd = program.from, .events = POLLIN};
    while (!program.complete && poll(&poller, 1, (int)timeout_ms) > 0) {
        char byte;
        if (read(program.from, &byte, 1) != 1) {
            FAIL("stream_side has ended");
        }
        program.complete = byte == '\n';
        if (byte >= ' ' && program.length + 1 < sizeof(program.answer)) {
            program.answer[program.length++] = byte;
        }
        timeout_ms = program.complete ? 0 : 1000;
    }
    program.answer[program.length] = '\0';
    return program.complete;
}

static void side_write(const char *format, va_list args)
{
    EXPECT(!program.asked);
    (void)vsnprintf(program.command, sizeof(program.command) - 1, format, args);
    size_t bytes = strlen(program.command);
    program.command[bytes] = '\n';
    if (write(program.to, program.command, bytes + 1) != (ssize_t)(bytes + 1)) {
        FAIL("stream_side takes no command: %s", strerror(errno));
    }
    program.command[bytes] = '\0';
    program.asked = true;
    program.complete = false;
    program.length = 0;
}

void side_begin(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    side_write(format, args);
    va_end(args);
}

const char *side_finish(void)
{
    const uint64_t until_ms =
        rig_now_ms() + 1000ull * (rig.full ? SIDE_SECONDS_FULL : SIDE_SECONDS);
    while (!side_answered(100)) {
        if (rig_now_ms() > until_ms) {
            FAIL("stream_side does not answer");
        }
    }
    program.asked = false;
    if (strncmp(program.answer, "ok", 2) == 0) {
        return program.answer + 2 + (program.answer[2] == ' ');
    }
    if (strcmp(program.answer, "ready") == 0) {
        return program.answer;
    }
    FAIL("Ringsock's side says: %s", program.answer);
}

bool side_failed(void)
{
    return side_answered(0) && strncmp(program.answer, "ok", 2) != 0;
}

const char *side(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    side_write(format, args);
    va_end(args);
    return side_finish();
}

void side_is(const char *answer, const char *format, ...)
{
    va_list args;
    const uint64_t until_ms = rig_now_ms() + 1000ull * SIDE_SECONDS;
    va_start(args, format);
    side_write(format, args);
    va_end(args);
    while (!side_answered(100)) {
        if (rig_now_ms() > until_ms) {
            FAIL("stream_side does not answer");
        }
    }
    program.asked = false;
    if (strcmp(program.answer, answer) != 0) {
        FAIL("Ringsock's side says '%s', not '%s'", program.answer, answer);
    }
}

/* ---- pairs ---- */

#define PAIR_SLOT     1u
#define LISTENER_SLOT 2u

/* With CUBIC, as Linux has it where nobody chose. */
static struct kernel_options pair_options(const struct kernel_options *kernel)
{
    struct kernel_options options = kernel != NULL ? *kernel : (struct kernel_options){0};
    options.congestion = "cubic";
    return options;
}

struct pair pair_connect(const char *options, const struct kernel_options *kernel)
{
    struct pair pair = {.kernel = -1, .slot = PAIR_SLOT};
    const struct kernel_options with_cubic = pair_options(kernel);
    int listener = kernel_listen(RIG_PORT, &with_cubic);
    side("socket %u %s", pair.slot, options);
    side("connect %u " RIG_KERNEL " %u 10", pair.slot, RIG_PORT);
    AWAIT(5, "the kernel's accept", (pair.kernel = kernel_accept(listener)) >= 0);
    kernel_close(listener);
    return pair;
}

struct pair pair_accept(const char *options, const struct kernel_options *kernel)
{
    struct pair pair = {.slot = PAIR_SLOT};
    const struct kernel_options with_cubic = pair_options(kernel);
    int result = EINPROGRESS;
    side("socket %u %s", LISTENER_SLOT, options);
    side("bind %u %u", LISTENER_SLOT, RIG_PORT);
    side("listen %u 8", LISTENER_SLOT);
    pair.kernel = kernel_connect(RIG_OURS, RIG_PORT, &with_cubic);
    side("accept %u %u 10", pair.slot, LISTENER_SLOT);
    AWAIT(5, "the kernel's connect", (result = kernel_connect_result(pair.kernel)) != EINPROGRESS);
    EXPECT_IS(result, 0);
    side("close %u", LISTENER_SLOT);
    return pair;
}

static void pair_check(const struct pair *pair, const uint8_t *data, uint32_t bytes)
{
    const uint8_t *wanted = stream_pattern(pair->to_kernel);
    for (uint32_t i = 0; memcmp(data, wanted, bytes) != 0 && i < bytes; i++) {
        if (data[i] != wanted[i]) {
            FAIL("byte %llu of the stream to the kernel is %u, not %u",
                 (unsigned long long)pair->to_kernel + i, data[i], wanted[i]);
        }
    }
}

bool pair_kernel_send(struct pair *pair, uint64_t until_bytes)
{
    const uint32_t bytes = stream_piece(pair->to_ours, until_bytes);
    ssize_t sent =
        kernel_send(pair->kernel, stream_pattern(STREAM_FROM_KERNEL + pair->to_ours), bytes);
    if (sent < 0 && sent != -EAGAIN) {
        FAIL("the kernel's send: %s", strerror((int)-sent));
    }
    pair->to_ours += sent > 0 ? (uint64_t)sent : 0;
    return sent > 0;
}

const uint8_t *pair_kernel_next(const struct pair *pair)
{
    return stream_pattern(STREAM_FROM_KERNEL + pair->to_ours);
}

bool pair_kernel_recv(struct pair *pair, uint64_t until_bytes)
{
    static uint8_t data[STREAM_PIECE_BYTES];
    if (pair->to_kernel == until_bytes) {
        return false;
    }
    ssize_t got = kernel_recv(pair->kernel, data, stream_piece(pair->to_kernel, until_bytes));
    if (got == 0 || (got < 0 && got != -EAGAIN)) {
        FAIL("the kernel's recv after %llu bytes: %s", (unsigned long long)pair->to_kernel,
             got == 0 ? "the end" : strerror((int)-got));
    }
    if (got > 0) {
        pair_check(pair, data, (uint32_t)got);
        pair->to_kernel += (uint64_t)got;
    }
    return got > 0;
}

void pair_transfer(struct pair *pair, uint64_t to_kernel_bytes, uint64_t to_ours_bytes,
                   uint32_t seconds)
{
    const uint64_t to_kernel = pair->to_kernel + to_kernel_bytes;
    const uint64_t to_ours = pair->to_ours + to_ours_bytes;
    const uint64_t start_ms = rig_now_ms();
    side_begin("transfer %u %llu %llu %u", pair->slot, (unsigned long long)to_kernel_bytes,
               (unsigned long long)to_ours_bytes, seconds);
    while (pair->to_kernel < to_kernel || pair->to_ours < to_ours) {
        const bool sends = pair->to_ours < to_ours;
        const bool receives = pair->to_kernel < to_kernel;
        bool moved = sends && pair_kernel_send(pair, to_ours);
        moved |= receives && pair_kernel_recv(pair, to_kernel);
        struct pollfd pollers[2] = {
            {.fd = pair->kernel,
             .events = (short)((receives ? POLLIN : 0) | (sends ? POLLOUT : 0))},
            {.fd = side_fd(), .events = POLLIN}};
        if (!moved) {
            (void)poll(pollers, 2, 100);
            if ((pollers[1].revents & POLLIN) != 0 && !sends) {
                (void)side_answered(0);
            }
        }
        if (rig_now_ms() - start_ms > 1000ull * seconds + 1000) {
            FAIL("after %u s %llu of %llu bytes are at the kernel, %llu of %llu sent by it",
                 seconds, (unsigned long long)pair->to_kernel, (unsigned long long)to_kernel,
                 (unsigned long long)pair->to_ours, (unsigned long long)to_ours);
        }
    }
    (void)side_finish();
    const double took = (double)(rig_now_ms() - start_ms) / 1000;
    if (to_kernel_bytes + to_ours_bytes < RIG_MIB) {
        return;
    }
    printf("  %.1f MiB to the kernel, %.1f MiB to Ringsock in %.2f s, %.2f Gbit/s; the kernel sent "
           "%u segments again\n",
           (double)to_kernel_bytes / (double)RIG_MIB, (double)to_ours_bytes / (double)RIG_MIB, took,
           (double)(to_kernel_bytes + to_ours_bytes) * 8 / took / 1e9,
           kernel_retransmits(pair->kernel));
}

void pair_kernel_fill(struct pair *pair)
{
    const uint64_t until_ms = rig_now_ms() + 10000;
    uint64_t moved_ms = rig_now_ms();
    while (rig_now_ms() - moved_ms < FILL_MS) {
        if (pair_kernel_send(pair, UINT64_MAX)) {
            moved_ms = rig_now_ms();
        } else {
            rig_wait(until_ms, "the way to Ringsock to be full", __FILE__, __LINE__);
        }
    }
}

void pair_close(struct pair *pair, bool kernel_first)
{
    uint8_t byte;
    if (kernel_first) {
        kernel_shutdown_send(pair->kernel);
        side("end %u %d", pair->slot, CLOSE_SECONDS);
    }
    side("close %u", pair->slot);
    AWAIT(CLOSE_SECONDS, "Ringsock's FIN", kernel_recv(pair->kernel, &byte, 1) == 0);
    kernel_close(pair->kernel);
    AWAIT(CLOSE_SECONDS, "the kernel to have nothing open", kernel_count_open() == 0);
}

void pair_kernel_error(const struct pair *pair, int error)
{
    int got = 0;
    AWAIT(10, "an error on the kernel's socket", (got = kernel_error(pair->kernel)) != 0);
    if (got != error) {
        FAIL("the kernel's socket has %s, not %s", strerror(got), strerror(error));
    }
}
