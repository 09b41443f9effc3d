/*
 * A small deterministic random generator for tests (splitmix64), and the way a test gets its seed:
 * the environment variable RINGSOCK_TEST_SEED, else a fixed one; printed, so that a failure can be
 * had again.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_RANDOM_H
#define RINGSOCK_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct test_random {
    uint64_t state;
};

static inline struct test_random test_random_make(uint64_t seed)
{
    return (struct test_random){seed};
}

static inline uint64_t test_random_u64(struct test_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* A value in [0, bound); bound is not 0. */
static inline uint32_t test_random_below(struct test_random *random, uint32_t bound)
{
    return (uint32_t)((test_random_u64(random) >> 32) * bound >> 32);
}

/* The seed of this run, printed with the test's name. */
static inline uint64_t test_random_seed(const char *test_name)
{
    const char *text = getenv("RINGSOCK_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261123u;
    printf("%s: RINGSOCK_TEST_SEED=%llu\n", test_name, (unsigned long long)seed);
    return seed;
}

#endif
