/*
 * What the client core knows of the NICs without asking: addresses, MTUs, and a link that goes down
 * and comes up, of which sends tell, too, and a program that attaches later. The control thread and
 * the queues are real (queues_rig.h).
 */
#include <string.h>

#include "dataplane/nic_memory.h"
#include "tests/support/check.h"
#include "tests/unit/queues_rig.h"

static void wait_for_changes(const struct client *client, uint32_t changes)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    while (client_address_changes(client) != changes) {
        CHECK(os_monotonic_ns() < give_up_ns); /* the control thread does not tell of the link */
        os_yield();
    }
}

/* The queue looks at its link once in a millisecond. */
static void wait_for_refusal(struct client_socket *socket)
{
    uint64_t give_up_ns = os_monotonic_ns() + WAIT_NS;
    char text[8];
    enum rs_status status;
    do {
        CHECK(os_monotonic_ns() < give_up_ns); /* sends are not refused */
        queues_send_text(socket, NIC_B_PEER ":5000", "x");
        status = queues_receive(socket, text, sizeof(text), CLIENT_MSG_DONTWAIT);
    } while (status == RS_WOULD_BLOCK);
    assert_int_equal(status, RS_NET_DOWN);
}

static void expect_interfaces(const struct client *client, bool a_up, bool b_up)
{
    struct client_interface nics[QUEUES + 1];
    assert_int_equal(client_interfaces(client, nics, QUEUES + 1), QUEUES);
    assert_int_equal(nics[0].ip_be32, ip_of(OWN));
    assert_int_equal(nics[1].ip_be32, ip_of(NIC_B));
    assert_int_equal(nics[0].prefix_len, 24);
    assert_int_equal(nics[0].up, a_up);
    assert_int_equal(nics[1].up, b_up);
}

static void programs_learn_of_a_link(void **state)
{
    (void)state;
    struct client *later;
    const struct client_config config = {
        .instance = queues_rig.configs[0].instance, .spin_us = -1, .yield_in_spin = -1};
    struct client_socket *socket = queues_bound_to(NIC_B ":7000");
    assert_int_equal(client_address_changes(queues_rig.client), 0);
    expect_interfaces(queues_rig.client, true, true);
    nic_memory_set_link(queues_rig.nics[1], false);
    wait_for_changes(queues_rig.client, 1);
    expect_interfaces(queues_rig.client, true, false);
    wait_for_refusal(socket);
    assert_int_equal(client_open(&config, &later), RS_OK);
    assert_int_equal(client_address_changes(later), 1);
    expect_interfaces(later, true, false);
    nic_memory_set_link(queues_rig.nics[1], true);
    wait_for_changes(queues_rig.client, 2);
    wait_for_changes(later, 2);
    expect_interfaces(later, true, true);
    client_close(later);
    assert_int_equal(client_socket_close(socket), RS_OK);
}

static void queues_of_a_nic_are_one_interface(void **state)
{
    (void)state;
    struct client_interface nics[QUEUES];
    memset(nics, 0, sizeof(nics));
    assert_int_equal(client_interfaces(queues_rig.client, nics, QUEUES), 1);
    assert_int_equal(nics[0].ip_be32, ip_of(OWN));
    assert_int_equal(nics[1].ip_be32, 0);
}

static void a_socket_has_the_mtu_of_its_nic(void **state)
{
    (void)state;
    struct client_socket *any = queues_bound_to("any:7000");
    struct client_socket *of_b = queues_bound_to(NIC_B ":7001");
    struct client_socket *local = queues_bound_to("127.0.0.1:7002");
    const struct rs_addr peer = rs_addr_v4(ip_of(NIC_B_PEER), port_of(NIC_B_PEER ":5000"));
    assert_int_equal(client_mtu_bytes(of_b), NIC_B_MTU);
    assert_int_equal(client_mtu_bytes(local), 1500);
    assert_int_equal(client_mtu_bytes(any), 1500); /* whatever it sends to, this fits */
    assert_int_equal(client_connect(any, &peer), RS_OK);
    assert_int_equal(client_mtu_bytes(any), NIC_B_MTU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(programs_learn_of_a_link, queues_start_two_nics,
                                        queues_stop),
        cmocka_unit_test_setup_teardown(a_socket_has_the_mtu_of_its_nic, queues_start_two_nics,
                                        queues_stop),
        cmocka_unit_test_setup_teardown(queues_of_a_nic_are_one_interface, queues_start_steered,
                                        queues_stop),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
