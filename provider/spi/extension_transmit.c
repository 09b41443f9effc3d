/*
 * TransmitFile and TransmitPackets: memory and parts of files, one behind the other. A file is read
 * in chunks, by the thread that runs the step: the caller for the first ones, then the helper; so
 * what a step may do is bounded. Any thread.
 */
#include <mimalloc.h>
#include <string.h>

#include "provider/spi/extension.h"

#define TRANSMIT_CHUNK_BYTES 65536u
#define TRANSMIT_STEP_SENDS  16u         /* then others have their turn */
#define TRANSMIT_MOST_BYTES  2147483646u /* of one call, as the pages say */
#define TRANSMIT_PARTS_MOST  65536u
#define TRANSMIT_BY_PARTS    0xffffffffu /* TransmitPackets' send size: TP_ELEMENT_EOP rules */

#define TRANSMIT_FILE_FLAGS \
    (TF_DISCONNECT | TF_REUSE_SOCKET | TF_WRITE_BEHIND | TF_USE_SYSTEM_THREAD | TF_USE_KERNEL_APC)
#define TRANSMIT_PACKETS_FLAGS (TRANSMIT_FILE_FLAGS & ~TF_WRITE_BEHIND)

struct transmit_part {
    HANDLE file;        /* ours, the program may close its own; NULL: memory */
    const char *memory; /* moves on */
    uint64_t offset;    /* likewise */
    uint64_t left_bytes;
    bool ends; /* TP_ELEMENT_EOP */
};

struct transmit {
    struct spi_step step;
    struct transmit_part *parts;
    uint32_t part_count, part; /* the one under way */
    uint32_t message_bytes;    /* datagrams: the most of one; 0: a stream */
    bool split;                /* longer ones are several */
    DWORD flags;
    DWORD sent_bytes;
    bool checked, disconnecting;
    HANDLE event; /* of file reads; NULL: no file */
    /* what was read, or the datagram that is put together */
    char *chunk;
    uint32_t chunk_off, chunk_bytes;
    bool chunk_whole; /* datagrams: it is complete */
    struct transmit_part local[3];
};

/* ---- files ---- */

/* Whatever way the file was opened: at this offset, and waited for. An event with its lowest bit
 * set keeps the packet from a port of the file's. 0 or the system's error. */
static int transmit_read(const struct transmit *transmit, const struct transmit_part *part,
                         char *data, DWORD wanted, DWORD *got)
{
    OVERLAPPED at = {.Offset = (DWORD)part->offset,
                     .OffsetHigh = (DWORD)(part->offset >> 32),
                     .hEvent = (HANDLE)((ULONG_PTR)transmit->event | 1)};
    *got = 0;
    if (ReadFile(part->file, data, wanted, got, &at)) {
        return *got != 0 ? 0 : ERROR_HANDLE_EOF;
    }
    if (GetLastError() != ERROR_IO_PENDING) {
        return (int)GetLastError();
    }
    if (WaitForSingleObject(transmit->event, INFINITE) != WAIT_OBJECT_0 ||
        !GetOverlappedResult(part->file, &at, got, FALSE)) {
        return (int)GetLastError();
    }
    return *got != 0 ? 0 : ERROR_HANDLE_EOF;
}

/* The file's part of wanted_bytes (0: to its end) from offset on. */
static int transmit_file_part(struct transmit_part *part, HANDLE file, const uint64_t *offset,
                              uint32_t wanted_bytes)
{
    LARGE_INTEGER size, at = {.QuadPart = 0};
    DWORD type = GetFileType(file);
    if (type == FILE_TYPE_PIPE || type == FILE_TYPE_CHAR) {
        return WSAEINVAL; /* a read might wait for ever, and all that waits for the helper with it
                           */
    }
    if (!GetFileSizeEx(file, &size) ||
        (offset == NULL &&
         !SetFilePointerEx(file, (LARGE_INTEGER){.QuadPart = 0}, &at, FILE_CURRENT))) {
        return (int)GetLastError();
    }
    uint64_t from = offset != NULL ? *offset : (uint64_t)at.QuadPart;
    if (from > (uint64_t)size.QuadPart) {
        return WSAEINVAL;
    }
    HANDLE own = NULL;
    if (!DuplicateHandle(GetCurrentProcess(), file, GetCurrentProcess(), &own, 0, FALSE,
                         DUPLICATE_SAME_ACCESS)) {
        return (int)GetLastError();
    }
    *part = (struct transmit_part){
        .file = own,
        .offset = from,
        .left_bytes = wanted_bytes != 0 ? wanted_bytes : (uint64_t)size.QuadPart - from};
    return 0;
}

static int transmit_memory_part(struct transmit_part *part, const void *memory, uint32_t bytes)
{
    *part = (struct transmit_part){.memory = memory, .left_bytes = bytes};
    return spi_can_read(memory, bytes) ? 0 : WSAEFAULT;
}

static void transmit_pass(struct transmit_part *part, uint32_t bytes)
{
    part->left_bytes -= bytes;
    part->offset += bytes;
    part->memory += part->file == NULL ? bytes : 0;
}

/* ---- a stream's step ---- */

/* The program may have given the memory back meanwhile. */
static int transmit_memory(const struct transmit *transmit, const struct transmit_part *part,
                           size_t bytes)
{
    return !transmit->step.op.helped || spi_can_read(part->memory, bytes) ? 0 : WSAEFAULT;
}

/* The next bytes to be sent. */
static int transmit_next(struct transmit *transmit, struct transmit_part *part,
                         struct client_iov *iov)
{
    if (part->file == NULL) {
        size_t bytes =
            part->left_bytes < SPI_STEP_BYTES ? (size_t)part->left_bytes : SPI_STEP_BYTES;
        *iov = (struct client_iov){.base = (void *)(uintptr_t)part->memory, .len_bytes = bytes};
        return transmit_memory(transmit, part, bytes);
    }
    if (transmit->chunk_off == transmit->chunk_bytes) {
        DWORD wanted = part->left_bytes < TRANSMIT_CHUNK_BYTES ? (DWORD)part->left_bytes
                                                               : TRANSMIT_CHUNK_BYTES;
        DWORD got;
        int code = transmit_read(transmit, part, transmit->chunk, wanted, &got);
        if (code != 0) {
            return code;
        }
        transmit->chunk_off = 0;
        transmit->chunk_bytes = got;
    }
    *iov = (struct client_iov){.base = transmit->chunk + transmit->chunk_off,
                               .len_bytes = transmit->chunk_bytes - transmit->chunk_off};
    return 0;
}

static int transmit_send(struct transmit *transmit, struct transmit_part *part)
{
    struct client_iov iov;
    size_t sent_bytes = 0;
    int code = transmit_next(transmit, part, &iov);
    if (code != 0) {
        return code;
    }
    enum rs_status status =
        client_send(transmit->step.socket->core, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &sent_bytes);
    transmit_pass(part, (uint32_t)sent_bytes);
    transmit->chunk_off += part->file != NULL ? (uint32_t)sent_bytes : 0;
    transmit->sent_bytes += (DWORD)sent_bytes;
    return status == RS_WOULD_BLOCK ? SPI_OP_PENDING : spi_wsa_error(status);
}

/* ---- a datagram socket's step ---- */

/* Puts the next datagram together. A part that ends makes it whole, as do the last part and the
 * size where it may be split. */
static int transmit_fill(struct transmit *transmit)
{
    while (!transmit->chunk_whole && transmit->part < transmit->part_count) {
        struct transmit_part *part = &transmit->parts[transmit->part];
        uint32_t room = transmit->message_bytes - transmit->chunk_bytes;
        DWORD bytes = part->left_bytes < room ? (DWORD)part->left_bytes : room;
        int code = 0;
        if (part->left_bytes > room && !transmit->split) {
            return WSAEMSGSIZE;
        }
        if (part->file == NULL && transmit_memory(transmit, part, bytes) != 0) {
            return WSAEFAULT;
        }
        if (part->file == NULL) {
            memcpy(transmit->chunk + transmit->chunk_bytes, part->memory, bytes);
        } else if (bytes != 0) {
            code = transmit_read(transmit, part, transmit->chunk + transmit->chunk_bytes, bytes,
                                 &bytes);
        }
        if (code != 0) {
            return code;
        }
        transmit_pass(part, bytes);
        transmit->chunk_bytes += bytes;
        bool ends = part->left_bytes == 0 && part->ends;
        transmit->part += part->left_bytes == 0;
        transmit->chunk_whole =
            ends || transmit->part == transmit->part_count ||
            (transmit->split && transmit->chunk_bytes == transmit->message_bytes);
    }
    return 0;
}

static int transmit_send_message(struct transmit *transmit)
{
    int code = transmit_fill(transmit);
    if (code != 0) {
        return code;
    }
    const struct client_iov iov = {.base = transmit->chunk, .len_bytes = transmit->chunk_bytes};
    size_t sent_bytes = 0;
    enum rs_status status =
        client_send(transmit->step.socket->core, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &sent_bytes);
    if (status == RS_WOULD_BLOCK) {
        return SPI_OP_PENDING;
    }
    transmit->sent_bytes += (DWORD)sent_bytes;
    transmit->chunk_bytes = 0;
    transmit->chunk_whole = false;
    return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
}

/* ---- the step ---- */

/* Before notice: then nothing of ours keeps the program from moving or deleting them. */
static void transmit_close_files(struct spi_op *op)
{
    struct transmit *transmit = (struct transmit *)op;
    for (uint32_t i = 0; i < transmit->part_count; i++) {
        if (transmit->parts[i].file != NULL) {
            CloseHandle(transmit->parts[i].file);
            transmit->parts[i].file = NULL;
        }
    }
}

/* True: there is something left to be sent. */
static bool transmit_left(struct transmit *transmit)
{
    if (transmit->message_bytes != 0) {
        return transmit->chunk_whole || transmit->part < transmit->part_count;
    }
    while (transmit->part < transmit->part_count &&
           transmit->parts[transmit->part].left_bytes == 0) {
        transmit->part++;
    }
    return transmit->part < transmit->part_count;
}

static int transmit_some(struct transmit *transmit)
{
    int code = 0;
    transmit->step.op.want = RS_LEVEL_WRITABLE;
    for (uint32_t i = 0; code == 0 && transmit_left(transmit); i++) {
        if (i == TRANSMIT_STEP_SENDS) {
            return SPI_OP_PENDING;
        }
        code = transmit->message_bytes != 0
                   ? transmit_send_message(transmit)
                   : transmit_send(transmit, &transmit->parts[transmit->part]);
    }
    return code;
}

static int transmit_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct transmit *transmit = (struct transmit *)op;
    struct spi_socket *socket = transmit->step.socket;
    (void)flags;
    int code = 0;
    if (!transmit->checked && socket->stream) { /* also when there is nothing to send */
        size_t ignored;
        code =
            spi_wsa_error(client_send(socket->core, NULL, 0, CLIENT_MSG_DONTWAIT, NULL, &ignored));
    }
    transmit->checked = true;
    if (code == 0 && !transmit->disconnecting) {
        code = transmit_some(transmit);
    }
    if (code == 0 && (transmit->flags & TF_DISCONNECT) != 0) {
        code = spi_disconnect_step(socket, &transmit->disconnecting,
                                   (transmit->flags & TF_REUSE_SOCKET) != 0, &op->want);
    }
    if (code != SPI_OP_PENDING) {
        transmit_close_files(op);
    }
    *transferred = transmit->sent_bytes;
    return code;
}

/* ---- begin, end ---- */

static void transmit_drop(struct spi_op *op)
{
    struct transmit *transmit = (struct transmit *)op;
    if (transmit->event != NULL) {
        CloseHandle(transmit->event);
    }
    transmit_close_files(op); /* where no step and no abort was its end */
    if (transmit->parts != transmit->local) {
        mi_free(transmit->parts);
    }
    mi_free(transmit->chunk);
    spi_socket_put(transmit->step.socket);
    mi_free(transmit);
}

/* What the parts need. */
static int transmit_prepare(struct transmit *transmit)
{
    uint64_t total_bytes = 0;
    bool file = false;
    for (uint32_t i = 0; i < transmit->part_count; i++) {
        uint64_t bytes = transmit->parts[i].left_bytes;
        file |= transmit->parts[i].file != NULL;
        total_bytes += bytes <= TRANSMIT_MOST_BYTES ? bytes : TRANSMIT_MOST_BYTES + 1ull;
    }
    if (total_bytes > TRANSMIT_MOST_BYTES) {
        return WSAEINVAL;
    }
    if (file) {
        transmit->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    }
    if (file || transmit->message_bytes != 0) {
        transmit->chunk = mi_malloc(TRANSMIT_CHUNK_BYTES);
    }
    bool whole = (!file || transmit->event != NULL) &&
                 (transmit->chunk != NULL || (!file && transmit->message_bytes == 0));
    return whole ? 0 : WSAENOBUFS;
}

/* Takes the socket's reference. NULL: no memory. */
static struct transmit *transmit_new(struct spi_socket *socket, SOCKET s, uint32_t part_count,
                                     DWORD flags)
{
    struct transmit *transmit = mi_zalloc(sizeof(*transmit));
    if (transmit == NULL) {
        return NULL;
    }
    transmit->parts = transmit->local;
    if (part_count > sizeof(transmit->local) / sizeof(transmit->local[0])) {
        transmit->parts = mi_calloc(part_count, sizeof(*transmit->parts));
    }
    if (transmit->parts == NULL) {
        mi_free(transmit);
        return NULL;
    }
    transmit->step = (struct spi_step){.socket = socket,
                                       .op = {.way = SPI_WAY_SEND,
                                              .step = transmit_step,
                                              .aborted = transmit_close_files,
                                              .drop = transmit_drop,
                                              .s = s}};
    transmit->flags = flags;
    return transmit;
}

static int transmit_check_flags(const struct spi_socket *socket, DWORD flags, DWORD known)
{
    if ((flags & ~known) != 0 || ((flags & TF_REUSE_SOCKET) != 0 && (flags & TF_DISCONNECT) == 0) ||
        ((flags & TF_DISCONNECT) != 0 && !socket->stream)) {
        return WSAEINVAL;
    }
    /* As DisconnectEx. */
    return (flags & TF_REUSE_SOCKET) != 0 && client_is_shared(socket->core) ? WSAEOPNOTSUPP : 0;
}

static WINBOOL transmit_start(struct transmit *transmit, LPOVERLAPPED overlapped, int code)
{
    if (code != 0) {
        transmit_drop(&transmit->step.op);
        return spi_extension_result(code);
    }
    return spi_extension_result(spi_step_start(&transmit->step, overlapped, NULL));
}

/* ---- TransmitFile ---- */

struct transmit_file_call {
    HANDLE file;
    DWORD file_bytes;
    LPOVERLAPPED overlapped;
    LPTRANSMIT_FILE_BUFFERS buffers;
};

static int transmit_file_parts(struct transmit *transmit, const struct transmit_file_call *call)
{
    TRANSMIT_FILE_BUFFERS buffers = {.HeadLength = 0};
    int code = 0;
    if (call->buffers != NULL) {
        if (!spi_can_read(call->buffers, sizeof(buffers))) {
            return WSAEFAULT;
        }
        buffers = *call->buffers;
        code = transmit_memory_part(&transmit->parts[transmit->part_count++], buffers.Head,
                                    buffers.HeadLength);
    }
    if (code == 0 && call->file != NULL) {
        uint64_t offset = 0;
        if (call->overlapped != NULL) {
            offset = (uint64_t)call->overlapped->OffsetHigh << 32 | call->overlapped->Offset;
        }
        code = transmit_file_part(&transmit->parts[transmit->part_count++], call->file,
                                  call->overlapped != NULL ? &offset : NULL, call->file_bytes);
    }
    if (code == 0) {
        code = transmit_memory_part(&transmit->parts[transmit->part_count++], buffers.Tail,
                                    buffers.TailLength);
    }
    return code == 0 ? transmit_prepare(transmit) : code;
}

WINBOOL WINAPI spi_transmit_file(SOCKET s, HANDLE file, DWORD file_bytes, DWORD send_bytes,
                                 LPOVERLAPPED overlapped, LPTRANSMIT_FILE_BUFFERS buffers,
                                 DWORD flags)
{
    (void)send_bytes; /* a stream's sends have no size */
    const struct transmit_file_call call = {
        .file = file, .file_bytes = file_bytes, .overlapped = overlapped, .buffers = buffers};
    int code = 0;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return spi_extension_result(code);
    }
    if (!socket->stream) {
        code = WSAEINVAL;
    } else if (overlapped != NULL && !spi_can_write(overlapped, sizeof(*overlapped))) {
        code = WSAEFAULT;
    } else {
        code = transmit_check_flags(socket, flags, TRANSMIT_FILE_FLAGS);
    }
    struct transmit *transmit = code == 0 ? transmit_new(socket, s, 3, flags) : NULL;
    if (transmit == NULL) {
        spi_socket_put(socket);
        return spi_extension_result(code != 0 ? code : WSAENOBUFS);
    }
    transmit->step.op.offset_stays = true;
    code = transmit_file_parts(transmit, &call);
    return transmit_start(transmit, overlapped, code);
}

/* ---- TransmitPackets ---- */

static int transmit_element(struct transmit_part *part, const TRANSMIT_PACKETS_ELEMENT *element)
{
    ULONG kind = element->dwElFlags & (TP_ELEMENT_MEMORY | TP_ELEMENT_FILE);
    int code = WSAEINVAL;
    if ((element->dwElFlags & ~(ULONG)(TP_ELEMENT_MEMORY | TP_ELEMENT_FILE | TP_ELEMENT_EOP)) !=
        0) {
        return code;
    }
    if (kind == TP_ELEMENT_MEMORY) {
        code = transmit_memory_part(part, element->pBuffer, element->cLength);
    } else if (kind == TP_ELEMENT_FILE || kind == 0) { /* a file is the default */
        uint64_t offset = (uint64_t)element->nFileOffset.QuadPart;
        code = transmit_file_part(part, element->hFile,
                                  element->nFileOffset.QuadPart == -1 ? NULL : &offset,
                                  element->cLength);
    }
    part->ends = (element->dwElFlags & TP_ELEMENT_EOP) != 0;
    return code;
}

static int transmit_elements(struct transmit *transmit, const TRANSMIT_PACKETS_ELEMENT *elements,
                             DWORD count, DWORD send_bytes)
{
    for (DWORD i = 0; i < count; i++) {
        const TRANSMIT_PACKETS_ELEMENT element = elements[i];
        int code = transmit_element(&transmit->parts[i], &element);
        if (code != 0) {
            return code;
        }
        transmit->part_count++;
    }
    if (!transmit->step.socket->stream) {
        transmit->split = send_bytes != TRANSMIT_BY_PARTS;
        transmit->message_bytes =
            send_bytes != 0 && send_bytes < RS_DGRAM_MAX_BYTES ? send_bytes : RS_DGRAM_MAX_BYTES;
    }
    return transmit_prepare(transmit);
}

WINBOOL WINAPI spi_transmit_packets(SOCKET s, LPTRANSMIT_PACKETS_ELEMENT elements, DWORD count,
                                    DWORD send_bytes, LPOVERLAPPED overlapped, DWORD flags)
{
    int code = 0;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return spi_extension_result(code);
    }
    code = transmit_check_flags(socket, flags, TRANSMIT_PACKETS_FLAGS);
    if (code == 0 && count > TRANSMIT_PARTS_MOST) {
        code = WSAENOBUFS;
    }
    if (code == 0 && (!spi_can_read(elements, count * sizeof(*elements)) ||
                      (overlapped != NULL && !spi_can_write(overlapped, sizeof(*overlapped))))) {
        code = WSAEFAULT;
    }
    struct transmit *transmit = code == 0 ? transmit_new(socket, s, count, flags) : NULL;
    if (transmit == NULL) {
        spi_socket_put(socket);
        return spi_extension_result(code != 0 ? code : WSAENOBUFS);
    }
    code = transmit_elements(transmit, elements, count, send_bytes);
    return transmit_start(transmit, overlapped, code);
}
