/*
 * Unit tests of dataplane/wheel: single timers on every level and around its ends, random
 * operations against a naive list, jumps from one wheel_next_ns to the next, and the work done,
 * counted.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "../support/random.h"
#include "dataplane/wheel.h"

#define TICK   WHEEL_TICK_NS
#define SECOND 1000000000ull
#define HOUR   (3600 * SECOND)

static uint64_t up_to_tick(uint64_t ns)
{
    return (ns + TICK - 1) / TICK * TICK;
}

/* A due time about any level's distance away, often at the edge of a slot. */
static uint64_t random_ahead_ns(struct test_random *random)
{
    uint32_t bits = test_random_below(random, 50); /* 2^46 ns is where the last level ends */
    uint64_t ahead = test_random_u64(random) >> (63 - bits);
    switch (test_random_below(random, 4)) {
    case 0:
        return ((uint64_t)1 << bits) - 1 + test_random_below(random, 3);
    case 1:
        return up_to_tick(ahead);
    default:
        return ahead;
    }
}

static void an_empty_wheel_has_nothing(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, 12345678);
    assert_true(wheel_next_ns(&wheel) == UINT64_MAX);
    assert_null(wheel_take_due(&wheel, 12345678));
    assert_null(wheel_take_due(&wheel, 100 * HOUR));
    struct wheel_timer timer = {.kind = 9};
    assert_false(wheel_is_armed(&timer));
    wheel_cancel(&wheel, &timer);
    wheel_set(&wheel, &timer, 200 * HOUR);
    assert_true(wheel_is_armed(&timer) && timer.due_ns == 200 * HOUR);
    wheel_cancel(&wheel, &timer);
    wheel_cancel(&wheel, &timer);
    assert_false(wheel_is_armed(&timer));
    assert_true(wheel_next_ns(&wheel) == UINT64_MAX);
    assert_null(wheel_take_due(&wheel, 300 * HOUR));
    assert_int_equal(timer.kind, 9);
}

static void what_is_overdue_comes_at_once(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, 10 * SECOND + 1);
    struct wheel_timer timer = {0};
    wheel_set(&wheel, &timer, 3);
    assert_true(wheel_next_ns(&wheel) <= 10 * SECOND + 1);
    assert_ptr_equal(wheel_take_due(&wheel, 10 * SECOND + 1), &timer);
    assert_false(wheel_is_armed(&timer));
    assert_null(wheel_take_due(&wheel, 10 * SECOND + 1));
}

/* Alone on the wheel, from random beginnings: not a nanosecond early, not a tick late, and reached
 * by jumps in at most one a level (and one for each 19 hours). */
static void a_single_timer_is_exact_at_any_distance(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("wheel single"));
    for (uint32_t round = 0; round < 100000; round++) {
        struct wheel wheel;
        uint64_t now = test_random_u64(&random) >> (4 + test_random_below(&random, 40));
        wheel_init(&wheel, now);
        struct wheel_timer timer = {0};
        uint64_t due = now + random_ahead_ns(&random);
        wheel_set(&wheel, &timer, due);
        if ((round & 1) == 0) { /* one jump to each side of the edge */
            if (due > now) {
                assert_null(wheel_take_due(&wheel, due - 1));
                assert_true(wheel_next_ns(&wheel) <= up_to_tick(due));
            }
            assert_ptr_equal(wheel_take_due(&wheel, up_to_tick(due)), &timer);
            continue;
        }
        uint32_t jumps = 0;
        while (wheel_is_armed(&timer)) {
            uint64_t next = wheel_next_ns(&wheel);
            assert_true(next <= up_to_tick(due));
            struct wheel_timer *taken = wheel_take_due(&wheel, next > now ? next : now);
            assert_true(taken == NULL ? wheel_next_ns(&wheel) > next : next >= due || now >= due);
            assert_true(++jumps <= 5 + (due - now) / (19 * HOUR));
        }
    }
}

static void the_end_of_time_is_far_away(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, 0);
    struct wheel_timer timer = {0};
    wheel_set(&wheel, &timer, UINT64_MAX);
    assert_null(wheel_take_due(&wheel, UINT64_MAX - TICK));
    assert_true(wheel_next_ns(&wheel) >= UINT64_MAX - TICK);
}

enum { MODEL_TIMERS = 200 };

struct model {
    struct wheel wheel;
    struct wheel_timer timers[MODEL_TIMERS];
    bool armed[MODEL_TIMERS];
    uint64_t due_ns[MODEL_TIMERS];
    uint64_t now_ns;
};

static uint64_t model_first_ns(const struct model *model)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < MODEL_TIMERS; i++) {
        if (model->armed[i] && up_to_tick(model->due_ns[i]) < first) {
            first = up_to_tick(model->due_ns[i]);
        }
    }
    return first;
}

static void model_check(const struct model *model)
{
    for (uint32_t i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(wheel_is_armed(&model->timers[i]), model->armed[i]);
        assert_true(!model->armed[i] || model->timers[i].due_ns == model->due_ns[i]);
    }
    uint64_t next = wheel_next_ns(&model->wheel);
    uint64_t first = model_first_ns(model);
    assert_true(first == UINT64_MAX     ? next == UINT64_MAX
                : first > model->now_ns ? next <= first
                                        : next <= model->now_ns);
    /* In the wheel's block of 64 ticks it is exact. */
    if (first != UINT64_MAX && first > model->now_ns &&
        first / (64 * TICK) == model->now_ns / (64 * TICK)) {
        assert_true(next == first);
    }
}

/* Moves to now and takes all that is due; some are set again or cancelled meanwhile. */
static void model_advance(struct model *model, struct test_random *random, uint64_t now_ns)
{
    uint64_t begin_ns = model->now_ns / TICK * TICK; /* what was overdue then has this tick */
    uint64_t last = begin_ns;
    model->now_ns = now_ns;
    struct wheel_timer *timer;
    while ((timer = wheel_take_due(&model->wheel, now_ns)) != NULL) {
        uint32_t i = (uint32_t)(timer - model->timers);
        assert_true(i < MODEL_TIMERS && model->armed[i] && !wheel_is_armed(timer));
        assert_true(model->due_ns[i] <= now_ns);
        uint64_t tick_ns = up_to_tick(model->due_ns[i]);
        assert_true(tick_ns >= last || last <= begin_ns); /* in order of ticks */
        last = tick_ns > last ? tick_ns : last;
        model->armed[i] = false;
        uint32_t other = test_random_below(random, MODEL_TIMERS);
        if (test_random_below(random, 8) == 0) {
            wheel_cancel(&model->wheel, &model->timers[other]);
            model->armed[other] = false;
        } else if (test_random_below(random, 8) == 0) {
            model->due_ns[i] = now_ns + 1 + random_ahead_ns(random);
            model->armed[i] = true;
            wheel_set(&model->wheel, timer, model->due_ns[i]);
        }
    }
    uint64_t first = model_first_ns(model);
    assert_true(first > now_ns); /* none left behind: at most a tick late */
    assert_true(wheel_next_ns(&model->wheel) > now_ns);
}

static void random_operations_equal_a_naive_list(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("wheel model"));
    for (uint32_t round = 0; round < 60; round++) {
        struct model model = {.now_ns = test_random_u64(&random) >> (8 + round % 40)};
        wheel_init(&model.wheel, model.now_ns);
        for (uint32_t step = 0; step < 3000; step++) {
            uint32_t i = test_random_below(&random, MODEL_TIMERS);
            uint32_t what = test_random_below(&random, 10);
            if (what < 6) {
                bool overdue = test_random_below(&random, 20) == 0;
                uint64_t ahead = random_ahead_ns(&random);
                model.due_ns[i] = overdue ? (ahead < model.now_ns ? model.now_ns - ahead : 0)
                                          : model.now_ns + ahead;
                model.armed[i] = true;
                wheel_set(&model.wheel, &model.timers[i], model.due_ns[i]);
            } else if (what < 8) {
                wheel_cancel(&model.wheel, &model.timers[i]);
                model.armed[i] = false;
            } else {
                uint64_t next = wheel_next_ns(&model.wheel);
                bool jump = what == 8 && next != UINT64_MAX && next > model.now_ns;
                model_advance(&model, &random,
                              jump ? next : model.now_ns + random_ahead_ns(&random));
            }
            model_check(&model);
        }
    }
}

/* A loop that only jumps comes to every timer, by the clock and in a bounded number of jumps. */
static void jumps_reach_every_timer(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("wheel jumps"));
    enum { TIMERS = 5000 };
    static struct wheel_timer timers[TIMERS];
    struct wheel wheel;
    wheel_init(&wheel, 77);
    for (uint32_t i = 0; i < TIMERS; i++) {
        wheel_set(&wheel, &timers[i], 77 + random_ahead_ns(&random));
    }
    uint32_t taken = 0;
    uint32_t jumps = 0;
    for (uint64_t next; (next = wheel_next_ns(&wheel)) != UINT64_MAX; jumps++) {
        struct wheel_timer *timer;
        while ((timer = wheel_take_due(&wheel, next)) != NULL) {
            assert_true(timer->due_ns <= next && next - timer->due_ns < TICK);
            taken++;
        }
        assert_true(wheel_next_ns(&wheel) > next);
    }
    assert_int_equal(taken, TIMERS);
    assert_true(jumps < 5 * TIMERS);
}

/* What 100,000 armed timers cost: nothing while they are not due, then a few steps each. */
static void armed_timers_are_not_scanned(void **state)
{
    (void)state;
    enum { TIMERS = 100000, POLLS = 1000000 };
    struct test_random random = test_random_make(test_random_seed("wheel cost"));
    struct wheel_timer *timers = calloc(TIMERS, sizeof(*timers));
    assert_non_null(timers);
    struct wheel wheel;
    wheel_init(&wheel, 0);
    for (uint32_t i = 0; i < TIMERS; i++) {
        wheel_set(&wheel, &timers[i], HOUR + test_random_u64(&random) % HOUR);
    }
    assert_true(wheel.steps == 0);
    struct wheel_timer near = {0};
    uint64_t now = 0;
    uint32_t fired = 0;
    for (uint32_t poll = 0; poll < POLLS; poll++, now += 10000) { /* 10 s */
        wheel_set(&wheel, &near, (poll & 7) == 0 ? now : now + 40 * SECOND);
        fired += wheel_take_due(&wheel, now) != NULL ? 1 : 0;
    }
    assert_true(fired <= POLLS / 8 && fired > 0);
    /* One look each; beyond that the near one moves down a level now and then. */
    assert_true(wheel.steps <= POLLS + POLLS / 100);
    wheel_cancel(&wheel, &near);

    /* Half of them are called off: they cost nothing more. */
    for (uint32_t i = 0; i < TIMERS; i += 2) {
        wheel_cancel(&wheel, &timers[i]);
    }
    uint64_t before = wheel.steps;
    uint32_t taken = 0;
    while (wheel_take_due(&wheel, 2 * HOUR + TICK) != NULL) {
        taken++;
    }
    assert_int_equal(taken, TIMERS / 2);
    /* Each is moved at most four times and taken once; a slot looked at had a timer in it. */
    assert_true(wheel.steps - before <= (uint64_t)TIMERS / 2 * 9 + 1);
    free(timers);
}

static void a_jump_of_hours_costs_a_few_steps(void **state)
{
    (void)state;
    struct wheel wheel;
    wheel_init(&wheel, 0);
    struct wheel_timer timer = {0};
    wheel_set(&wheel, &timer, 18 * HOUR + 12345);
    assert_ptr_equal(wheel_take_due(&wheel, 19 * HOUR), &timer);
    assert_true(wheel.steps <= 9); /* four slots moved down, a timer in each, and it is taken */
    assert_null(wheel_take_due(&wheel, 1000000 * HOUR));
    assert_true(wheel.steps <= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_has_nothing),
        cmocka_unit_test(what_is_overdue_comes_at_once),
        cmocka_unit_test(a_single_timer_is_exact_at_any_distance),
        cmocka_unit_test(the_end_of_time_is_far_away),
        cmocka_unit_test(random_operations_equal_a_naive_list),
        cmocka_unit_test(jumps_reach_every_timer),
        cmocka_unit_test(armed_timers_are_not_scanned),
        cmocka_unit_test(a_jump_of_hours_costs_a_few_steps),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
