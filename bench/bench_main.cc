// The shim between Google Benchmark and the C benches of bench.h: registers each case with a fixed
// number of iterations and manual time, and turns its result into counters. Everything that is
// measured is C.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/bench.h"

namespace
{

struct bench_context context;
bool failed = false;

void run_case(benchmark::State &state, const struct bench_case *one)
{
    while (state.KeepRunningBatch(state.max_iterations)) {
        struct bench_result result;
        uint64_t iterations = static_cast<uint64_t>(state.max_iterations);
        if (!bench_case_measure(&context, one, iterations, &result)) {
            failed = true;
            state.SkipWithError(context.error);
            return;
        }
        double ns_per_op = static_cast<double>(result.elapsed_ns) / static_cast<double>(iterations);
        state.SetIterationTime(static_cast<double>(result.elapsed_ns) * 1e-9);
        state.counters["ns_per_op"] = ns_per_op;
        state.counters["floor_ns"] = result.floor_ns;
        state.counters["verified"] = static_cast<double>(result.verified);
    }
}

// --ringsock_scale=N divides the iterations by N (bench-smoke); Google Benchmark sees the other
// arguments.
int64_t take_scale(int *argc, char **argv)
{
    const char name[] = "--ringsock_scale=";
    int64_t scale = 1;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (std::strncmp(argv[i], name, sizeof(name) - 1) == 0) {
            scale = std::atoll(argv[i] + sizeof(name) - 1);
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return scale < 1 ? 1 : scale;
}

} // namespace

int main(int argc, char **argv)
{
    int child = bench_child_main(argc, argv);
    if (child >= 0) {
        return child;
    }
    if (!bench_context_init(&context, argv[0])) {
        std::fprintf(stderr, "bench_ringsock: %s\n", context.error);
        return 77;
    }
    int64_t scale = take_scale(&argc, argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    for (const struct bench_case *one = bench_cases; one->name != nullptr; one++) {
        int64_t iterations = static_cast<int64_t>(one->iterations) / scale;
        benchmark::RegisterBenchmark(one->name,
                                     [one](benchmark::State &state) { run_case(state, one); })
            ->Iterations(iterations < 100 ? 100 : iterations)
            ->UseManualTime()
            ->Unit(benchmark::kNanosecond);
    }
    if (benchmark::RunSpecifiedBenchmarks() == 0) {
        std::fprintf(stderr, "bench_ringsock: no bench of that name\n");
        return 2;
    }
    return failed ? 1 : 0;
}
