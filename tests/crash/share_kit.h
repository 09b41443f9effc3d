/*
 * What the crash tests of shared sockets have in common: a ringsockd, a client of the test's own
 * process, memory that it shares with its children, and that all is as before at the end. First
 * thread only; used by share.c, share_listen.c and share_move.c, calls rig.c.
 */
#ifndef RINGSOCK_TESTS_CRASH_SHARE_KIT_H
#define RINGSOCK_TESTS_CRASH_SHARE_KIT_H

#include "provider/client/client.h"
#include "tests/crash/rig.h"
#include "tests/support/random.h"

#define SHARE_SOON_NS (20 * NS_PER_S)

struct share_world {
    struct rig rig;
    struct client *client;
    struct test_random random;
    struct rig_tables before;
    struct rig_usage usage;
};

/* name: of the test, printed with its seed. limits: lines for [limits]. Returns hand_over_bytes of
 * zeros that children have, too. */
void *share_world_open(struct share_world *world, const char *name, const char *limits,
                       uint32_t queues, size_t hand_over_bytes);
/* After the rounds that warm up: what is in use now is what there shall be at the end. */
void share_world_measure(struct share_world *world);
void share_world_close(struct share_world *world, const char *what);

/* A stream whose receives end after SHARE_SOON_NS. */
struct client_socket *share_make_stream(struct share_world *world);
struct client_socket *share_make_listener(struct share_world *world, struct rs_addr *at);
/* SIGKILL, and reaps it; stop_first: SIGSTOP comes before. */
void share_kill(pid_t pid, bool stop_first);

#endif
