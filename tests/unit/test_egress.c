/*
 * By which NIC and from which address a datagram leaves, where a process has several NICs with
 * several addresses: the table of egress.c, and the rule for a route's source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/egress.h"
#include "dataplane/route.h"
#include "dataplane/wire/ipv4.h"

static uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return rs_be32(a << 24 | b << 16 | c << 8 | d);
}

/* RFC 1122 3.3.4.3, and what a route says. */
static void the_next_hop_chooses_the_source_of_a_route(void **state)
{
    (void)state;
    const struct stack_config config = {
        .ip_be32 = ip(192, 0, 2, 10),
        .prefix_len = 24,
        .more = {{ip(10, 0, 0, 1), 8}, {ip(10, 1, 0, 1), 16}, {ip(10, 1, 0, 9), 16}},
        .more_count = 3};
    const struct {
        struct stack_route route;
        uint32_t source_be32;
    } cases[] = {
        {{ip(172, 16, 0, 0), 12, ip(192, 0, 2, 1), 0}, ip(192, 0, 2, 10)},
        {{ip(172, 16, 0, 0), 12, ip(10, 2, 0, 1), 0}, ip(10, 0, 0, 1)},
        {{ip(172, 16, 0, 0), 12, ip(10, 1, 0, 2), 0}, ip(10, 1, 0, 1)}, /* longest, then first */
        {{ip(10, 1, 2, 0), 24, 0, 0}, ip(10, 1, 0, 1)},
        {{ip(10, 0, 0, 0), 7, 0, 0}, ip(192, 0, 2, 10)}, /* no network has all of it */
        {{ip(198, 51, 100, 0), 24, 0, 0}, ip(192, 0, 2, 10)},
        {{ip(172, 16, 0, 0), 12, ip(10, 1, 0, 2), ip(10, 1, 0, 9)}, ip(10, 1, 0, 9)},
        {{0, 0, ip(10, 2, 0, 1), 0}, ip(10, 0, 0, 1)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t got_be32 = route_source_by_config(&config, &cases[i].route);
        if (got_be32 != cases[i].source_be32) {
            fail_msg("case %zu: %08x, not %08x", i, rs_be32(got_be32),
                     rs_be32(cases[i].source_be32));
        }
    }
}

static void make(struct queue_config *config, const char *device, uint32_t ip_be32,
                 uint8_t prefix_len)
{
    memset(config, 0, sizeof(*config));
    (void)snprintf(config->device, sizeof(config->device), "%s", device);
    config->stack.ip_be32 = ip_be32;
    config->stack.prefix_len = prefix_len;
}

/* Queues 0 and 1 are NIC a's, 2 is NIC b's. */
static void make_egress(struct egress *egress)
{
    static struct queue_config configs[3];
    make(&configs[0], "net_a", ip(192, 0, 2, 10), 24);
    configs[0].stack.gateway_be32 = ip(192, 0, 2, 1);
    configs[1] = configs[0];
    make(&configs[2], "net_b", ip(10, 0, 0, 1), 24);
    configs[2].stack.more[0] = (struct stack_address){ip(10, 0, 1, 1), 24};
    configs[2].stack.more[1] = (struct stack_address){ip(10, 0, 0, 9), 24};
    configs[2].stack.more_count = 2;
    configs[2].stack.routes[0] = (struct stack_route){ip(172, 16, 0, 0), 12, ip(10, 0, 1, 254), 0};
    configs[2].stack.routes[1] =
        (struct stack_route){ip(172, 17, 0, 0), 16, ip(10, 0, 1, 254), ip(10, 0, 0, 9)};
    configs[2].stack.route_count = 2;
    egress_init(egress, configs, 3);
}

static void every_network_of_a_nic_leads_to_it(void **state)
{
    (void)state;
    struct egress egress;
    make_egress(&egress);
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(10, 0, 0, 7)), 2);
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(10, 0, 1, 7)), 2);
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(172, 20, 0, 7)), 2);
    assert_int_equal(egress_queue(&egress, 1, 0, 0, ip(198, 51, 100, 7)), 1);
    assert_int_equal(egress_queue(&egress, 2, 0, 0, ip(192, 0, 2, 7)), 0);
    /* own addresses are the home queue's affair */
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(10, 0, 1, 1)), 0);
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(10, 0, 0, 9)), 0);
}

static void a_bound_socket_leaves_by_its_addresss_nic(void **state)
{
    (void)state;
    struct egress egress;
    make_egress(&egress);
    assert_int_equal(egress_queue(&egress, 0, ip(10, 0, 1, 1), 0, ip(192, 0, 2, 7)), 2);
    assert_int_equal(egress_queue(&egress, 0, ip(10, 0, 0, 9), 0, ip(192, 0, 2, 7)), 2);
    assert_int_equal(egress_queue(&egress, 2, ip(192, 0, 2, 10), 0, ip(10, 0, 0, 7)), 0);
    assert_int_equal(egress_queue(&egress, 0, 0, ip(10, 0, 1, 1), ip(239, 1, 1, 1)), 2);
    assert_int_equal(egress_queue(&egress, 0, 0, 0, ip(239, 1, 1, 1)), 0);
}

static void its_source_is_that_of_the_route(void **state)
{
    (void)state;
    struct egress egress;
    make_egress(&egress);
    assert_int_equal(egress_source(&egress, 2, ip(10, 0, 0, 7)), ip(10, 0, 0, 1));
    assert_int_equal(egress_source(&egress, 2, ip(10, 0, 1, 7)), ip(10, 0, 1, 1));
    assert_int_equal(egress_source(&egress, 2, ip(172, 20, 0, 7)), ip(10, 0, 1, 1));
    assert_int_equal(egress_source(&egress, 2, ip(172, 17, 0, 7)), ip(10, 0, 0, 9));
    assert_int_equal(egress_source(&egress, 2, ip(239, 1, 1, 1)), ip(10, 0, 0, 1));
    assert_int_equal(egress_source(&egress, 2, ip(192, 0, 2, 7)), ip(10, 0, 0, 1)); /* no route */
    assert_int_equal(egress_source(&egress, 1, ip(198, 51, 100, 7)), ip(192, 0, 2, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_hop_chooses_the_source_of_a_route),
        cmocka_unit_test(every_network_of_a_nic_leads_to_it),
        cmocka_unit_test(a_bound_socket_leaves_by_its_addresss_nic),
        cmocka_unit_test(its_source_is_that_of_the_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
