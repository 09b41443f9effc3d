/*
 * tcp_kernel bulk, loss: many bytes each way and both ways, on a good line and on bad ones; urgent
 * data.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "rings/os/os.h"
#include "tcp_world.h"
#include "tests/support/check.h"

#define MIB (1ull << 20)

static void open_default(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
}

/* ---- a good line ---- */

static void bulk_to_kernel(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    pair_transfer(&pair, "to the kernel", 64 * MIB, 0, 20);
    EXPECT_IS(ours_info(pair.ours).timeouts, 0);
    pair_close(&pair, false);
}

static void bulk_to_ours(void)
{
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    pair_transfer(&pair, "to us", 0, 64 * MIB, 20);
    EXPECT_IS(ours_info(pair.ours).retransmits, 0);
    pair_close(&pair, true);
}

static void bulk_both(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    pair_transfer(&pair, "both ways", 64 * MIB, 64 * MIB, 30);
    pair_close(&pair, false);
}

static void bulk_offload(void)
{
    struct world_config config = world_config_default();
    const struct nic_tap_faults loss = {.loss_permille = 10};
    config.nic_caps =
        NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_TX_UDP_CSUM | NIC_CAP_TX_TSO;
    world_open(&config);
    struct ours_options options = {.send_bytes = 1u << 20};
    struct pair pair = pair_accept(&options, NULL);
    pair_transfer(&pair, "segmentation by the NIC", 64 * MIB, 8 * MIB, 20);
    world_faults(loss, loss);
    pair_transfer(&pair, "the same, 1 % lost", 8 * MIB, 8 * MIB, 20);
    pair_close(&pair, false);
}

static void bulk_jumbo(void)
{
    struct world_config config = world_config_default();
    config.mtu_bytes = config.kernel_mtu_bytes = 9000;
    world_open(&config);
    struct ours_options options = {.send_bytes = 1u << 20, .recv_bytes = 1u << 20};
    struct pair pair = pair_connect(&options, NULL);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 8948);
    pair_transfer(&pair, "MTU 9000", 64 * MIB, 64 * MIB, 20);
    pair_close(&pair, true);
}

static void bulk_small_rings(void)
{
    open_default();
    struct ours_options options = {.send_bytes = 4096, .recv_bytes = 4096};
    struct kernel_options kernel = {.send_buffer = 4096, .recv_buffer = 4096};
    struct pair pair = pair_accept(&options, &kernel);
    pair_transfer(&pair, "rings of 4 KiB", 2 * MIB, 2 * MIB, 20);
    pair_close(&pair, false);
}

static void bulk_large_rings(void)
{
    open_default();
    struct ours_options options = {.send_bytes = 4u << 20, .recv_bytes = 4u << 20};
    struct pair pair = pair_connect(&options, NULL);
    pair_transfer(&pair, "rings of 4 MiB", 64 * MIB, 64 * MIB, 30);
    pair_close(&pair, false);
}

/* ---- little at a time ---- */

/* A thousand small questions and answers: nobody may wait for a delayed ACK. */
static void ping_pong(struct pair *pair, const char *name)
{
    const uint32_t rounds = 1000;
    uint8_t data[64] = {0};
    uint64_t start_ns = os_monotonic_ns();
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t got = 0;
        EXPECT_IS(ours_send(pair->ours, data, sizeof(data)), sizeof(data));
        AWAIT(2, "our question", kernel_recv(pair->kernel, data, sizeof(data)) == sizeof(data));
        EXPECT_IS(kernel_send(pair->kernel, data, sizeof(data)), sizeof(data));
        UNTIL(2, "the kernel's answer", got == sizeof(data))
        {
            got += ours_recv(pair->ours, data, sizeof(data));
        }
    }
    double took = (double)(os_monotonic_ns() - start_ns) / 1e9;
    printf("  %s: %u rounds in %.2f s\n", name, rounds, took);
    EXPECT(took < 5); /* with a delayed ACK in each it would be 40 */
}

static void bulk_ping_pong(void)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    ping_pong(&pair, "ping-pong by Nagle's rules");
    pair_close(&pair, false);
    struct ours_options ours = {.settings = {.nodelay = true}};
    struct kernel_options kernel = {.nodelay = true};
    pair = pair_accept(&ours, &kernel);
    ping_pong(&pair, "ping-pong without");
    pair_close(&pair, false);
}

/* ---- urgent data (RFC 6093: what BSD and Linux do) ---- */

static void bulk_urgent_to_ours(void)
{
    uint8_t data[64];
    uint32_t got = 0;
    open_default();
    struct kernel_options kernel = {.nodelay = true};
    struct pair pair = pair_connect(NULL, &kernel);
    EXPECT_IS(kernel_send(pair.kernel, "hello", 5), 5);
    EXPECT_IS(send(pair.kernel, "!", 1, MSG_OOB), 1);
    EXPECT_IS(kernel_send(pair.kernel, "world", 5), 5);
    UNTIL(2, "the urgent mark and all bytes", got == 11)
    {
        got += ours_recv(pair.ours, data + got, sizeof(data) - got);
    }
    EXPECT((pair.ours->events & TCP_EVENT_URGENT) != 0);
    EXPECT_IS(ours_info(pair.ours).urgent_pos, 6);
    EXPECT(memcmp(data, "hello!world", 11) == 0);
    pair_close(&pair, true);
}

static void bulk_urgent_to_kernel(void)
{
    uint8_t data[64];
    uint8_t urgent = 0;
    uint64_t got = 0;
    int at_mark = 0;
    open_default();
    struct pair pair = pair_accept(NULL, NULL);
    EXPECT_IS(ours_send(pair.ours, "hello", 5), 5);
    pair.ours->send_base[pair.ours->send_tail & (pair.ours->send_bytes - 1)] = '!';
    pair.ours->send_tail++;
    EXPECT_IS(tcp_send_urgent(world.stack, pair.ours->conn, pair.ours->send_tail), RS_OK);
    EXPECT_IS(ours_send(pair.ours, "world", 5), 5);
    AWAIT(2, "the urgent byte", recv(pair.kernel, &urgent, 1, MSG_OOB) == 1);
    EXPECT_IS(urgent, '!');
    UNTIL(2, "the bytes before the mark", got == 5)
    {
        ssize_t one = kernel_recv(pair.kernel, data + got, sizeof(data) - got);
        got += one > 0 ? (uint64_t)one : 0;
    }
    EXPECT(memcmp(data, "hello", 5) == 0);
    CHECK(ioctl(pair.kernel, SIOCATMARK, &at_mark) == 0);
    EXPECT_IS(at_mark, 1);
    UNTIL(2, "the bytes behind the mark", got == 10)
    {
        ssize_t one = kernel_recv(pair.kernel, data + got, sizeof(data) - got);
        got += one > 0 ? (uint64_t)one : 0;
    }
    EXPECT(memcmp(data, "helloworld", 10) == 0);
    pair_close(&pair, false);
}

/* ---- bad lines ---- */

static void lossy(const char *name, struct nic_tap_faults faults, uint64_t to_kernel_bytes,
                  uint64_t to_ours_bytes)
{
    open_default();
    struct pair pair = pair_connect(NULL, NULL);
    world_faults(faults, faults);
    pair_transfer(&pair, name, to_kernel_bytes, to_ours_bytes, 40);
    world_no_faults();
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 1448); /* losses are no black hole */
    pair_close(&pair, false);
}

static void loss_1_to_kernel(void)
{
    lossy("1 % lost", (struct nic_tap_faults){.loss_permille = 10}, 64 * MIB, 0);
}

static void loss_1_to_ours(void)
{
    lossy("1 % lost", (struct nic_tap_faults){.loss_permille = 10}, 0, 64 * MIB);
}

static void loss_1_both(void)
{
    lossy("1 % lost", (struct nic_tap_faults){.loss_permille = 10}, 16 * MIB, 16 * MIB);
}

static void loss_5_to_kernel(void)
{
    lossy("5 % lost", (struct nic_tap_faults){.loss_permille = 50}, 4 * MIB, 0);
}

static void loss_5_to_ours(void)
{
    lossy("5 % lost", (struct nic_tap_faults){.loss_permille = 50}, 0, 4 * MIB);
}

static void loss_20_both(void)
{
    lossy("20 % lost", (struct nic_tap_faults){.loss_permille = 200}, MIB / 16, MIB / 16);
}

static void loss_reorder(void)
{
    lossy("5 % held back", (struct nic_tap_faults){.reorder_permille = 50}, 64 * MIB, 64 * MIB);
}

static void loss_duplicate(void)
{
    lossy("10 % doubled", (struct nic_tap_faults){.duplicate_permille = 100}, 64 * MIB, 64 * MIB);
}

static void loss_everything(void)
{
    lossy("1 % lost, 2 % held back, 2 % doubled",
          (struct nic_tap_faults){
              .loss_permille = 10, .reorder_permille = 20, .duplicate_permille = 20},
          16 * MIB, 16 * MIB);
}

/* Over a distance: 20 ms there and back, with all that a window has under way. */
static void far(const char *name, struct nic_tap_faults faults, uint64_t to_kernel_bytes,
                uint64_t to_ours_bytes, double seconds)
{
    struct ours_options options = {.send_bytes = 1u << 20, .recv_bytes = 1u << 20};
    open_default();
    world_know_kernel();
    faults.delay_us = 10000;
    world_faults(faults, faults);
    struct pair pair = pair_connect(&options, NULL);
    pair_transfer(&pair, name, to_kernel_bytes, to_ours_bytes, seconds);
    struct tcp_info info = ours_info(pair.ours);
    EXPECT(info.rtt_min_ns >= 20000000 && info.rtt_ns < 500000000);
    EXPECT(faults.loss_permille > 0 || info.timeouts == 0);
    world_no_faults();
    pair_close(&pair, false);
}

static void far_to_kernel(void)
{
    far("20 ms", (struct nic_tap_faults){0}, 32 * MIB, 0, 20);
}

static void far_to_ours(void)
{
    far("20 ms", (struct nic_tap_faults){0}, 0, 32 * MIB, 20);
}

static void far_loss_to_kernel(void)
{
    far("20 ms, 1 % lost", (struct nic_tap_faults){.loss_permille = 10}, MIB, 0, 40);
}

static void far_loss_to_ours(void)
{
    far("20 ms, 1 % lost", (struct nic_tap_faults){.loss_permille = 10}, 0, MIB, 40);
}

static void far_everything(void)
{
    far("20 ms, 1 % lost, 2 % held back, 2 % doubled",
        (struct nic_tap_faults){
            .loss_permille = 10, .reorder_permille = 20, .duplicate_permille = 20},
        MIB, MIB, 40);
}

const struct tcp_case tcp_cases_bulk[] = {{"to_kernel", bulk_to_kernel},
                                          {"to_ours", bulk_to_ours},
                                          {"both", bulk_both},
                                          {"offload", bulk_offload},
                                          {"jumbo", bulk_jumbo},
                                          {"small_rings", bulk_small_rings},
                                          {"large_rings", bulk_large_rings},
                                          {"ping_pong", bulk_ping_pong},
                                          {"urgent_to_ours", bulk_urgent_to_ours},
                                          {"urgent_to_kernel", bulk_urgent_to_kernel},
                                          {NULL, NULL}};

const struct tcp_case tcp_cases_loss[] = {{"loss_1_to_kernel", loss_1_to_kernel},
                                          {"loss_1_to_ours", loss_1_to_ours},
                                          {"loss_1_both", loss_1_both},
                                          {"loss_5_to_kernel", loss_5_to_kernel},
                                          {"loss_5_to_ours", loss_5_to_ours},
                                          {"loss_20_both", loss_20_both},
                                          {"reorder", loss_reorder},
                                          {"duplicate", loss_duplicate},
                                          {"everything", loss_everything},
                                          {"far_to_kernel", far_to_kernel},
                                          {"far_to_ours", far_to_ours},
                                          {"far_loss_to_kernel", far_loss_to_kernel},
                                          {"far_loss_to_ours", far_loss_to_ours},
                                          {"far_everything", far_everything},
                                          {NULL, NULL}};
