/*
 * Sending and receiving: WSABUFs and flags to the core's vectors, and results back. The hot path of
 * the provider: no system call, lock or allocation up to SPI_VECTOR_LOCAL buffers. Any thread.
 * Overlapped calls, and those that find some waiting before them, go on in overlapped_io.c.
 */
#include <mimalloc.h>

#include "provider/include/ringsock.h"
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/io.h"
#include "provider/spi/message.h"

#define VECTOR_MOST 65536u

void spi_vector_drop(struct spi_vector *vector)
{
    if (vector->items != vector->local) {
        mi_free(vector->items);
    }
}

int spi_buffers_count(const WSABUF *buffers, DWORD count)
{
    if (count == 0) {
        return WSAEINVAL;
    }
    if (count > VECTOR_MOST) {
        return WSAENOBUFS;
    }
    return spi_can_read(buffers, count * sizeof(*buffers)) ? 0 : WSAEFAULT;
}

static inline bool buffer_is_there(const WSABUF *buffer, bool write)
{
    /* On one page, and not empty. */
    if (SPI_LIKELY(buffer->len - 1u <
                   SPI_PAGE_BYTES - ((uintptr_t)buffer->buf & (SPI_PAGE_BYTES - 1)))) {
        return (write ? spi_touch_write(buffer->buf) : spi_touch_read(buffer->buf)) == 0;
    }
    return write ? spi_can_write(buffer->buf, buffer->len) : spi_can_read(buffer->buf, buffer->len);
}

static inline __attribute__((always_inline)) int buffers_take(const WSABUF *buffers, DWORD count,
                                                              bool write, struct client_iov *items)
{
    for (DWORD i = 0; i < count; i++) {
        const WSABUF buffer = buffers[i];
        if (!buffer_is_there(&buffer, write)) {
            return WSAEFAULT;
        }
        items[i] = (struct client_iov){.base = buffer.buf, .len_bytes = buffer.len};
    }
    return 0;
}

int spi_buffers_take(const WSABUF *buffers, DWORD count, bool write, struct client_iov *items)
{
    return buffers_take(buffers, count, write, items);
}

int spi_vector_take(struct spi_vector *vector, const WSABUF *buffers, DWORD count, bool write)
{
    int code = spi_buffers_count(buffers, count);
    if (code != 0) {
        return code;
    }
    vector->items =
        count <= SPI_VECTOR_LOCAL ? vector->local : mi_mallocn(count, sizeof(*vector->items));
    if (vector->items == NULL) {
        return WSAENOBUFS;
    }
    vector->count = count;
    code = spi_buffers_take(buffers, count, write, vector->items);
    if (code != 0) {
        spi_vector_drop(vector);
    }
    return code;
}

/* ---- send ---- */

/* Partial messages exist neither for datagrams nor in a stream, urgent data only in a stream
 * (WSAEOPNOTSUPP); MSG_DONTROUTE may be ignored by a provider. */
static bool send_flags_ok(const struct spi_socket *socket, DWORD flags)
{
    DWORD known = MSG_DONTROUTE | MSG_RINGSOCK_WARM | (socket->stream ? MSG_OOB : 0);
    return (flags & ~known) == 0 &&
           (flags & (MSG_OOB | MSG_RINGSOCK_WARM)) != (MSG_OOB | MSG_RINGSOCK_WARM);
}

/* UDP_SEND_MSG_SIZE: datagrams of that size, the last one what is left. Those behind the first wait
 * for room, which the dataplane makes soon: half a send could be told to nobody. */
static enum rs_status send_segments(struct client_socket *core, struct spi_vector *vector,
                                    uint32_t flags, const struct rs_addr *to,
                                    uint32_t segment_bytes, size_t *sent_bytes)
{
    struct client_iov *first = vector->items;
    const struct client_iov *end = vector->items + vector->count;
    size_t left_bytes = 0;
    for (const struct client_iov *item = first; item != end; item++) {
        left_bytes += item->len_bytes;
    }
    enum rs_status status;
    do {
        struct client_iov *last = first;
        size_t bytes = left_bytes < segment_bytes ? left_bytes : segment_bytes;
        size_t need_bytes = bytes;
        size_t taken_bytes;
        for (; last->len_bytes < need_bytes; last++) {
            need_bytes -= last->len_bytes;
        }
        size_t rest_bytes = last->len_bytes - need_bytes;
        last->len_bytes = need_bytes;
        status = client_send(core, first, (uint32_t)(last - first) + 1, flags, to, &taken_bytes);
        *sent_bytes += status == RS_OK ? taken_bytes : 0;
        last->base = (char *)last->base + need_bytes;
        last->len_bytes = rest_bytes;
        first = last;
        left_bytes -= bytes;
        flags |= CLIENT_MSG_WAIT;
    } while (status == RS_OK && left_bytes != 0);
    return status;
}

static inline int send_told(enum rs_status status, size_t sent_bytes, LPDWORD sent)
{
    if (!SPI_LIKELY(status == RS_OK)) {
        /* Winsock has one word for "no address given and none connected". */
        return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
    }
    *sent = (DWORD)sent_bytes;
    return 0;
}

static int send_checked(struct spi_socket *socket, const WSABUF *buffers, DWORD count, LPDWORD sent,
                        DWORD flags, const struct rs_addr *to)
{
    struct spi_vector vector;
    size_t sent_bytes = 0;
    struct rs_addr leaf;
    if (!spi_can_write(sent, sizeof(*sent))) {
        return WSAEFAULT;
    }
    int code = spi_vector_take(&vector, buffers, count, false);
    if (code != 0) {
        return code;
    }
    to = to != NULL ? to : spi_leaf(socket, &leaf);
    uint32_t core_flags = ((flags & MSG_OOB) != 0 ? CLIENT_MSG_OOB : 0u) |
                          ((flags & MSG_RINGSOCK_WARM) != 0 ? CLIENT_MSG_WARM : 0u);
    uint32_t segment_bytes = spi_kept(socket, SPI_KEPT_SEND_MSG_SIZE);
    enum rs_status status =
        segment_bytes == 0
            ? client_send(socket->core, vector.items, vector.count, core_flags, to, &sent_bytes)
            : send_segments(socket->core, &vector, core_flags, to, segment_bytes, &sent_bytes);
    spi_vector_drop(&vector);
    return send_told(status, sent_bytes, sent);
}

/* Of a usual call's IPv4 address: one that lies in one page is touched at once. False: perhaps
 * there, perhaps not. */
static inline bool name_in_one_page(const void *name)
{
    return ((uintptr_t)name & (SPI_PAGE_BYTES - 1)) <= SPI_PAGE_BYTES - sizeof(SOCKADDR_IN);
}

static inline bool name_read(const struct sockaddr *name, int name_bytes, struct rs_addr *out)
{
    if (name_bytes < (int)sizeof(SOCKADDR_IN) || !name_in_one_page(name) ||
        spi_touch_read((void *)(uintptr_t)name) != 0) {
        return false;
    }
    SOCKADDR_IN in;
    memcpy(&in, name, sizeof(in));
    rs_addr_set_v4(out, in.sin_addr.s_addr, in.sin_port);
    return in.sin_family == AF_INET;
}

/* The length by words, for it is loaded next (spi_touch_call); what is too short for an address is
 * not touched. */
static inline bool name_has_room(struct sockaddr *name, LPINT name_bytes)
{
    LPDWORD length = (LPDWORD)(void *)name_bytes;
    return name_in_one_page(name) && spi_touch_call(length, length, length, length) == 0 &&
           *name_bytes >= (INT)sizeof(SOCKADDR_IN) && spi_touch_write(name) == 0;
}

/* Without a reference, as a usual call goes: the socket's lock is one (spi_socket_claim). False:
 * nothing was done; the long way does it, or says what is wrong. True: *code is the call's. */
static inline __attribute__((always_inline)) bool send_claimed(SOCKET s, const WSABUF *buffers,
                                                               DWORD count, LPDWORD sent,
                                                               const struct sockaddr *to,
                                                               int to_bytes, int *code)
{
    struct spi_claimed claimed;
    struct client_iov items[SPI_VECTOR_LOCAL];
    struct rs_addr addr;
    size_t sent_bytes;
    enum rs_status status;
    if (count - 1u >= SPI_VECTOR_LOCAL ||
        spi_touch_call(sent, sent, buffers, (const char *)(buffers + count) - 1) != 0 ||
        buffers_take(buffers, count, false, items) != 0 || !spi_socket_claim(s, &claimed)) {
        return false;
    }
    const struct spi_socket *socket = claimed.socket;
    if (atomic_load_explicit(&socket->attention, memory_order_relaxed) != 0 ||
        (to != NULL &&
         (socket->stream || socket->family != AF_INET || !name_read(to, to_bytes, &addr))) ||
        !client_send_claimed(claimed.core, &claimed.claim, items, count, to != NULL ? &addr : NULL,
                             &sent_bytes, &status)) {
        return false;
    }
    *code = send_told(status, sent_bytes, sent);
    return true;
}

static __attribute__((noinline)) int send_long(SOCKET s, LPWSABUF buffers, DWORD buffer_count,
                                               LPDWORD sent, DWORD flags, const struct sockaddr *to,
                                               int to_bytes, LPWSAOVERLAPPED overlapped,
                                               LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                                               LPWSATHREADID thread, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct rs_addr addr;
    int code = 0;
    to = socket->stream ? NULL : to; /* documented as ignored */
    if (!send_flags_ok(socket, flags)) {
        code = WSAEOPNOTSUPP;
    } else if (to != NULL) {
        code = spi_sockaddr_read(socket, to, to_bytes, &addr);
    }
    const struct rs_addr *address = to != NULL ? &addr : NULL;
    bool notice = spi_is_overlapped(socket, overlapped, routine != NULL);
    if (code == 0 && (notice || spi_io_has_before(socket, SPI_ATTENTION_SEND))) {
        (void)spi_io_send(&(struct spi_io_call){.socket = socket,
                                                .s = s,
                                                .buffers = buffers,
                                                .count = buffer_count,
                                                .flags = flags,
                                                .transferred = sent,
                                                .to = address,
                                                .overlapped = overlapped,
                                                .routine = routine,
                                                .thread = thread,
                                                .notice = notice},
                          &code);
    } else if (code == 0) {
        code = send_checked(socket, buffers, buffer_count, sent, flags, address);
    }
    if (code == WSAEWOULDBLOCK) {
        spi_events_after(socket, FD_WRITE);
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

int WSPAPI spi_send(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                    LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                    LPWSATHREADID thread, LPINT error)
{
    int code = 0;
    if (flags == 0 && overlapped == NULL && routine == NULL &&
        send_claimed(s, buffers, buffer_count, sent, NULL, 0, &code)) {
        return code == 0 ? 0 : spi_fail(error, code);
    }
    return send_long(s, buffers, buffer_count, sent, flags, NULL, 0, overlapped, routine, thread,
                     error);
}

int WSPAPI spi_send_to(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                       const struct sockaddr *to, int to_bytes, LPWSAOVERLAPPED overlapped,
                       LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread,
                       LPINT error)
{
    int code = 0;
    if (flags == 0 && overlapped == NULL && routine == NULL &&
        send_claimed(s, buffers, buffer_count, sent, to, to_bytes, &code)) {
        return code == 0 ? 0 : spi_fail(error, code);
    }
    return send_long(s, buffers, buffer_count, sent, flags, to, to_bytes, overlapped, routine,
                     thread, error);
}

/* ---- receive ---- */

struct recv_out {
    LPDWORD received;
    LPDWORD flags;
    struct sockaddr *from; /* NULL: not asked for */
    LPINT from_bytes;
};

/* Before anything is taken from the ring: a datagram must not be lost to a bad pointer. */
static int recv_check(const struct spi_socket *socket, const struct recv_out *out, bool notice)
{
    if ((!(notice && out->received == NULL) &&
         !spi_can_write(out->received, sizeof(*out->received))) ||
        !spi_can_write(out->flags, sizeof(*out->flags))) {
        return WSAEFAULT;
    }
    if (out->from != NULL) {
        int code = spi_sockaddr_room(socket, out->from, out->from_bytes);
        if (code != 0) {
            return code;
        }
    }
    /* MSG_OOB and MSG_WAITALL are for streams; MSG_PUSH_IMMEDIATE is a hint about streams, which
     * never wait for more than there is; and MSG_PARTIAL allows what neither does. */
    DWORD known =
        MSG_PEEK | MSG_PARTIAL | MSG_PUSH_IMMEDIATE | (socket->stream ? MSG_OOB | MSG_WAITALL : 0);
    return (*out->flags & ~known) != 0 ? WSAEOPNOTSUPP : 0;
}

static uint32_t recv_flags(DWORD flags)
{
    return ((flags & MSG_PEEK) != 0 ? CLIENT_MSG_PEEK : 0u) |
           ((flags & MSG_OOB) != 0 ? CLIENT_MSG_OOB : 0u) |
           ((flags & MSG_WAITALL) != 0 ? CLIENT_MSG_WAITALL : 0u);
}

static int recv_checked(struct spi_socket *socket, const WSABUF *buffers, DWORD count,
                        const struct recv_out *out)
{
    struct spi_vector vector;
    struct client_recv_info info;
    size_t received_bytes = 0;
    int code = spi_vector_take(&vector, buffers, count, true);
    if (code != 0) {
        return code;
    }
    enum rs_status status = client_recv(socket->core, vector.items, vector.count,
                                        recv_flags(*out->flags), &info, &received_bytes);
    spi_vector_drop(&vector);
    if (status != RS_OK && status != RS_MESSAGE_SIZE) {
        return spi_wsa_error(status);
    }
    /* A datagram that was cut: what fits, MSG_PARTIAL and WSAEMSGSIZE together. */
    *out->received = (DWORD)received_bytes;
    *out->flags = status == RS_MESSAGE_SIZE ? MSG_PARTIAL : 0;
    if (out->from != NULL) {
        spi_sockaddr_write(socket, &info.from, out->from, out->from_bytes);
    }
    return spi_wsa_error(status);
}

/* Behind a receive without a reference: the record is somebody's, if not this socket's any more,
 * and what its word asks for is a look. */
static __attribute__((noinline)) void recv_after(SOCKET s)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket != NULL) {
        spi_events_after(socket, FD_READ | FD_OOB);
        if (spi_io_has_before(socket, SPI_ATTENTION_READ)) {
            spi_disconnect_read(socket);
        }
        spi_socket_put(socket);
    }
}

/* As send_claimed. The address of a peer only to IPv4 sockets. */
static inline __attribute__((always_inline)) bool
recv_claimed(SOCKET s, const WSABUF *buffers, DWORD count, const struct recv_out *out, int *code)
{
    struct spi_claimed claimed;
    struct client_iov items[SPI_VECTOR_LOCAL];
    struct client_recv_info info;
    size_t received_bytes;
    enum rs_status status;
    if (count - 1u >= SPI_VECTOR_LOCAL ||
        spi_touch_call(out->received, out->flags, buffers, (const char *)(buffers + count) - 1) !=
            0 ||
        *out->flags != 0 || buffers_take(buffers, count, true, items) != 0 ||
        !spi_socket_claim(s, &claimed)) {
        return false;
    }
    const struct spi_socket *socket = claimed.socket;
    if (spi_io_has_before(socket, ~(uint32_t)SPI_ATTENTION_SENDS) ||
        (out->from != NULL && (socket->stream || socket->family != AF_INET ||
                               !name_has_room(out->from, out->from_bytes))) ||
        !client_recv_claimed(claimed.core, &claimed.claim, items, count,
                             out->from != NULL ? &info : NULL, &received_bytes, &status)) {
        return false;
    }
    if (status == RS_OK || status == RS_MESSAGE_SIZE) {
        *out->received = (DWORD)received_bytes;
        *out->flags = status == RS_MESSAGE_SIZE ? MSG_PARTIAL : 0;
        if (out->from != NULL) {
            spi_sockaddr_write_v4(&info.from, out->from, out->from_bytes);
        }
    }
    if (!SPI_LIKELY(!spi_io_has_before(socket, ~(uint32_t)SPI_ATTENTION_SENDS))) {
        recv_after(s);
    }
    *code = status == RS_OK ? 0 : spi_wsa_error(status);
    return true;
}

static __attribute__((noinline)) int
recv_long(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received, LPDWORD flags,
          struct sockaddr *from, LPINT from_bytes, LPWSAOVERLAPPED overlapped,
          LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    /* The address of a stream's peer is documented as not given here. */
    const struct recv_out out = {.received = received,
                                 .flags = flags,
                                 .from = socket->stream ? NULL : from,
                                 .from_bytes = from_bytes};
    bool notice = spi_is_overlapped(socket, overlapped, routine != NULL);
    int code = recv_check(socket, &out, notice);
    int result = 0;
    if (code == 0 &&
        (notice || (spi_io_has_before(socket, SPI_ATTENTION_RECV) && (*flags & MSG_OOB) == 0))) {
        result = spi_io_recv(&(struct spi_io_call){.socket = socket,
                                                   .s = s,
                                                   .buffers = buffers,
                                                   .count = buffer_count,
                                                   .flags = *flags,
                                                   .transferred = received,
                                                   .out_flags = flags,
                                                   .from = out.from,
                                                   .from_bytes = from_bytes,
                                                   .overlapped = overlapped,
                                                   .routine = routine,
                                                   .thread = thread,
                                                   .notice = notice},
                             error);
    } else if (code == 0) {
        code = recv_checked(socket, buffers, buffer_count, &out);
    }
    spi_events_after(socket, FD_READ | FD_OOB);
    if (code == 0 && spi_io_has_before(socket, SPI_ATTENTION_READ)) {
        spi_disconnect_read(socket);
    }
    spi_socket_put(socket);
    return code == 0 ? result : spi_fail(error, code);
}

int WSPAPI spi_recv(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received, LPDWORD flags,
                    LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                    LPWSATHREADID thread, LPINT error)
{
    int code = 0;
    if (overlapped == NULL && routine == NULL &&
        recv_claimed(s, buffers, buffer_count,
                     &(struct recv_out){.received = received, .flags = flags}, &code)) {
        return code == 0 ? 0 : spi_fail(error, code);
    }
    return recv_long(s, buffers, buffer_count, received, flags, NULL, NULL, overlapped, routine,
                     thread, error);
}

int WSPAPI spi_recv_from(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received,
                         LPDWORD flags, struct sockaddr *from, LPINT from_bytes,
                         LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                         LPWSATHREADID thread, LPINT error)
{
    const struct recv_out out = {
        .received = received, .flags = flags, .from = from, .from_bytes = from_bytes};
    int code = 0;
    if (overlapped == NULL && routine == NULL &&
        recv_claimed(s, buffers, buffer_count, &out, &code)) {
        return code == 0 ? 0 : spi_fail(error, code);
    }
    return recv_long(s, buffers, buffer_count, received, flags, from, from_bytes, overlapped,
                     routine, thread, error);
}
