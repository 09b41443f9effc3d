/*
 * The survivor's end of a connection: a socket of Ringsock's client, or one of the kernel's. All
 * are non-blocking; what a call answers is an rs_status. One thread. Used by duel_survivor.c.
 */
#ifndef RINGSOCK_TESTS_CRASH_DUEL_END_H
#define RINGSOCK_TESTS_CRASH_DUEL_END_H

#include <stddef.h>
#include <stdint.h>

#include "rings/addr.h"
#include "rings/status.h"

struct client_socket;

struct end {
    struct client_socket *socket; /* NULL: fd */
    int fd;
};

/* Attaches, or goes into the kernel's network namespace. */
void end_open(void);
void end_shut_down(void); /* detaches */
void end_listen(struct end *end, const struct rs_addr *at);
/* RS_OK, RS_WOULD_BLOCK. */
enum rs_status end_accept(const struct end *listener, struct end *out);
enum rs_status end_connect(struct end *end, const struct rs_addr *to);
/* RS_OK, RS_WOULD_BLOCK while under way, why it failed. */
enum rs_status end_connected(const struct end *end);
/* RS_OK with 0 bytes: the peer's orderly end. */
enum rs_status end_read(const struct end *end, uint8_t *data, size_t bytes, size_t *got);
enum rs_status end_write(const struct end *end, const uint8_t *data, size_t bytes, int urgent);
enum rs_status end_shut(const struct end *end);
void end_close(struct end *end);

#endif
