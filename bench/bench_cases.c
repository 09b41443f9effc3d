/* The list of benches, what surrounds each run, and the second programs. See bench.h. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/bulk.h"
#include "bench/child.h"
#include "bench/process.h"
#include "rings/os/os.h"

enum { FLOOR_ROUNDS = 20000, CROWD_REQUESTS = 20 };

bool bench_context_init(struct bench_context *context, const char *argv0)
{
    static char program[512];
    static char dataplane[640];
    char directory[512];
    memset(context, 0, sizeof(*context));
    (void)snprintf(program, sizeof(program), "%s", argv0);
    process_directory(argv0, directory, sizeof(directory));
    (void)snprintf(dataplane, sizeof(dataplane), "%s" BENCH_DATAPLANE_NAME, directory);
    context->program = program;
    context->dataplane = dataplane;
    context->core_far = 1;
    bulk_prepare();
    if (os_thread_pin(context->core_far) != RS_OK || os_thread_pin(context->core_near) != RS_OK) {
        (void)snprintf(context->error, sizeof(context->error), "needs processors 0 and 1: %s",
                       os_last_error_text());
        return false;
    }
    return true;
}

bool bench_case_measure(struct bench_context *context, const struct bench_case *one,
                        uint64_t iterations, struct bench_result *result)
{
    context->error[0] = '\0';
    uint64_t before_ns = bench_floor(context, FLOOR_ROUNDS);
    context->verified = 0;
    uint64_t elapsed_ns = before_ns != 0 ? one->run(context, iterations) : 0;
    uint64_t verified = context->verified;
    uint64_t behind_ns = elapsed_ns != 0 ? bench_floor(context, FLOOR_ROUNDS) : 0;
    if (behind_ns == 0) {
        return false;
    }
    if (verified != iterations) {
        (void)snprintf(context->error, sizeof(context->error), "%llu of %llu operations verified",
                       (unsigned long long)verified, (unsigned long long)iterations);
        return false;
    }
    *result = (struct bench_result){
        .elapsed_ns = elapsed_ns,
        .verified = verified,
        .floor_ns = (double)(before_ns + behind_ns) / (2.0 * FLOOR_ROUNDS),
    };
    return true;
}

uint32_t bench_crowd(uint64_t iterations)
{
    uint64_t count = iterations / CROWD_REQUESTS;
    return count < BENCH_CROWD ? (uint32_t)count + 1 : BENCH_CROWD;
}

int bench_child_main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } children[] = {
        {"--echo-client", child_echo_client},
        {"--echo-kernel", child_echo_kernel},
        {"--stream-client", child_stream_client},
        {"--stream-kernel", child_stream_kernel},
        {"--echo-server", child_echo_server},
        {"--echo-server-kernel", child_echo_server_kernel},
    };
    for (size_t i = 0; argc > 1 && i < sizeof(children) / sizeof(children[0]); i++) {
        if (strcmp(argv[1], children[i].name) == 0) {
            return children[i].run(argc, argv);
        }
    }
    return -1;
}
