/* See states.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/states.h"

#define NO_STATE UINT32_MAX

static struct {
    const struct states_model *model;
    uint8_t *states;   /* states_max of them */
    uint32_t *parents; /* the state each was first reached from */
    uint16_t *reached; /* by action << 8 | variant */
    uint32_t *table;   /* open addressing: index of a state */
    uint64_t table_mask;
    uint32_t count;
    const char *why;
} search;

void states_fail(const char *why)
{
    if (search.why == NULL) {
        search.why = why;
    }
}

static uint8_t *state_at(uint32_t idx)
{
    return search.states + idx * search.model->state_bytes;
}

static uint64_t state_hash(const uint8_t *state, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ state[i]) * 0x100000001b3ull;
    }
    hash ^= hash >> 29;
    return hash * 0xbf58476d1ce4e5b9ull >> 16;
}

/* Index of the state, entered when new; NO_STATE when there is no room for it. */
static uint32_t state_enter(const uint8_t *state, uint32_t parent, uint32_t action,
                            uint32_t variant)
{
    size_t bytes = search.model->state_bytes;
    uint64_t at = state_hash(state, bytes) & search.table_mask;
    while (search.table[at] != NO_STATE) {
        if (memcmp(state_at(search.table[at]), state, bytes) == 0) {
            return search.table[at];
        }
        at = (at + 1) & search.table_mask;
    }
    if (search.count == search.model->states_max) {
        return NO_STATE;
    }
    uint32_t idx = search.count++;
    search.table[at] = idx;
    memcpy(state_at(idx), state, bytes);
    search.parents[idx] = parent;
    search.reached[idx] = (uint16_t)(action << 8 | variant);
    return idx;
}

static void print_trace(uint32_t idx)
{
    uint32_t length = 0;
    for (uint32_t i = idx; i != NO_STATE; i = search.parents[i]) {
        length++;
    }
    uint32_t *path = calloc(length + 1, sizeof(*path));
    if (path == NULL) {
        return;
    }
    for (uint32_t i = idx, at = length; i != NO_STATE; i = search.parents[i]) {
        path[--at] = i;
    }
    for (uint32_t i = 1; i < length; i++) {
        uint32_t reached = search.reached[path[i]];
        printf("  %2u %s %u\n", i, search.model->actions[reached >> 8].name, reached & 255);
    }
    search.model->print(state_at(idx));
    free(path);
}

/* All states that one state leads to. False: a violation, or no room. */
static bool expand(uint32_t idx, uint8_t *next, uint64_t *transitions, bool trace)
{
    const struct states_model *model = search.model;
    for (uint32_t action = 0; action < model->action_count; action++) {
        for (uint32_t variant = 0; variant < model->actions[action].variants; variant++) {
            memcpy(next, state_at(idx), model->state_bytes);
            bool possible = model->actions[action].run(next, variant);
            if (search.why != NULL) {
                if (trace) {
                    print_trace(idx);
                    printf("   > %s %u\n", model->actions[action].name, variant);
                }
                return false;
            }
            if (!possible) {
                continue;
            }
            ++*transitions;
            if (state_enter(next, idx, action, variant) == NO_STATE) {
                states_fail("more states than the test allows");
                return false;
            }
        }
    }
    return true;
}

/* Marks the states that lead to a good end without the environment's help: backwards from the good
 * ends, until nothing changes. Later states are mostly nearer to an end. */
static uint32_t find_trap(uint8_t *next)
{
    const struct states_model *model = search.model;
    uint8_t *good = calloc(search.count + 1, 1);
    if (good == NULL) {
        abort();
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t idx = search.count; idx-- > 0;) {
            bool now = good[idx] != 0 || model->good_end(state_at(idx));
            for (uint32_t action = 0; !now && action < model->action_count; action++) {
                uint32_t variants =
                    model->actions[action].environment ? 0 : model->actions[action].variants;
                for (uint32_t variant = 0; !now && variant < variants; variant++) {
                    memcpy(next, state_at(idx), model->state_bytes);
                    if (model->actions[action].run(next, variant)) {
                        uint32_t to = state_enter(next, idx, action, variant);
                        now = good[to] != 0;
                    }
                }
            }
            changed = changed || (now && good[idx] == 0);
            good[idx] = now;
        }
    }
    uint32_t idx = 0;
    while (idx < search.count && good[idx] != 0) {
        idx++;
    }
    free(good);
    return idx == search.count ? NO_STATE : idx;
}

struct states_result states_explore(const struct states_model *model, bool trace)
{
    search.model = model;
    search.count = 0;
    search.why = NULL;
    search.table_mask = 1024;
    while (search.table_mask < 2 * model->states_max) {
        search.table_mask *= 2;
    }
    search.states = malloc(model->states_max * model->state_bytes);
    search.parents = malloc(model->states_max * sizeof(*search.parents));
    search.reached = malloc(model->states_max * sizeof(*search.reached));
    search.table = malloc(search.table_mask * sizeof(*search.table));
    uint8_t *next = malloc(model->state_bytes);
    if (search.states == NULL || search.parents == NULL || search.reached == NULL ||
        search.table == NULL || next == NULL) {
        abort();
    }
    memset(search.table, 0xff, search.table_mask * sizeof(*search.table));
    search.table_mask--;
    struct states_result result = {0};
    state_enter(model->initial, NO_STATE, 0, 0);
    uint32_t idx = 0;
    while (idx < search.count && expand(idx, next, &result.transitions, trace)) {
        idx++;
    }
    if (search.why == NULL) {
        uint32_t trap = find_trap(next);
        if (trap != NO_STATE) {
            states_fail("no way to a good end from here");
            if (trace) {
                print_trace(trap);
            }
        }
    }
    result.states = search.count;
    result.why = search.why;
    free(next);
    free(search.table);
    free(search.reached);
    free(search.parents);
    free(search.states);
    return result;
}
