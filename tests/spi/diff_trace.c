/*
 * The trace of diff.h: one line a call, INDEX|SLOTS|CALL => RESULT. Ports are named after the
 * socket that first had them, so that two runs agree.
 */
#include <stdarg.h>

#include "tests/spi/diff.h"

#define LINE_BYTES 4096u
#define PORTS_MAX  128u

static FILE *trace_file;
static char trace_line[LINE_BYTES];
static size_t trace_bytes;
static unsigned trace_touched;
static const char *trace_waited; /* in vain, or NULL */
static unsigned trace_index;
static enum diff_type trace_type; /* of the socket that the line is about */
static struct {
    u_short port_be16;
    enum diff_type type;
    unsigned slot, made;
} trace_ports[PORTS_MAX];
static unsigned trace_port_count;

void diff_trace_open(const char *path)
{
    trace_file = fopen(path, "wb");
    if (trace_file == NULL) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(2);
    }
}

void diff_trace_close(void)
{
    if (fclose(trace_file) != 0) {
        fprintf(stderr, "the trace is not complete\n");
        exit(2);
    }
}

void diff_trace_seed(uint64_t seed)
{
    fprintf(trace_file, "seed %llu\n", (unsigned long long)seed);
    trace_port_count = 0;
}

void diff_line_begin(unsigned index)
{
    trace_index = index;
    trace_bytes = 0;
    trace_line[0] = '\0';
    trace_touched = 0;
    trace_waited = NULL;
}

void diff_note_wait(const char *what)
{
    trace_waited = what;
}

void diff_line_end(void)
{
    if (trace_bytes == 0) {
        return; /* the call had nothing to do */
    }
    fprintf(trace_file, "%u|", trace_index);
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        if ((trace_touched >> i & 1) != 0) {
            fprintf(trace_file, "%u", i);
        }
    }
    fprintf(trace_file, "|%s", trace_line);
    if (trace_waited != NULL) {
        fprintf(trace_file, " [waited %d ms for %s]", DIFF_WAIT_MS, trace_waited);
    }
    fputc('\n', trace_file);
    fflush(trace_file);
}

void diff_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(trace_line + trace_bytes, LINE_BYTES - trace_bytes, format, args);
    va_end(args);
    if (bytes > 0) {
        trace_bytes += (size_t)bytes;
        trace_bytes = trace_bytes < LINE_BYTES ? trace_bytes : LINE_BYTES - 1;
    }
}

/* ---- slots ---- */

void diff_touch(unsigned slot)
{
    const struct diff_slot *at = &diff_slots[slot];
    trace_touched |= 1u << slot;
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        const struct diff_slot *peer = &diff_slots[i];
        bool stream = at->link != NULL && peer->link == at->link;
        bool dgram = at->type == DIFF_UDP && at->connected && peer->type == DIFF_UDP &&
                     peer->port_be16 == at->peer_port_be16;
        if (stream || dgram) {
            trace_touched |= 1u << i;
        }
    }
}

static void say_state(const struct diff_slot *slot)
{
    const struct diff_pipe *in = diff_pipe_in(slot);
    static const char *const types[] = {"none", "udp", "tcp"};
    diff_say("%s", types[slot->type]);
    diff_say("%s%s%s%s%s%s%s", slot->bound ? " bound" : "",
             slot->type == DIFF_UDP && slot->specific ? " specific" : "",
             slot->listening ? " listening" : "", slot->connected ? " connected" : "",
             slot->failed ? " failed" : "", slot->shut_recv ? " shut-recv" : "",
             slot->shut_send ? " shut-send" : "");
    diff_say("%s", slot->six ? " six" : "");
    diff_say("%s", slot->no_context ? " no-context" : "");
    if (in != NULL) {
        diff_say("%s%s%s%s%s", diff_unread(slot) != 0 ? " unread" : "", in->fin ? " peer-fin" : "",
                 in->reset ? " peer-reset" : "", in->urgent ? " urgent" : "",
                 slot->link->deaf[1 - slot->side] ? " peer-deaf" : "");
    }
    if (slot->queued != 0) {
        diff_say(" queued");
    }
    for (unsigned i = 0; i < DIFF_GROUPS; i++) {
        if ((diff_joined(slot) >> i & 1) != 0) {
            diff_say(" joined%u", i + 1);
        }
        if ((slot->strays >> i & 1) != 0) {
            diff_say(" stray%u", i + 1);
        }
        if ((slot->held >> i & 1) != 0) {
            diff_say(" held%u", i + 1);
        }
    }
    if (slot->sourced) {
        diff_say(" sourced");
    }
    if (slot->pending_count != 0) {
        diff_say(" pending");
    }
}

void diff_say_slot(unsigned slot)
{
    diff_touch(slot);
    trace_type = diff_slots[slot].type;
    diff_say(" s%u[", slot);
    say_state(&diff_slots[slot]);
    diff_say("]");
}

/* ---- results ---- */

static const struct {
    int error;
    const char *name;
} error_names[] = {
#define NAME(code)  \
    {               \
        code, #code \
    }
    NAME(WSA_INVALID_HANDLE), NAME(WSA_INVALID_PARAMETER),
    NAME(WSA_IO_PENDING),     NAME(WSA_OPERATION_ABORTED),
    NAME(WSA_IO_INCOMPLETE),  NAME(WSAEINTR),
    NAME(WSAEACCES),          NAME(WSAEFAULT),
    NAME(WSAEINVAL),          NAME(WSAEWOULDBLOCK),
    NAME(WSAEINPROGRESS),     NAME(WSAEALREADY),
    NAME(WSAENOTSOCK),        NAME(WSAEDESTADDRREQ),
    NAME(WSAEMSGSIZE),        NAME(WSAEPROTOTYPE),
    NAME(WSAENOPROTOOPT),     NAME(WSAEPROTONOSUPPORT),
    NAME(WSAESOCKTNOSUPPORT), NAME(WSAEOPNOTSUPP),
    NAME(WSAEAFNOSUPPORT),    NAME(WSAEADDRINUSE),
    NAME(WSAEADDRNOTAVAIL),   NAME(WSAENETUNREACH),
    NAME(WSAENETRESET),       NAME(WSAECONNABORTED),
    NAME(WSAECONNRESET),      NAME(WSAENOBUFS),
    NAME(WSAEISCONN),         NAME(WSAENOTCONN),
    NAME(WSAESHUTDOWN),       NAME(WSAETIMEDOUT),
    NAME(WSAECONNREFUSED),    NAME(WSAEHOSTUNREACH),
    NAME(WSAENETDOWN),        NAME(WSAEDISCON),
    NAME(WSATRY_AGAIN)};

void diff_say_error(int error)
{
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++) {
        if (error_names[i].error == error) {
            diff_say("%s", error_names[i].name);
            return;
        }
    }
    diff_say("error-%d", error);
}

bool diff_say_result(int result)
{
    diff_say(" => ");
    if (result == SOCKET_ERROR) {
        diff_say_error(WSAGetLastError());
        return false;
    }
    diff_say(result == 0 ? "ok" : "%d", result);
    return true;
}

void diff_say_flags(DWORD flags)
{
    static const struct {
        DWORD flag;
        const char *name;
    } names[] = {{MSG_OOB, "OOB"},
                 {MSG_PEEK, "PEEK"},
                 {MSG_DONTROUTE, "DONTROUTE"},
                 {MSG_WAITALL, "WAITALL"},
                 {MSG_PUSH_IMMEDIATE, "PUSH_IMMEDIATE"},
                 {MSG_PARTIAL, "PARTIAL"},
                 {MSG_INTERRUPT, "INTERRUPT"}};
    diff_say(" flags=");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((flags & names[i].flag) != 0) {
            diff_say("%s+", names[i].name);
            flags &= ~names[i].flag;
        }
    }
    diff_say("%lx", flags);
}

/* The last name counts: a port may be used again. */
static int port_find(u_short port_be16, enum diff_type type)
{
    int at = (int)trace_port_count - 1;
    while (at >= 0 && (trace_ports[at].port_be16 != port_be16 ||
                       (type != DIFF_NONE && trace_ports[at].type != type))) {
        at--;
    }
    return at;
}

void diff_name_port(u_short port_be16, unsigned slot)
{
    int at = port_find(port_be16, diff_slots[slot].type);
    bool known = at >= 0 && diff_made[trace_ports[at].slot] == trace_ports[at].made &&
                 diff_slots[trace_ports[at].slot].type != DIFF_NONE;
    if (!known && trace_port_count < PORTS_MAX) {
        trace_ports[trace_port_count].port_be16 = port_be16;
        trace_ports[trace_port_count].type = diff_slots[slot].type;
        trace_ports[trace_port_count].slot = slot;
        trace_ports[trace_port_count++].made = diff_made[slot];
    }
}

void diff_say_addr(const SOCKADDR_IN *in, int bytes)
{
    uint32_t ip = ntohl(in->sin_addr.s_addr);
    if (ip == diff_own) {
        ip = INADDR_LOOPBACK;
    }
    diff_say(" %d:family%d %u.%u.%u.%u:", bytes, in->sin_family, ip >> 24, ip >> 16 & 0xff,
             ip >> 8 & 0xff, ip & 0xff);
    int at = port_find(in->sin_port, trace_type);
    if (in->sin_port == 0) {
        diff_say("0");
    } else if (at < 0) {
        diff_say("unknown-port");
    } else {
        diff_say("P%u.%u", trace_ports[at].slot, trace_ports[at].made);
    }
}

void diff_say_bytes(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < bytes; i++) {
        sum = (sum ^ at[i]) * 16777619u;
    }
    diff_say(" bytes=%u sum=%08x", (unsigned)bytes, sum);
}
