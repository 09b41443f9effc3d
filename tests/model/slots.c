/*
 * Request ring, hint ring and reply cells against naive queues with random operations, from
 * positions near 2^32; then a hostile client that writes anything into its words.
 */
#include <string.h>

#include "rings/hint_ring.h"
#include "rings/reply.h"
#include "rings/slot_ring.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { OPERATIONS = 300000, SLOTS = 8 };

static struct test_random rng;
static struct rs_channel_state state;
static struct rs_channel_client client;

static void slots_model(uint32_t start)
{
    static struct rs_request slots[SLOTS];
    memset(slots, 0, sizeof(slots));
    struct slot_consumer consumer;
    struct slot_producer producer;
    slot_consumer_init(&consumer, slots, SLOTS, &state, start);
    slot_producer_init(&producer, slots, SLOTS, &state);
    uint32_t sent = 0, received = 0, published = 0;
    uint64_t last = 0;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        if (test_random_below(&rng, 2) == 0) {
            struct rs_request *slot = slot_producer_reserve(&producer);
            CHECK((slot == NULL) == (sent - published == SLOTS));
            if (slot != NULL) {
                slot->arg = sent++;
                memset(slot->payload, (uint8_t)slot->arg, sizeof(slot->payload));
                last = slot_producer_publish(&producer);
            }
        } else {
            struct rs_request request;
            bool found = slot_consumer_peek(&consumer, &request);
            CHECK(found == (received != sent) && found == slot_consumer_pending(&consumer));
            if (found) {
                CHECK(request.arg == received && request.payload[39] == (uint8_t)received);
                slot_consumer_advance(&consumer);
                received++;
            }
            if (!found || test_random_below(&rng, 3) == 0) {
                slot_consumer_publish(&consumer);
                published = received;
            }
        }
        CHECK(sent == 0 || slot_producer_consumed(&producer, last) == (published == sent));
        CHECK(sent == 0 || slot_state_consumed(&state, SLOTS, last) == (published == sent));
        CHECK(slot_producer_room(&producer, SLOTS) == SLOTS - (sent - published));
    }
    CHECK(received > OPERATIONS / 8);
}

/* Whatever the slots hold: the consumer takes at most what has the right seq, and copies inside the
 * ring. */
static void slots_hostile(void)
{
    static struct rs_request slots[SLOTS];
    struct slot_consumer consumer;
    uint32_t taken = 0;
    slot_consumer_init(&consumer, slots, SLOTS, &state, 0xfffffff0u);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint64_t *words = (uint64_t *)(void *)&slots[test_random_below(&rng, SLOTS)];
        words[test_random_below(&rng, 8)] = test_random_u64(&rng);
        if (test_random_below(&rng, 2) == 0) {
            slots[consumer.head & (SLOTS - 1)].seq = rs_slot_seq(consumer.head);
        }
        struct rs_request request;
        if (slot_consumer_peek(&consumer, &request)) {
            slot_consumer_advance(&consumer);
            taken++;
        }
        slot_consumer_publish(&consumer);
    }
    CHECK(taken > 0);
}

static void hints_model(uint32_t start)
{
    static struct rs_hint slots[SLOTS];
    memset(slots, 0, sizeof(slots));
    struct hint_producer producer;
    struct hint_consumer consumer;
    hint_consumer_init(&consumer, slots, SLOTS, &state, &client, start);
    hint_producer_init(&producer, slots, SLOTS, &state, &client, start);
    uint32_t pushed = 0, popped = 0, published = 0;
    uint64_t lost = 0;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        if (test_random_below(&rng, 2) == 0) {
            CHECK(hint_producer_push(&producer, pushed, ~pushed) == RS_OK);
            bool full = pushed - published == SLOTS;
            CHECK(hint_consumer_lost(&consumer) == full);
            lost += full;
            pushed += !full;
        } else {
            uint32_t socket_idx, generation;
            bool found = hint_consumer_pop(&consumer, &socket_idx, &generation);
            CHECK(found == (popped != pushed));
            CHECK(!found || (socket_idx == popped && generation == ~popped));
            popped += found;
            if (test_random_below(&rng, 2) == 0) {
                hint_consumer_publish(&consumer);
                published = popped;
            }
        }
    }
    CHECK(popped > OPERATIONS / 8 && lost > 0);
}

static void hints_hostile(void)
{
    static struct rs_hint slots[SLOTS];
    struct hint_producer producer;
    uint32_t poisoned = 0;
    hint_producer_init(&producer, slots, SLOTS, &state, &client, 0xfffffff0u);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        client.hint_head = test_random_below(&rng, 2) == 0
                               ? (uint32_t)test_random_u64(&rng)
                               : producer.tail - test_random_below(&rng, 2 * SLOTS);
        enum rs_status status = hint_producer_push(&producer, 1, 1);
        CHECK(status == RS_OK || status == RS_POISONED);
        poisoned += status == RS_POISONED;
        CHECK(rs_seq_distance(producer.head_cached, producer.tail) <= SLOTS);
    }
    CHECK(poisoned > 0);
}

/* Cells in random order, some abandoned; no cell is given out twice, each answer is the asker's
 * own. */
static void replies_model(void)
{
    static struct rs_reply cells[RS_REPLY_CELLS];
    struct reply_waiter waiter;
    struct {
        bool busy, answered, abandoned;
        uint32_t serial;
    } asked[RS_REPLY_CELLS] = {0};
    cells[3].serial =
        0xfffffff0u; /* what an earlier channel left: serials go on from there, over the wrap */
    reply_waiter_init(&waiter, cells);
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t at = test_random_below(&rng, RS_REPLY_CELLS);
        switch (test_random_below(&rng, 4)) {
        case 0: {
            uint32_t cell_idx, serial;
            if (reply_cell_take(&waiter, &cell_idx, &serial)) {
                CHECK(cell_idx < RS_REPLY_CELLS && serial != 0);
                CHECK(!asked[cell_idx].busy ||
                      (asked[cell_idx].abandoned && asked[cell_idx].answered));
                asked[cell_idx].busy = true;
                asked[cell_idx].answered = asked[cell_idx].abandoned = false;
                asked[cell_idx].serial = serial;
                CHECK(!reply_ready(&waiter, cell_idx));
            }
            break;
        }
        case 1:
            if (asked[at].busy && !asked[at].answered) {
                uint64_t payload = asked[at].serial * 3ull;
                CHECK(reply_write(cells, at, asked[at].serial, RS_IN_PROGRESS, &payload, 8) ==
                      RS_OK);
                asked[at].answered = true;
            }
            break;
        case 2:
            if (asked[at].busy && !asked[at].abandoned && asked[at].answered) {
                uint64_t payload = 0;
                CHECK(reply_ready(&waiter, at));
                CHECK(reply_cell_read(&waiter, at, &payload, 8) == RS_IN_PROGRESS);
                CHECK(payload == asked[at].serial * 3ull);
                asked[at].busy = false;
            }
            break;
        default:
            if (asked[at].busy && !asked[at].abandoned && !asked[at].answered &&
                test_random_below(&rng, 4) == 0) {
                reply_cell_abandon(&waiter, at);
                asked[at].abandoned = true;
            }
        }
    }
    CHECK(reply_write(cells, RS_REPLY_CELLS, 1, RS_OK, NULL, 0) == RS_POISONED);
    CHECK(reply_write(cells, 0, 0, RS_OK, NULL, 0) == RS_POISONED);
}

int main(void)
{
    rng = test_random_make(test_random_seed("model.slots"));
    slots_model(0);
    slots_model(0xffffff00u);
    slots_hostile();
    hints_model(0xffffff00u);
    hints_hostile();
    replies_model();
    return 0;
}
