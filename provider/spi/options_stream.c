/*
 * Options that only streams have and that are more than a word of the core: lingering, times in
 * seconds, what is known about the connection. Any thread; slow path.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "provider/spi/spi.h"

#define MS_PER_S 1000u
#define NS_PER_S 1000000000u

/* ---- words with a unit ---- */

struct unit_row {
    int name;
    uint32_t core; /* enum rs_option */
    uint32_t unit; /* of the core's, in one of Windows' */
    uint32_t least, most;
    uint32_t initial; /* what the core's 0 means (dataplane/tcp.h) */
    bool endless;     /* -1 means without end */
};

static const struct unit_row unit_rows[] = {
    {TCP_KEEPIDLE, RS_OPT_KEEP_IDLE_MS, MS_PER_S, 1, UINT32_MAX / MS_PER_S, 7200, false},
    {TCP_KEEPINTVL, RS_OPT_KEEP_INTERVAL_MS, MS_PER_S, 1, UINT32_MAX / MS_PER_S, 1, false},
    {TCP_KEEPCNT, RS_OPT_KEEP_COUNT, 1, 1, 255, 10, false},
    {TCP_MAXRT, RS_OPT_USER_TIMEOUT_MS, MS_PER_S, 0, UINT32_MAX / MS_PER_S - 1, 0, true},
    {TCP_MAXRTMS, RS_OPT_USER_TIMEOUT_MS, 1, 0, INT32_MAX, 0, true},
};

static const struct unit_row *unit_find(int level, int name)
{
    for (size_t i = 0; level == IPPROTO_TCP && i < sizeof(unit_rows) / sizeof(unit_rows[0]); i++) {
        if (unit_rows[i].name == name) {
            return &unit_rows[i];
        }
    }
    return NULL;
}

static int unit_set(struct spi_socket *socket, const struct unit_row *row, const char *value,
                    int value_bytes)
{
    uint32_t word;
    if (value_bytes < (int)sizeof(word) || !spi_can_read(value, sizeof(word))) {
        return WSAEFAULT;
    }
    memcpy(&word, value, sizeof(word));
    if (row->endless && word == UINT32_MAX) {
        return spi_option_set(socket, row->core, UINT32_MAX);
    }
    if (word < row->least || word > row->most) {
        return WSAEINVAL;
    }
    return spi_option_set(socket, row->core, word * row->unit);
}

static int unit_get(struct spi_socket *socket, const struct unit_row *row, char *value,
                    LPINT value_bytes)
{
    uint32_t word;
    enum rs_status status = client_get_option(socket->core, row->core, &word);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    if (word == 0) {
        word = row->initial;
    } else if (!row->endless || word != UINT32_MAX) {
        word = (word + row->unit - 1) / row->unit;
    }
    return spi_option_answer(value, value_bytes, &word, sizeof(word));
}

/* The largest segment to ask for; 0: by the MTU. What is in use, options_state.c reads. */
static int segment_set(struct spi_socket *socket, const char *value, int value_bytes)
{
    uint32_t word;
    if (value_bytes < (int)sizeof(word) || !spi_can_read(value, sizeof(word))) {
        return WSAEFAULT;
    }
    memcpy(&word, value, sizeof(word));
    return spi_option_set(socket, RS_OPT_MSS_MAX, word);
}

/* ---- lingering ---- */

static uint32_t linger_seconds(struct spi_socket *socket)
{
    uint32_t linger_s = atomic_load_explicit(&socket->linger_s, memory_order_relaxed);
    if (client_is_shared(socket->core)) {
        (void)!client_get_option(socket->core, SPI_SHARED_LINGER_S, &linger_s);
    }
    return linger_s;
}

/* SO_DONTLINGER FALSE is SO_LINGER with the time that was last given. */
static int linger_apply(struct spi_socket *socket, bool on, uint32_t linger_s)
{
    atomic_store_explicit(&socket->linger_s, linger_s, memory_order_relaxed);
    if (client_is_shared(socket->core)) {
        (void)spi_option_set(socket, SPI_SHARED_LINGER_S, linger_s);
    }
    return spi_option_set(socket, CLIENT_OPT_LINGER_MS,
                          on ? linger_s * MS_PER_S : CLIENT_LINGER_OFF);
}

static int linger_set(struct spi_socket *socket, int name, const char *value, int value_bytes)
{
    struct linger linger;
    uint32_t dont;
    size_t bytes = name == SO_LINGER ? sizeof(linger) : sizeof(dont);
    if (value_bytes < (int)bytes || !spi_can_read(value, bytes)) {
        return WSAEFAULT;
    }
    if (name == SO_LINGER) {
        memcpy(&linger, value, sizeof(linger));
        return linger_apply(socket, linger.l_onoff != 0, linger.l_linger);
    }
    memcpy(&dont, value, sizeof(dont));
    return linger_apply(socket, dont == 0, linger_seconds(socket));
}

static int linger_get(struct spi_socket *socket, int name, char *value, LPINT value_bytes)
{
    uint32_t linger_ms;
    enum rs_status status = client_get_option(socket->core, CLIENT_OPT_LINGER_MS, &linger_ms);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    uint32_t dont = linger_ms == CLIENT_LINGER_OFF;
    const struct linger linger = {.l_onoff = dont == 0,
                                  .l_linger = (u_short)linger_seconds(socket)};
    return name == SO_LINGER ? spi_option_answer(value, value_bytes, &linger, sizeof(linger))
                             : spi_option_answer(value, value_bytes, &dont, sizeof(dont));
}

/* ---- about the connection ---- */

/* Whole seconds; 0xffffffff when there is no connection. */
static DWORD connect_time_s(struct spi_socket *socket)
{
    uint64_t ns;
    return client_connected_ns(socket->core, &ns) == RS_OK ? (DWORD)(ns / NS_PER_S) : UINT32_MAX;
}

static int socket_level_get(struct spi_socket *socket, int name, char *value, LPINT value_bytes)
{
    DWORD word;
    switch (name) {
    case SO_LINGER:
    case SO_DONTLINGER:
        return linger_get(socket, name, value, value_bytes);
    case SO_ACCEPTCONN:
        word = client_is_listening(socket->core);
        return spi_option_answer(value, value_bytes, &word, sizeof(word));
    case SO_CONNECT_TIME:
        word = connect_time_s(socket);
        return spi_option_answer(value, value_bytes, &word, sizeof(word));
    default:
        return WSAENOPROTOOPT;
    }
}

/* ---- for options.c ---- */

int spi_stream_option_set(struct spi_socket *socket, int level, int name, const char *value,
                          int value_bytes)
{
    const struct unit_row *row = unit_find(level, name);
    if (!socket->stream) {
        return WSAENOPROTOOPT;
    }
    if (row != NULL) {
        return unit_set(socket, row, value, value_bytes);
    }
    if (level == SOL_SOCKET &&
        (name == SO_UPDATE_ACCEPT_CONTEXT || name == SO_UPDATE_CONNECT_CONTEXT)) {
        return spi_context_update(socket, name, value, value_bytes);
    }
    if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
        return segment_set(socket, value, value_bytes);
    }
    return level == SOL_SOCKET && (name == SO_LINGER || name == SO_DONTLINGER)
               ? linger_set(socket, name, value, value_bytes)
               : WSAENOPROTOOPT;
}

int spi_stream_option_get(struct spi_socket *socket, int level, int name, char *value,
                          LPINT value_bytes)
{
    const struct unit_row *row = unit_find(level, name);
    if (!socket->stream) {
        return WSAENOPROTOOPT;
    }
    if (row != NULL) {
        return unit_get(socket, row, value, value_bytes);
    }
    return level == SOL_SOCKET ? socket_level_get(socket, name, value, value_bytes)
                               : WSAENOPROTOOPT;
}
