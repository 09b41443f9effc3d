/* Whole messages over a TCP connection, see session.h. */
#include "bench/trading/session.h"

#include <string.h>

static _Thread_local const char *session_text;

const char *session_error(void)
{
    return session_text != NULL ? session_text : trade_net_error();
}

void session_init(struct session *session, struct trade_socket *socket)
{
    memset(session, 0, sizeof(*session));
    session->socket = socket;
}

bool session_flush(struct session *session)
{
    while (session->out_bytes != 0) {
        const uint8_t *left = session->out + sizeof(session->out) - session->out_bytes;
        int written = trade_net_write(session->socket, left, session->out_bytes);
        if (written == TRADE_NET_FAILED) {
            return false;
        }
        if (written <= 0) {
            return true;
        }
        session->out_bytes -= (uint32_t)written;
    }
    return true;
}

int session_put(struct session *session, const struct trade_order *message)
{
    if (!session_flush(session)) {
        return TRADE_NET_FAILED;
    }
    if (session->out_bytes != 0) {
        return TRADE_NET_NOTHING;
    }
    memcpy(session->out, message, sizeof(*message));
    session->out_bytes = sizeof(*message);
    if (!session_flush(session)) {
        return TRADE_NET_FAILED;
    }
    if (session->out_bytes == sizeof(*message)) {
        session->out_bytes = 0;
        return TRADE_NET_NOTHING;
    }
    return 0;
}

int session_take(struct session *session, struct trade_order *message)
{
    uint32_t have_bytes = session->in_bytes - session->in_at_bytes;
    if (have_bytes < sizeof(*message) && !session->end) {
        memmove(session->in, session->in + session->in_at_bytes, have_bytes);
        session->in_at_bytes = 0;
        session->in_bytes = have_bytes;
        int got = trade_net_read(session->socket, session->in + have_bytes,
                                 sizeof(session->in) - have_bytes);
        if (got == TRADE_NET_NOTHING || got == TRADE_NET_FAILED) {
            return got;
        }
        if (got == 0 && have_bytes != 0) {
            session_text = "the stream of a session ended inside a message";
            return TRADE_NET_FAILED;
        }
        session->end = got == 0;
        session->in_bytes += (uint32_t)got;
        have_bytes += (uint32_t)got;
    }
    if (have_bytes < sizeof(*message)) {
        return TRADE_NET_NOTHING;
    }
    memcpy(message, session->in + session->in_at_bytes, sizeof(*message));
    session->in_at_bytes += (uint32_t)sizeof(*message);
    return 0;
}

bool session_finish(struct session *session)
{
    if (session->shut || !session_flush(session)) {
        return session->shut;
    }
    if (session->out_bytes == 0) {
        session->shut = trade_net_shutdown(session->socket);
        return session->shut;
    }
    return true;
}
