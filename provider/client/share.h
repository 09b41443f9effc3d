/*
 * What the client's other files ask of share.c: sockets that several processes have. Any thread;
 * where it says so, with the socket's control_mutex held.
 */
#ifndef RINGSOCK_PROVIDER_CLIENT_SHARE_H
#define RINGSOCK_PROVIDER_CLIENT_SHARE_H

#include "provider/client/client_internal.h"

/* Where a call's buffers go on. */
struct client_iov_place {
    const struct client_iov *iov;
    size_t iov_off;
    size_t left_bytes;
};
/* Between the buffers, whose place moves on, and bytes: gather, from the buffers. */
void client_iov_copy(struct client_iov_place *place, void *bytes, uint32_t len_bytes, bool gather);
/* A send or receive on a socket that is shared. *deadline_tsc: the call's, see client_call_begins.
 * RS_IN_PROGRESS: it is so no more. */
RS_CHECK_RESULT enum rs_status client_share_send(struct client_socket *socket,
                                                 struct client_iov_place *place, uint32_t flags,
                                                 uint64_t *deadline_tsc);
RS_CHECK_RESULT enum rs_status client_share_recv(struct client_socket *socket,
                                                 struct client_iov_place *place, uint32_t flags,
                                                 uint64_t *deadline_tsc, size_t *done_bytes);
/* One request about bytes or a datagram, control_mutex held: SHARE_SEND of what was put down in the
 * descriptor's send ring, SHARE_RECV of at most so much. RS_IN_PROGRESS: the socket is not shared
 * any more. */
RS_CHECK_RESULT enum rs_status client_share_data(struct client_socket *socket, enum rs_op op,
                                                 uint32_t len_bytes, uint32_t flags,
                                                 struct rs_share_data *reply);
/* Until one of want (RS_LEVEL_*) is true; the socket is held meanwhile. RS_OK: look again. */
RS_CHECK_RESULT enum rs_status client_share_wait(struct client_socket *socket, uint32_t want,
                                                 uint64_t deadline_tsc);
/* BIND and CONNECT by one of the descriptors, control_mutex held. bind_any: RS_OK also when it is
 * bound. */
RS_CHECK_RESULT enum rs_status client_share_bind(struct client_socket *socket,
                                                 const struct rs_addr *local);
RS_CHECK_RESULT enum rs_status client_share_bind_any(struct client_socket *socket);
RS_CHECK_RESULT enum rs_status client_share_connect(struct client_socket *socket,
                                                    const struct rs_addr *peer);
/* It is shared, and a listener. */
bool client_share_listens(const struct client_socket *socket);
/* The place of a connection that waited at a shared listener. RS_WOULD_BLOCK: none does. */
RS_CHECK_RESULT enum rs_status client_share_accept(struct client_socket *listener,
                                                   struct rs_accept *out);
/* What a read would get, and whether it is at a mark. */
RS_CHECK_RESULT enum rs_status client_share_look(struct client_socket *socket, uint32_t *bytes,
                                                 bool *at_mark);
/* control_mutex held: options and modes as the other descriptors left them; nothing to do for a
 * socket that is not shared. */
RS_CHECK_RESULT enum rs_status client_share_refresh(struct client_socket *socket);
/* Why no call of a shared socket works any more; RS_OK: they do. Any thread. */
enum rs_status client_share_lost(const struct client_socket *socket);
/* control_mutex held, the socket is shared: an enum rs_share_value for all of them. */
RS_CHECK_RESULT enum rs_status client_share_set(struct client_socket *socket, uint32_t name,
                                                uint32_t value);

#endif
