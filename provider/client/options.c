/*
 * Socket options and memberships: kept on the client while the socket is undecided, replayed when
 * it becomes known to the dataplane, sent there at once afterwards. What concerns blocking stays
 * here for good. Slow paths; any thread, by control_mutex.
 */
#include <assert.h>
#include <string.h>

#include "provider/client/client_alloc.h"
#include "provider/client/share.h"

enum { OPTION_DGRAM = 1, OPTION_STREAM = 2, OPTION_BOTH = 3 };

struct option_rule {
    uint32_t least, most;
    uint32_t initial; /* as the dataplane has it too */
    uint32_t types;   /* OPTION_*: the socket types that know it */
};

/* What each option may be, and what it is when nobody set it (dataplane/udp.h, tcp.h; Windows'
 * defaults). The buffers' initial values are the session's. */
static const struct option_rule option_rules[RS_OPT_COUNT] = {
    [RS_OPT_RCVBUF] = {0, INT32_MAX, 0, OPTION_BOTH},
    [RS_OPT_SNDBUF] = {0, INT32_MAX, 0, OPTION_BOTH},
    [RS_OPT_REUSEADDR] = {0, 1, 0, OPTION_BOTH},
    [RS_OPT_EXCLUSIVEADDR] = {0, 1, 0, OPTION_BOTH},
    [RS_OPT_BROADCAST] = {0, 1, 0, OPTION_DGRAM},
    [RS_OPT_TTL] = {1, 255, 128, OPTION_BOTH},
    [RS_OPT_TOS] = {0, 255, 0, OPTION_BOTH},
    [RS_OPT_MCAST_TTL] = {0, 255, 1, OPTION_DGRAM},
    [RS_OPT_MCAST_IF] = {0, UINT32_MAX, 0, OPTION_DGRAM},
    [RS_OPT_MCAST_LOOP] = {0, 1, 1, OPTION_DGRAM},
    [RS_OPT_CONNRESET] = {0, 1, 1, OPTION_DGRAM},
    [RS_OPT_NODELAY] = {0, 1, 0, OPTION_STREAM},
    [RS_OPT_KEEPALIVE] = {0, 1, 0, OPTION_STREAM},
    [RS_OPT_KEEP_IDLE_MS] = {0, UINT32_MAX, 0, OPTION_STREAM},
    [RS_OPT_KEEP_INTERVAL_MS] = {0, UINT32_MAX, 0, OPTION_STREAM},
    [RS_OPT_KEEP_COUNT] = {0, 255, 0, OPTION_STREAM},
    [RS_OPT_USER_TIMEOUT_MS] = {0, UINT32_MAX, 0, OPTION_STREAM},
    [RS_OPT_MSS_MAX] = {0, UINT16_MAX, 0, OPTION_STREAM},
    [RS_OPT_CONGESTION] = {0, 2, 0, OPTION_STREAM},
    [RS_OPT_ACK_IMMEDIATE] = {0, 1, 0, OPTION_STREAM},
    [RS_OPT_RECV_CONTROL] = {0, RS_CONTROL_ALL, 0, OPTION_DGRAM},
    [RS_OPT_TX_STAMPS] = {0, RS_TX_STAMPS_MAX, 0, OPTION_DGRAM},
    [RS_OPT_DONT_FRAGMENT] = {0, 1, 0, OPTION_DGRAM},
    [RS_OPT_TIMESTAMPS] = {0, 1, 1, OPTION_STREAM},
    [RS_OPT_SYN_RTO_MS] = {0, UINT16_MAX, 0, OPTION_STREAM},
    [RS_OPT_SYN_SENDS] = {0, UINT8_MAX, 0, OPTION_STREAM},
};
static_assert(RS_OPT_COUNT <= 32, "client_socket.options_set has a bit for each");

static bool option_known(const struct client_socket *socket, uint32_t option)
{
    uint32_t type = client_is_stream(socket) ? OPTION_STREAM : OPTION_DGRAM;
    return option < RS_OPT_COUNT && (option_rules[option].types & type) != 0;
}

uint32_t client_option_value(const struct client_socket *socket, enum rs_option option)
{
    if ((socket->options_set & 1u << option) != 0) {
        return socket->option_values[option];
    }
    switch (option) {
    case RS_OPT_RCVBUF:
        return socket->client->view.recv_ring_bytes;
    case RS_OPT_SNDBUF:
        return socket->client->view.send_ring_bytes;
    default:
        return option_rules[option].initial;
    }
}

/* A buffer of 0 bytes still takes one datagram: the limit stops a new one while that much waits. */
static uint32_t option_wire_value(enum rs_option option, uint32_t value)
{
    return (option == RS_OPT_RCVBUF || option == RS_OPT_SNDBUF) && value == 0 ? 1 : value;
}

static enum rs_status option_tell(struct client_socket *socket, enum rs_option option,
                                  uint32_t value)
{
    struct rs_op_option op = {.option = (uint32_t)option,
                              .value = option_wire_value(option, value)};
    return client_request(socket, RS_OP_OPTION, &op, sizeof(op));
}

/* What the sending side keeps a copy of. */
static void option_apply(struct client_socket *socket, enum rs_option option, uint32_t value)
{
    client_send_lock(socket);
    if (option == RS_OPT_BROADCAST) {
        socket->broadcast = value != 0;
    } else if (option == RS_OPT_DONT_FRAGMENT) {
        client_socket_set_wire_max(socket, value != 0);
    } else if (option == RS_OPT_SNDBUF && client_is_stream(socket)) {
        socket->out.limit_bytes = client_stream_send_limit(value, socket->out.size_bytes);
        atomic_store_explicit(&socket->send_limit_bytes, socket->out.limit_bytes,
                              memory_order_relaxed);
    } else if (option == RS_OPT_SNDBUF) {
        uint32_t limit_bytes = option_wire_value(option, value);
        socket->send.limit_bytes = limit_bytes;
        atomic_store_explicit(&socket->send_limit_bytes, limit_bytes, memory_order_relaxed);
    }
    client_send_unlock(socket);
}

uint32_t client_options_steps(const struct client_socket *socket, struct client_step *steps)
{
    uint32_t count = 0;
    for (uint32_t option = RS_OPT_NONE + 1; option < RS_OPT_COUNT; option++) {
        if ((socket->options_set & 1u << option) != 0) {
            uint32_t value =
                option_wire_value((enum rs_option)option, socket->option_values[option]);
            steps[count++] =
                (struct client_step){.op = RS_OP_OPTION,
                                     .payload_bytes = sizeof(struct rs_op_option),
                                     .payload.option = {.option = option, .value = value}};
        }
    }
    return count;
}

enum rs_status client_options_replay(struct client_socket *socket)
{
    struct client_step steps[CLIENT_STEPS_MAX];
    return client_request_steps(socket, steps, client_options_steps(socket, steps));
}

/* Shared and exclusive use of a port exclude each other (Winsock: the second of them is WSAEINVAL).
 */
static bool option_conflicts(const struct client_socket *socket, enum rs_option option,
                             uint32_t value)
{
    return value != 0 &&
           ((option == RS_OPT_REUSEADDR &&
             client_option_value(socket, RS_OPT_EXCLUSIVEADDR) != 0) ||
            (option == RS_OPT_EXCLUSIVEADDR && client_option_value(socket, RS_OPT_REUSEADDR) != 0));
}

enum rs_status client_option_retell(struct client_socket *socket, enum rs_option option)
{
    return option_tell(socket, option, client_option_value(socket, option));
}

/* control_mutex held. */
static enum rs_status option_set_shared(struct client_socket *socket, enum rs_option option,
                                        uint32_t value)
{
    if (value < option_rules[option].least || value > option_rules[option].most ||
        option_conflicts(socket, option, value)) {
        return RS_INVALID;
    }
    enum rs_status status = RS_OK;
    enum client_socket_phase phase = client_socket_phase(socket);
    switch (phase) {
    case CLIENT_SOCKET_UNDECIDED:
        break;
    case CLIENT_SOCKET_LIVE:
    case CLIENT_STREAM_IDLE:
    case CLIENT_STREAM_ACTIVE:
    case CLIENT_STREAM_LISTENING:
    case CLIENT_SOCKET_SHARED:
        status = option_tell(socket, option, value);
        break;
    case CLIENT_SOCKET_FREE:
    case CLIENT_SOCKET_CLOSED:
        return RS_NOT_SOCKET;
    }
    if (status == RS_OK) {
        socket->option_values[option] = value;
        socket->options_set |= 1u << option;
        if (option == RS_OPT_SNDBUF && phase == CLIENT_STREAM_LISTENING) {
            socket->late_send_limit = true;
        }
        if (phase != CLIENT_SOCKET_SHARED) {
            option_apply(socket, option, value);
        }
        if (option == RS_OPT_SNDBUF && phase == CLIENT_STREAM_ACTIVE) {
            /* Who waits for room has it by a larger limit; nothing else may come to tell of it. */
            client_socket_wake(socket);
        }
    }
    return status;
}

/* ---- from a listener to its connections ---- */

/* Decided before a connection begins. */
#define OPTIONS_EARLY                                                             \
    (1u << RS_OPT_REUSEADDR | 1u << RS_OPT_EXCLUSIVEADDR | 1u << RS_OPT_MSS_MAX | \
     1u << RS_OPT_CONGESTION)

void client_options_take(const struct client_socket *socket, struct client_inherited *out)
{
    for (uint32_t option = RS_OPT_NONE + 1; option < RS_OPT_COUNT; option++) {
        out->values[option] = client_option_value(socket, (enum rs_option)option);
    }
    out->set = socket->options_set;
    out->late_send_limit = socket->late_send_limit;
}

enum rs_status client_options_differ(struct client_socket *socket,
                                     const struct client_inherited *listener)
{
    const uint32_t set = (socket->options_set | listener->set) & ~OPTIONS_EARLY;
    for (uint32_t option = RS_OPT_NONE + 1; option < RS_OPT_COUNT; option++) {
        uint32_t value = client_option_value(socket, (enum rs_option)option);
        bool late = option == RS_OPT_SNDBUF && listener->late_send_limit;
        if ((set & 1u << option) == 0 || (value == listener->values[option] && !late)) {
            continue;
        }
        enum rs_status status = option_tell(socket, (enum rs_option)option, value);
        if (status != RS_OK) {
            return status;
        }
    }
    return RS_OK;
}

enum rs_status client_options_adopt(struct client_socket *socket,
                                    const struct client_inherited *listener)
{
    const uint32_t set = socket->options_set | listener->set;
    for (uint32_t option = RS_OPT_NONE + 1; option < RS_OPT_COUNT; option++) {
        uint32_t value = listener->values[option];
        if ((set & 1u << option) == 0 ||
            value == client_option_value(socket, (enum rs_option)option)) {
            continue;
        }
        enum rs_status status = RS_OK;
        if ((OPTIONS_EARLY & 1u << option) == 0) {
            status = option_set_shared(socket, (enum rs_option)option, value);
        }
        if (status != RS_OK) {
            return status;
        }
        socket->option_values[option] = value;
    }
    socket->options_set = set;
    return RS_OK;
}

/* The words of the options that only the client knows, or NULL. */
static rs_atomic_u32 *option_local_word(struct client_socket *socket, uint32_t option)
{
    switch (option) {
    case CLIENT_OPT_NONBLOCKING:
        return &socket->nonblocking;
    case CLIENT_OPT_RECV_TIMEOUT_MS:
        return &socket->recv_timeout_ms;
    case CLIENT_OPT_SEND_TIMEOUT_MS:
        return &socket->send_timeout_ms;
    case CLIENT_OPT_LINGER_MS:
        return &socket->linger_ms;
    case CLIENT_OPT_OOB_INLINE:
        return &socket->oob_inline;
    case CLIENT_OPT_USER_0:
    case CLIENT_OPT_USER_1:
    case CLIENT_OPT_USER_2:
    case CLIENT_OPT_USER_3:
        return &socket->user_values[option - CLIENT_OPT_USER_0];
    default:
        return NULL;
    }
}

/* The other descriptors of a shared socket have it, too. */
static enum rs_status option_set_local(struct client_socket *socket, uint32_t option,
                                       rs_atomic_u32 *word, uint32_t value)
{
    enum rs_status status = RS_OK;
    static_assert((int)CLIENT_OPT_USER_3 - (int)CLIENT_OPT_NONBLOCKING ==
                      (int)RS_SHARE_USER_3 - (int)RS_SHARE_NONBLOCKING,
                  "one order");
    if (!client_is_shared(socket)) {
        atomic_store_explicit(word, value, memory_order_relaxed);
    }
    if (client_is_shared(socket)) { /* perhaps meanwhile */
        os_mutex_lock(&socket->control_mutex);
        if (client_is_shared(socket)) { /* or no more, since the mutex is ours */
            status = client_share_set(
                socket, option - CLIENT_OPT_NONBLOCKING + RS_SHARE_NONBLOCKING, value);
        }
        if (status == RS_OK) {
            atomic_store_explicit(word, value, memory_order_relaxed);
        }
        os_mutex_unlock(&socket->control_mutex);
    }
    return status;
}

enum rs_status client_set_option(struct client_socket *socket, uint32_t option, uint32_t value)
{
    rs_atomic_u32 *word = option_local_word(socket, option);
    if (word != NULL) {
        if ((option == CLIENT_OPT_NONBLOCKING || option == CLIENT_OPT_OOB_INLINE) && value > 1) {
            return RS_INVALID;
        }
        return option_set_local(socket, option, word, value);
    }
    if (!option_known(socket, option)) {
        return RS_BAD_OPTION;
    }
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = option_set_shared(socket, (enum rs_option)option, value);
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

enum rs_status client_get_option(struct client_socket *socket, uint32_t option, uint32_t *value)
{
    rs_atomic_u32 *word = option_local_word(socket, option);
    if (client_is_shared(socket)) {
        os_mutex_lock(&socket->control_mutex);
        (void)!client_share_refresh(socket); /* a dataplane that is gone changes nothing */
        os_mutex_unlock(&socket->control_mutex);
    }
    if (word != NULL) {
        *value = atomic_load_explicit(word, memory_order_relaxed);
        return RS_OK;
    }
    if (!option_known(socket, option)) {
        return RS_BAD_OPTION;
    }
    os_mutex_lock(&socket->control_mutex);
    *value = client_option_value(socket, (enum rs_option)option);
    os_mutex_unlock(&socket->control_mutex);
    return RS_OK;
}

enum rs_status client_take_error(struct client_socket *socket)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase == CLIENT_SOCKET_SHARED && client_share_lost(socket) != RS_OK) {
        return client_share_lost(socket);
    }
    if (client_is_stream(socket) &&
        (phase == CLIENT_STREAM_ACTIVE || phase == CLIENT_SOCKET_SHARED)) {
        uint32_t level = client_stream_level(socket);
        enum rs_status status = (level & RS_LEVEL_ERROR) != 0 ? client_error_take(socket) : RS_OK;
        return (level & RS_LEVEL_CONNECTED) != 0 ? client_stream_lost(status) : status;
    }
    return phase == CLIENT_SOCKET_LIVE || phase == CLIENT_SOCKET_SHARED ? client_error_take(socket)
                                                                        : RS_OK;
}

enum rs_status client_socket_error(const struct client_socket *socket)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase == CLIENT_SOCKET_SHARED && client_share_lost(socket) != RS_OK) {
        return client_share_lost(socket);
    }
    if (!client_is_stream(socket) ||
        (phase != CLIENT_STREAM_ACTIVE && phase != CLIENT_SOCKET_SHARED)) {
        return RS_OK;
    }
    uint32_t level = client_stream_level(socket);
    if ((level & RS_LEVEL_ERROR) == 0) {
        return RS_OK;
    }
    /* As client_stream_state: a dataplane that is gone is the reason to tell. */
    enum rs_status status = client_check(socket->client, os_tsc());
    uint32_t code = atomic_load_explicit(&socket->state->error_code, memory_order_relaxed);
    if (status != RS_OK || code == RS_OK || code >= RS_STATUS_COUNT) {
        return status != RS_OK ? status : RS_CORRUPT;
    }
    return (level & RS_LEVEL_CONNECTED) != 0 ? client_stream_lost((enum rs_status)code)
                                             : (enum rs_status)code;
}

/* ---- memberships
 * ---------------------------------------------------------------------------------------------------------
 */

static bool member_is_group(uint32_t ip_be32)
{
    const uint8_t *octets = (const uint8_t *)&ip_be32;
    return octets[0] >= 224 && octets[0] <= 239;
}

static enum rs_status member_check(const struct rs_op_member *op)
{
    bool wants_source = op->action >= RS_MEMBER_JOIN_SOURCE;
    if (op->action < RS_MEMBER_JOIN || op->action > RS_MEMBER_UNBLOCK_SOURCE ||
        !member_is_group(op->group_be32) || (wants_source && op->source_be32 == 0)) {
        return RS_INVALID;
    }
    return RS_OK;
}

/* The action that this one takes back; RS_MEMBER_LEAVE takes back all of its group. */
static uint32_t member_opposite(uint32_t action)
{
    switch (action) {
    case RS_MEMBER_LEAVE_SOURCE:
        return RS_MEMBER_JOIN_SOURCE;
    case RS_MEMBER_UNBLOCK_SOURCE:
        return RS_MEMBER_BLOCK_SOURCE;
    default:
        return 0;
    }
}

static bool member_undone_by(const struct rs_op_member *kept, const struct rs_op_member *op)
{
    if (kept->group_be32 != op->group_be32 || kept->interface_be32 != op->interface_be32) {
        return false;
    }
    return op->action == RS_MEMBER_LEAVE ||
           (kept->action == member_opposite(op->action) && kept->source_be32 == op->source_be32);
}

/* Takes what the operation undoes out of the kept list. Where there is nothing of the kind, the
 * status is the dataplane's (membership.c). */
static enum rs_status member_forget(struct client_socket *socket, const struct rs_op_member *op)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < socket->member_count; i++) {
        if (!member_undone_by(&socket->members[i], op)) {
            socket->members[left++] = socket->members[i];
        }
    }
    bool found = left != socket->member_count;
    socket->member_count = left;
    if (found) {
        return RS_OK;
    }
    return op->action == RS_MEMBER_LEAVE_SOURCE ? RS_ADDR_NOT_AVAILABLE : RS_INVALID;
}

/* Undecided: the list grows by what joins and blocks, and shrinks by what leaves and unblocks. */
static enum rs_status member_keep(struct client_socket *socket, const struct rs_op_member *op)
{
    if (op->action == RS_MEMBER_LEAVE || member_opposite(op->action) != 0) {
        return member_forget(socket, op);
    }
    for (uint32_t i = 0; i < socket->member_count; i++) {
        if (memcmp(&socket->members[i], op, sizeof(*op)) == 0) {
            return RS_ADDR_NOT_AVAILABLE;
        }
    }
    if (socket->members == NULL) {
        socket->members = client_alloc(CLIENT_MEMBERS_MAX, sizeof(*op));
        if (socket->members == NULL) {
            return RS_NO_MEMORY;
        }
    }
    if (socket->member_count == CLIENT_MEMBERS_MAX) {
        return RS_NO_BUFFERS;
    }
    socket->members[socket->member_count++] = *op;
    return RS_OK;
}

enum rs_status client_members_replay(struct client_socket *socket)
{
    for (uint32_t i = 0; i < socket->member_count; i++) {
        enum rs_status status =
            client_request(socket, RS_OP_MEMBER, &socket->members[i], sizeof(socket->members[i]));
        if (status != RS_OK) {
            return status;
        }
    }
    return RS_OK;
}

enum rs_status client_member(struct client_socket *socket, const struct rs_op_member *op)
{
    enum rs_status status = client_is_stream(socket) ? RS_BAD_OPTION : member_check(op);
    if (status != RS_OK) {
        return status;
    }
    struct rs_op_member copy = *op;
    if (op->action < RS_MEMBER_JOIN_SOURCE) {
        copy.source_be32 = 0;
    }
    os_mutex_lock(&socket->control_mutex);
    switch (client_socket_phase(socket)) {
    case CLIENT_SOCKET_UNDECIDED:
        status = member_keep(socket, &copy);
        break;
    case CLIENT_SOCKET_LIVE:
    case CLIENT_SOCKET_SHARED:
        status = client_share_lost(socket);
        if (status == RS_OK) {
            status = client_request(socket, RS_OP_MEMBER, &copy, sizeof(copy));
        }
        break;
    default:
        status = RS_NOT_SOCKET;
        break;
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}
