/*
 * A small explicit-state model checker: from one state, all states that the actions of a model can
 * lead to, breadth first, so that a trace to a violation is a shortest one. Then the question
 * whether from every state the model can still come to a good end by its own doing. A state is a
 * struct of plain bytes without padding. Single-threaded.
 */
#ifndef RINGSOCK_TESTS_MODEL_STATES_H
#define RINGSOCK_TESTS_MODEL_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct states_action {
    const char *name;
    /* Carries the action out on *state; false: it is not possible now, *state is then ignored. */
    bool (*run)(void *state, uint32_t variant);
    uint32_t variants;
    bool environment; /* may happen, but nobody can count on it */
};

struct states_model {
    size_t state_bytes;
    const void *initial;
    const struct states_action *actions;
    uint32_t action_count;
    bool (*good_end)(const void *state);
    void (*print)(const void *state);
    uint64_t states_max;
};

struct states_result {
    uint64_t states, transitions;
    const char *why; /* NULL: no violation */
};

/* Called by an action: the state it leads to, or what it did, must not be. */
void states_fail(const char *why);

/* Explores; prints the trace to a violation when `trace`. */
struct states_result states_explore(const struct states_model *model, bool trace);

#endif
