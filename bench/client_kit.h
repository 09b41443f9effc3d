/*
 * What the benches over the portable client share: a ringsockd with a client attached to it, and
 * stream sockets that carry payloads. Sockets block and have a receive time-out, so a bench that
 * loses something ends. Main thread.
 */
#ifndef RINGSOCK_BENCH_CLIENT_KIT_H
#define RINGSOCK_BENCH_CLIENT_KIT_H

#include "bench/bench.h"
#include "bench/dataplane.h"
#include "provider/client/client.h"

enum { KIT_TIMEOUT_MS = 5000 };

struct kit {
    struct bench_dataplane dataplane;
    struct client *client;
};

/* Writes why into context->error. Returns false. */
bool kit_fail(struct bench_context *context, const char *call, enum rs_status status);
/* False: context->error, and nothing is left open. */
bool kit_open(struct bench_context *context, enum bench_profile profile, struct kit *kit);
/* Closes the client with its sockets, then the dataplane. Returns elapsed_ns, or 0 when the
 * dataplane did not end well. */
uint64_t kit_close(struct bench_context *context, struct kit *kit, uint64_t elapsed_ns);
/* Attaches the second program of a bench to its starter's dataplane. */
RS_CHECK_RESULT enum rs_status kit_attach(const char *instance, struct client **out);

/* ---- stream sockets, on 127.0.0.1 ---- */

/* NODELAY and the time-out are set. */
RS_CHECK_RESULT enum rs_status kit_stream(struct client *client, struct client_socket **out);
/* Ring sizes for connections of both kinds; before listening or connecting. 0: the usual ones. */
RS_CHECK_RESULT enum rs_status kit_stream_buffers(struct client_socket *socket, uint32_t bytes);
/* A listener at a port that the dataplane chooses, told in *addr. */
RS_CHECK_RESULT enum rs_status kit_listen(struct client *client, uint32_t backlog,
                                          uint32_t buffer_bytes, struct client_socket **out,
                                          struct rs_addr *addr);
/* A connection within one program: its connecting and its accepted end. */
RS_CHECK_RESULT enum rs_status kit_pair(struct client *client, uint32_t buffer_bytes,
                                        struct client_socket *ends[2]);
/* One payload in one send call. */
RS_CHECK_RESULT enum rs_status kit_put(struct client_socket *socket, uint64_t seq);
/* Receives 64 bytes, in one call unless they came in pieces. RS_CORRUPT: not the payload of seq. */
RS_CHECK_RESULT enum rs_status kit_get(struct client_socket *socket, uint64_t seq);

#endif
