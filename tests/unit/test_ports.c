/*
 * The port table against Microsoft's table of SO_REUSEADDR and SO_EXCLUSIVEADDRUSE, cell by cell,
 * and ephemeral ports. One thread; calls dataplane/ports.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/ports.h"
#include "rings/byteorder.h"

#define ANY      0u
#define SPECIFIC 0x0100000au /* 10.0.0.1 in network order */
#define OTHER    0x0200000au

static struct ports *ports;

static int setup(void **state)
{
    (void)state;
    return ports_create(7, &ports) == RS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ports_destroy(ports);
    return 0;
}

static enum rs_status second_bind(enum ports_share first, uint32_t first_ip,
                                  enum ports_share second, uint32_t second_ip, uint32_t second_uid)
{
    struct ports_entry a = {0}, b = {0};
    uint16_t port = rs_be16(5000);
    assert_int_equal(ports_bind(ports, &a, first_ip, &port, first, 1), RS_OK);
    enum rs_status status = ports_bind(ports, &b, second_ip, &port, second, second_uid);
    ports_release(ports, &b);
    ports_release(ports, &a);
    return status;
}

struct cell {
    enum ports_share first;
    uint32_t first_ip;
    enum ports_share second;
    uint32_t second_ip;
    enum rs_status expected;
};

#define D      PORTS_DEFAULT
#define R      PORTS_REUSE
#define X      PORTS_EXCLUSIVE
#define W      ANY
#define S      SPECIFIC
#define INUSE  RS_ADDR_IN_USE
#define ACCESS RS_ACCESS

static const struct cell table[] = {
    {D, W, D, W, INUSE}, {D, W, D, S, RS_OK},  {D, W, R, W, RS_OK},  {D, W, R, S, RS_OK},
    {D, W, X, W, INUSE}, {D, W, X, S, RS_OK},  {D, S, D, W, RS_OK},  {D, S, D, S, INUSE},
    {D, S, R, W, RS_OK}, {D, S, R, S, RS_OK},  {D, S, X, W, RS_OK},  {D, S, X, S, INUSE},
    {R, W, D, W, INUSE}, {R, W, D, S, RS_OK},  {R, W, R, W, RS_OK},  {R, W, R, S, RS_OK},
    {R, W, X, W, INUSE}, {R, W, X, S, RS_OK},  {R, S, D, W, RS_OK},  {R, S, D, S, INUSE},
    {R, S, R, W, RS_OK}, {R, S, R, S, RS_OK},  {R, S, X, W, RS_OK},  {R, S, X, S, INUSE},
    {X, W, D, W, INUSE}, {X, W, D, S, ACCESS}, {X, W, R, W, ACCESS}, {X, W, R, S, ACCESS},
    {X, W, X, W, INUSE}, {X, W, X, S, ACCESS}, {X, S, D, W, RS_OK},  {X, S, D, S, INUSE},
    {X, S, R, W, RS_OK}, {X, S, R, S, ACCESS}, {X, S, X, W, RS_OK},  {X, S, X, S, INUSE},
};

static void every_cell_of_the_sharing_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct cell *c = &table[i];
        enum rs_status got = second_bind(c->first, c->first_ip, c->second, c->second_ip, 1);
        if (got != c->expected) {
            fail_msg("cell %zu: got %s, expected %s", i, rs_status_name(got),
                     rs_status_name(c->expected));
        }
    }
}

static void two_specific_addresses_do_not_meet(void **state)
{
    (void)state;
    assert_int_equal(second_bind(X, SPECIFIC, X, OTHER, 1), RS_OK);
}

static void another_user_cannot_take_over_by_reuse(void **state)
{
    (void)state;
    assert_int_equal(second_bind(D, SPECIFIC, R, SPECIFIC, 2), RS_ACCESS);
}

static void a_released_port_is_free(void **state)
{
    (void)state;
    struct ports_entry a = {0}, b = {0};
    uint16_t port = rs_be16(5001);
    assert_int_equal(ports_bind(ports, &a, ANY, &port, X, 1), RS_OK);
    ports_release(ports, &a);
    ports_release(ports, &a); /* harmless */
    assert_int_equal(ports_bind(ports, &b, ANY, &port, X, 1), RS_OK);
    ports_release(ports, &b);
}

static void ephemeral_ports_come_from_their_range_and_run_out(void **state)
{
    (void)state;
    static struct ports_entry entries[16384];
    static uint8_t seen[65536];
    for (uint32_t i = 0; i < 16384; i++) {
        uint16_t port = 0;
        assert_int_equal(ports_bind(ports, &entries[i], ANY, &port, D, 1), RS_OK);
        uint32_t host = rs_be16(port);
        assert_true(host >= 49152);
        assert_int_equal(seen[host], 0);
        seen[host] = 1;
    }
    struct ports_entry last = {0};
    uint16_t port = 0;
    assert_int_equal(ports_bind(ports, &last, ANY, &port, D, 1), RS_ADDR_IN_USE);
    ports_release(ports, &entries[100]);
    assert_int_equal(ports_bind(ports, &last, ANY, &port, D, 1), RS_OK);
    assert_int_equal(port, entries[100].port_be16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_cell_of_the_sharing_table, setup, teardown),
        cmocka_unit_test_setup_teardown(two_specific_addresses_do_not_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(another_user_cannot_take_over_by_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(a_released_port_is_free, setup, teardown),
        cmocka_unit_test_setup_teardown(ephemeral_ports_come_from_their_range_and_run_out, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
