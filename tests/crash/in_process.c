/*
 * Attach and detach with client and dataplane in one process, for the sanitizers: at the end the
 * leak check sees the memory of both. Some clients detach with sockets open, some after their
 * dataplane has gone.
 */
#include <stdio.h>
#include <string.h>

#include "dataplane/log.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"

#define DATAPLANES 5u
#define CYCLES     40u
#define SOCKETS    5u

static void use(struct client *client, uint32_t number)
{
    struct client_socket *sockets[SOCKETS];
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010208u)};
    struct rs_addr at;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        struct rs_addr any = rs_addr_v4(rs_be32(0x7f000001u), 0);
        CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &sockets[i]) == RS_OK);
        CHECK(client_set_option(sockets[i], RS_OPT_RCVBUF, 1u << (16 + i)) == RS_OK);
        if (i == number % SOCKETS) {
            continue; /* stays undecided */
        }
        CHECK(client_member(sockets[i], &join) == RS_OK);
        CHECK(client_bind(sockets[i], &any) == RS_OK);
        CHECK(client_local_addr(sockets[i], &at) == RS_OK);
        uint8_t data[500] = {0};
        struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
        size_t bytes = 0;
        CHECK(client_send(sockets[i], &iov, 1, 0, &at, &bytes) == RS_OK);
        CHECK(client_recv(sockets[i], &iov, 1, 0, NULL, &bytes) == RS_OK);
    }
    for (uint32_t i = 0; i < number % SOCKETS; i++) {
        CHECK(client_socket_close(sockets[i]) == RS_OK);
    }
}

static void visitor_run(void *arg)
{
    use(arg, 3);
}

int main(void)
{
    log_set_level(LOG_LEVEL_WARNING);
    for (uint32_t i = 0; i < DATAPLANES; i++) {
        struct os_thread visitor;
        rig_start(&rig_defaults);
        for (uint32_t cycle = 0; cycle < CYCLES; cycle++) {
            struct client *client = rig_attach();
            if (cycle % 2 == 0) {
                use(client, cycle);
                CHECK(os_thread_start(&visitor, visitor_run, client, "visitor") == RS_OK);
                os_thread_join(&visitor);
            }
            client_close(client);
        }
        struct client *last = rig_attach();
        use(last, 2);
        rig_end_dataplane();
        client_close(last);
        rig_stop();
    }
    printf("%u attaches to %u dataplanes\n", DATAPLANES * (CYCLES + 1), DATAPLANES);
    return 0;
}
