/* Calls without a reference on a socket that is known to be there: the claim is true. Any thread.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_CLAIM_H
#define RINGSOCK_TESTS_SUPPORT_CLAIM_H

#include "provider/client/client.h"

static void *_Atomic claim_place = &claim_place;
static _Atomic uintptr_t claim_life;
static const struct client_claim claim_true = {
    .place = &claim_place, .record = &claim_place, .life = &claim_life};

/* A byte, to the peer. */
static inline bool claim_send(struct client_socket *socket, enum rs_status *status)
{
    char byte = 1;
    size_t sent_bytes;
    const struct client_iov iov = {.base = &byte, .len_bytes = 1};
    return client_send_claimed(socket, &claim_true, &iov, 1, NULL, &sent_bytes, status);
}

static inline bool claim_recv(struct client_socket *socket, enum rs_status *status)
{
    char byte;
    size_t got_bytes;
    const struct client_iov iov = {.base = &byte, .len_bytes = 1};
    return client_recv_claimed(socket, &claim_true, &iov, 1, NULL, &got_bytes, status);
}

#endif
