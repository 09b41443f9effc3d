/* ready.h. Calls client_poll. */
#include <mimalloc.h>

#include "provider/spi/ready.h"

int spi_ready_init(struct spi_ready *set, uint32_t room)
{
    set->items = set->local_items;
    set->sockets = set->local_sockets;
    set->count = 0;
    set->immediate = false;
    if (room <= SPI_READY_LOCAL) {
        return 0;
    }
    set->items = mi_mallocn(room, sizeof(*set->items));
    set->sockets = mi_mallocn(room, sizeof(struct spi_socket *));
    if (set->items == NULL || set->sockets == NULL) {
        mi_free(set->items);
        mi_free(set->sockets);
        return WSAENOBUFS;
    }
    return 0;
}

void spi_ready_add(struct spi_ready *set, struct spi_socket *socket, uint32_t want, bool now)
{
    set->sockets[set->count] = socket;
    set->items[set->count] =
        (struct client_poll){.socket = now ? NULL : socket->core, .want = want};
    set->immediate = set->immediate || now;
    set->count++;
}

/* One poll is about one attach: the newest's. What belongs to another is an old socket whose
 * dataplane is gone; it is ready, so that the program meets its error. */
static void ready_split(struct spi_ready *set)
{
    set->session = set->sockets[0]->session;
    for (uint32_t i = 1; i < set->count; i++) {
        struct spi_session *session = set->sockets[i]->session;
        if (session != set->session && !client_alive(set->session->client)) {
            set->session = session;
        }
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->sockets[i]->session != set->session) {
            set->items[i].socket = NULL;
            set->immediate = true;
        }
    }
}

bool spi_ready_is_open(const struct spi_socket *socket)
{
    struct spi_socket *now =
        spi_socket_get((SOCKET)atomic_load_explicit(&socket->handle, memory_order_relaxed));
    if (now != NULL) {
        spi_socket_put(now);
    }
    return now == socket;
}

enum rs_status spi_ready_wait(struct spi_ready *set, uint64_t timeout_ns)
{
    uint32_t ready_count = 0;
    ready_split(set);
    enum rs_status status = client_poll(set->session->client, set->items, set->count,
                                        set->immediate ? 0 : timeout_ns, &ready_count);
    for (uint32_t i = 0; i < set->count && status == RS_INTERRUPTED; i++) {
        status = spi_ready_is_open(set->sockets[i]) ? RS_INTERRUPTED : RS_NOT_SOCKET;
    }
    return status;
}

void spi_ready_drop(struct spi_ready *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        spi_socket_put(set->sockets[i]);
    }
    if (set->items != set->local_items) {
        mi_free(set->items);
        mi_free(set->sockets);
    }
}
