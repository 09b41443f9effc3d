/* See share_kit.h. */
#include "tests/crash/share_kit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/support/check.h"

#define SESSIONS "sessions = 8\nsockets = 64\n"

void *share_world_open(struct share_world *world, const char *name, const char *limits,
                       uint32_t queues, size_t hand_over_bytes)
{
    char lines[256];
    world->random = test_random_make(test_random_seed(name));
    (void)fflush(stdout);
    (void)snprintf(lines, sizeof(lines), SESSIONS "%s", limits);
    rig_create_queues(&world->rig, lines, queues);
    rig_start(&world->rig);
    void *hand_over =
        mmap(NULL, hand_over_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(hand_over != MAP_FAILED);
    CHECK(client_open(NULL, &world->client) == RS_OK);
    return hand_over;
}

/* A house without sockets has given its ring memory back. */
static bool house_is_empty(void *context)
{
    const struct share_world *world = context;
    struct rig_tables now;
    rig_tables(&world->rig, &now);
    return strstr(now.in_use, "\"shared_sockets\": 0, \"shared_ring_bytes\": 0,") != NULL;
}

void share_world_measure(struct share_world *world)
{
    rig_await(house_is_empty, world, SHARE_SOON_NS, "the house to give its memory back");
    rig_tables(&world->rig, &world->before);
    world->usage = rig_usage(world->rig.pid);
}

void share_world_close(struct share_world *world, const char *what)
{
    rig_await_tables(&world->rig, &world->before, &world->usage, SHARE_SOON_NS, what);
    client_close(world->client);
    rig_stop(&world->rig);
    rig_remove(&world->rig);
}

struct client_socket *share_make_stream(struct share_world *world)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(world->client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) == RS_OK);
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS,
                            (uint32_t)(SHARE_SOON_NS / NS_PER_MS)) == RS_OK);
    return socket;
}

struct client_socket *share_make_listener(struct share_world *world, struct rs_addr *at)
{
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    struct client_socket *socket = share_make_stream(world);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    CHECK(client_listen(socket, 8) == RS_OK);
    return socket;
}

void share_kill(pid_t pid, bool stop_first)
{
    if (stop_first) {
        CHECK(kill(pid, SIGSTOP) == 0);
    }
    CHECK(kill(pid, SIGKILL) == 0);
    int status = rig_reap(pid, SHARE_SOON_NS, "a killed process");
    CHECK(WIFSIGNALED(status));
}
