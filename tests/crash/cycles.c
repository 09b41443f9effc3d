/*
 * Attach and detach, thousands of times, against one ringsockd: both sides end with the memory,
 * descriptors and mappings they had when their heaps had their size. Every few cycles the attach is
 * also used, so that channels, sockets, ports, memberships and further extents come and go with it.
 * There is room for one session: each attach must wait for the end of the one before, and is never
 * refused.
 * Arguments: how often (10000).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"

#define WARM_UP 300u
#define USED    16u /* one cycle in so many is more than attach and detach */
#define SOCKETS 4u
#define BACK_NS (10 * NS_PER_S)

static struct rig rig;

static void use(struct client *client)
{
    struct client_socket *sockets[SOCKETS];
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010206u)};
    struct rs_addr at;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
        CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &sockets[i]) == RS_OK);
        /* More than extents 0 and 1 hold. */
        CHECK(client_set_option(sockets[i], RS_OPT_RCVBUF, 1u << 20) == RS_OK);
        CHECK(client_bind(sockets[i], &any) == RS_OK);
        CHECK(client_member(sockets[i], &join) == RS_OK);
        CHECK(client_local_addr(sockets[i], &at) == RS_OK);
    }
    uint8_t data[900] = {1};
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    size_t bytes = 0;
    CHECK(client_send(sockets[0], &iov, 1, 0, &at, &bytes) == RS_OK);
    CHECK(client_recv(sockets[SOCKETS - 1], &iov, 1, 0, NULL, &bytes) == RS_OK && bytes == 900);
    /* Half of them are left to client_close. */
    for (uint32_t i = 0; i < SOCKETS / 2; i++) {
        CHECK(client_socket_close(sockets[i]) == RS_OK);
    }
}

static void cycle(uint32_t number)
{
    struct client *client = NULL;
    enum rs_status status = client_open(NULL, &client);
    if (status != RS_OK) {
        fprintf(stderr, "cycle %" PRIu32 ": %s: %s\n", number, rs_status_name(status),
                client_last_error_text());
    }
    CHECK(status == RS_OK);
    if (number % USED == 0) {
        use(client);
    }
    client_close(client);
}

int main(int argc, char **argv)
{
    uint32_t cycles = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
    rig_create(&rig, "sessions = 1\nsockets = 64\nchannels = 4\nmemory_bytes = 96 MiB\n");
    rig_start(&rig);
    struct rig_usage idle = rig_usage(rig.pid);
    struct rig_tables tables;
    rig_tables(&rig, &tables);
    idle.maps = UINT64_MAX; /* its heap is to grow yet */
    for (uint32_t i = 0; i < WARM_UP; i++) {
        cycle(i);
    }
    rig_await_tables(&rig, &tables, &idle, BACK_NS, "the dataplane to have detached all");
    struct rig_usage dataplane = rig_usage(rig.pid);
    struct rig_usage program = rig_usage(getpid());
    rig_usage_print("dataplane before", &dataplane);
    rig_usage_print("program before", &program);
    uint64_t start_ns = os_monotonic_ns();
    for (uint32_t i = 0; i < cycles; i++) {
        cycle(i);
    }
    uint64_t took_ms = (os_monotonic_ns() - start_ns) / NS_PER_MS;
    rig_await_tables(&rig, &tables, &dataplane, BACK_NS, "the dataplane to have detached all");
    struct rig_usage dataplane_after = rig_usage(rig.pid);
    struct rig_usage program_after = rig_usage(getpid());
    rig_usage_print("dataplane after", &dataplane_after);
    rig_usage_print("program after", &program_after);
    printf("%" PRIu32 " cycles in %" PRIu64 " ms\n", cycles, took_ms);
    CHECK(rig_same_memory(&dataplane, &dataplane_after));
    CHECK(rig_same_memory(&program, &program_after));
    CHECK(program_after.fds == program.fds && rig_same_maps(&program, &program_after));
    rig_stop(&rig);
    rig_remove(&rig);
    return 0;
}
