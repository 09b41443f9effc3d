/*
 * Network events: WSPEventSelect, WSPEnumNetworkEvents (events.c) and WSPAsyncSelect (async.c).
 * What other files of the DLL call to say what they did. Any thread, unless said otherwise.
 */
#ifndef RINGSOCK_PROVIDER_SPI_EVENTS_H
#define RINGSOCK_PROVIDER_SPI_EVENTS_H

#include "provider/spi/spi.h"

/* An event object of the program, by a handle of our own: the program may close its own. Shared by
 * the sockets it was selected for and those accepted from them. */
struct spi_event_object;

/* Where a socket's events go: to an event object, with a record, or to a window, as messages. */
struct spi_event_target {
    struct spi_event_object *object; /* NULL: the window */
    HWND window;
    unsigned int message;
};

/* Selects `mask` (FD_*; 0: nothing any more) for the target, whose object it takes over when it
 * succeeds: 0. WSAEINVAL, WSAENOBUFS, WSAENETDOWN, WSAENOTSOCK: what was selected stays. */
int spi_events_select(struct spi_socket *socket, long mask, const struct spi_event_target *target);

/* ---- behind calls of the program: one load where no events are selected ---- */

void spi_events_look(struct spi_socket *socket, long reenabled);

/* A call that re-enables these events (FD_*; 0: it changed what there is to see). */
static inline void spi_events_after(struct spi_socket *socket, long reenabled)
{
    /* Relaxed, partner spi_events_select: who comes just before a selection missed nothing, it
     * looks itself. */
    if ((atomic_load_explicit(&socket->attention, memory_order_relaxed) & SPI_ATTENTION_EVENTS) !=
        0) {
        spi_events_look(socket, reenabled);
    }
}

/* Around an attempt to connect: a new one has an outcome of its own. `before` is what the first
 * returned. */
long spi_events_before_connect(struct spi_socket *socket);
void spi_events_after_connect(struct spi_socket *socket, long before, int code);
/* Around AcceptEx's attempts to give a socket a connection: it did not connect, and what was told
 * of an earlier connection is told of this one, too. */
long spi_events_before_accept(struct spi_socket *accepting);
void spi_events_after_accept(struct spi_socket *accepting, long before);
/* One that nothing shows afterwards happened: a join, a change that an ioctl waited for. */
void spi_events_tell(struct spi_socket *socket, long event, int error);
/* FIONBIO. 0, WSAEINVAL (blocking, with events selected), or the option's error. */
int spi_events_set_nonblocking(struct spi_socket *socket, bool nonblocking);
/* A socket that is accepted and has no handle yet: the listener's selection. 0 or WSAENOBUFS. */
int spi_events_inherit(struct spi_socket *listener, struct spi_socket *accepted);
/* Nothing is told about it any more. */
void spi_events_close(struct spi_socket *socket);
/* A record in its next life. */
void spi_events_reopen(struct spi_socket *socket);

/* ---- in the helper thread ---- */

void spi_events_ready(struct spi_socket *socket);

#endif
