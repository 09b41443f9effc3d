/*
 * Programs of the TCP script language: connections, listeners, their rings, and what the stack
 * tells them; see tcp_script.h.
 */
/* First: it has parameters named as tcp_script.h's types. */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script_internal.h"

#define RING_BYTES  65536u
#define CONNS_MAX   8192
#define SERVERS_MAX 64

struct script_conn {
    struct tcp_conn *tcp; /* NULL: gone */
    struct script_queue *queue;
    struct tcp_text_flow *flow;
    struct script_server *server; /* that it waits in; NULL: accepted, or active */
    uint8_t *send_ring, *recv_ring;
    uint32_t send_bytes, recv_bytes;
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint32_t written;    /* position */
    uint32_t peer_start; /* of the peer's first byte, relative to the peer's ISN as lines are */
    uint32_t events;     /* that nobody expected yet */
    bool closed;         /* the program has let go of it */
};

struct script_server {
    struct tcp_listener listener;
    struct tcp_backlog backlog;
    struct script_queue *queue;
    uint32_t send_bytes, recv_bytes;
    bool no_memory;
    bool open;
};

/* Entries free in each pool of a queue's TCP. */
struct pools {
    uint32_t conns, sent, ranges, requests, time_waits;
};

static struct {
    struct script_conn *conns[CONNS_MAX];
    uint32_t conn_count;
    struct script_server *servers[SERVERS_MAX];
    uint32_t server_count;
    struct pools pools[QUEUES];
} programs;

static const char *const event_names[] = {"CONNECTED", "READABLE", "WRITABLE", "END",
                                          "URGENT",    "ERROR",    "FINISHED", "GONE"};
#define EVENT_COUNT (sizeof(event_names) / sizeof(event_names[0]))

struct tcp_conn *tcp_of(conn c)
{
    return c->tcp;
}

static struct tcp_conn *live(conn c)
{
    if (c->tcp == NULL) {
        script_fail("the connection is gone");
    }
    return c->tcp;
}

static struct tcp_text_flow *flow_of(const struct tcp_conn *tcp)
{
    return tcp_flow_between(tcp->flow.local_be32, tcp->flow.local_port_be16, tcp->flow.peer_be32,
                            tcp->flow.peer_port_be16);
}

static conn new_conn(uint32_t send_bytes, uint32_t recv_bytes)
{
    conn c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->send_bytes = send_bytes != 0 ? send_bytes : RING_BYTES;
    c->recv_bytes = recv_bytes != 0 ? recv_bytes : RING_BYTES;
    c->send_ring = malloc(c->send_bytes);
    c->recv_ring = malloc(c->recv_bytes);
    assert_non_null(c->send_ring);
    assert_non_null(c->recv_ring);
    assert_true(programs.conn_count < CONNS_MAX);
    c->queue = script.queue;
    programs.conns[programs.conn_count++] = c;
    return c;
}

static struct tcp_rings rings_of(conn c, uint32_t recv_limit_bytes)
{
    return (struct tcp_rings){
        .send_base = c->send_ring,
        .recv_base = c->recv_ring,
        .send_bytes = c->send_bytes,
        .recv_bytes = c->recv_bytes,
        .recv_limit_bytes = recv_limit_bytes != 0 ? recv_limit_bytes : c->recv_bytes,
        .send_head = &c->send_head,
        .recv_tail = &c->recv_tail,
        .recv_head = &c->recv_head,
    };
}

/* ---- upcalls ---- */

static void event_text(uint32_t events, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < EVENT_COUNT && used < size; i++) {
        if ((events & (1u << i)) != 0) {
            int written = snprintf(out + used, size - used, " %s", event_names[i]);
            used += written > 0 ? (size_t)written : 0;
        }
    }
}

static conn conn_of(const struct tcp_conn *tcp)
{
    for (uint32_t i = programs.conn_count; i > 0; i--) {
        if (programs.conns[i - 1]->tcp == tcp) {
            return programs.conns[i - 1];
        }
    }
    script_fail("an event for a connection that no program has");
}

void script_tcp_event(void *context, struct tcp_conn *tcp, uint32_t events)
{
    char text[128];
    conn c = conn_of(tcp);
    assert_ptr_equal(context, c->queue);
    event_text(events, text, sizeof(text));
    script_trace("  %s%s%s", text, (events & TCP_EVENT_ERROR) != 0 ? ": " : "",
                 (events & TCP_EVENT_ERROR) != 0 ? rs_status_name(tcp_error(tcp)) : "");
    if (events == 0 || events >= 1u << EVENT_COUNT) {
        script_fail("events 0x%x", events);
    }
    if ((events & TCP_EVENT_GONE) != 0 && !c->closed) {
        script_fail("GONE before the program has let go of the connection");
    }
    c->peer_start = tcp->irs - c->flow->peer_isn + 1;
    c->events |= events;
    if ((events & TCP_EVENT_GONE) != 0) {
        c->tcp = NULL;
    }
}

bool script_tcp_accept(void *context, struct tcp_listener *listener, struct tcp_conn *tcp,
                       struct tcp_rings *rings, void **owner)
{
    struct script_server *s = (struct script_server *)listener->owner;
    assert_ptr_equal(context, s->queue);
    if (s->no_memory) {
        script_trace("   (no memory to accept)");
        return false;
    }
    conn c = new_conn(s->send_bytes, s->recv_bytes);
    c->queue = s->queue;
    c->server = s;
    c->tcp = tcp;
    c->flow = flow_of(tcp);
    c->peer_start = tcp->irs - c->flow->peer_isn + 1;
    *rings = rings_of(c, 0);
    *owner = c;
    script_trace("   connection for port %u", rs_be16(listener->local_port_be16));
    return true;
}

/* ---- connections ---- */

conn script_connecting(const struct conn_options *options)
{
    const char *local = options->local != NULL ? options->local : "any:7000";
    const char *peer = options->peer != NULL ? options->peer : PEER ":5000";
    conn c = new_conn(options->send_bytes, options->recv_bytes);
    struct tcp_rings rings = rings_of(c, options->recv_limit_bytes);
    const struct tcp_connect_args args = {
        .local_be32 = ip_of(local),
        .local_port_be16 = port_of(local),
        .peer_be32 = ip_of(peer),
        .peer_port_be16 = port_of(peer),
        .rings = &rings,
        .settings = &options->settings,
        .owner = c,
    };
    script_trace("connect %s to %s", local, peer);
    enum rs_status status = tcp_connect(c->queue->stack, &args, &c->tcp);
    if (status == RS_OK) {
        c->flow = flow_of(c->tcp);
        tcp_flow_forget(c->flow);
        tcp_flow_select(c->flow);
        assert_ptr_equal(tcp_owner(c->tcp), c);
    } else {
        c->tcp = NULL;
        c->closed = true;
    }
    script_expect_status("connect", status, options->fails);
    script_settle();
    return c;
}

server script_listening(const struct server_options *options)
{
    server s = calloc(1, sizeof(*s));
    assert_non_null(s);
    assert_true(programs.server_count < SERVERS_MAX);
    programs.servers[programs.server_count++] = s;
    s->queue = script.queue;
    s->send_bytes = options->send_bytes;
    s->recv_bytes = options->recv_bytes;
    s->backlog.limit = options->backlog != 0 ? options->backlog : 16;
    s->listener.local_be32 = ip_of(options->local);
    s->listener.local_port_be16 = port_of(options->local);
    s->listener.reset_when_full = options->reset_when_full;
    s->listener.settings = options->settings;
    s->listener.backlog =
        options->part_of != NULL ? options->part_of->listener.backlog : &s->backlog;
    s->listener.recv_window_bytes = s->recv_bytes != 0 ? s->recv_bytes : RING_BYTES;
    s->listener.owner = s;
    script_expect_status("listen", tcp_listen(s->queue->stack, &s->listener), options->fails);
    s->open = options->fails == RS_OK;
    script_settle();
    return s;
}

void script_close_server(server s)
{
    script_trace("close listener of port %u", rs_be16(s->listener.local_port_be16));
    tcp_listener_close(s->queue->stack, &s->listener);
    s->open = false;
    script_settle();
}

static conn first_waiting(server s)
{
    for (uint32_t i = 0; i < programs.conn_count; i++) {
        if (programs.conns[i]->server == s) {
            return programs.conns[i];
        }
    }
    return NULL;
}

conn script_accepted(server s)
{
    conn c = first_waiting(s);
    if (c == NULL) {
        script_fail("no connection to accept");
    }
    script_trace("accept");
    c->server = NULL;
    tcp_backlog_release(s->listener.backlog);
    tcp_flow_select(c->flow);
    return c;
}

void script_expect_no_accept(server s)
{
    if (first_waiting(s) != NULL) {
        script_fail("there is a connection to accept");
    }
}

void script_accept_memory(server s, bool is)
{
    s->no_memory = !is;
}

/* ---- data ---- */

uint32_t script_write(conn c, uint32_t bytes, bool urgent, enum rs_status status)
{
    uint32_t room = c->send_bytes - (c->written - atomic_load(&c->send_head));
    uint32_t fits = bytes < room ? bytes : room;
    for (uint32_t i = 0; i < fits; i++) {
        c->send_ring[(c->written + i) & (c->send_bytes - 1)] = tcp_pattern_own(c->written + i);
    }
    script_trace("write %u bytes%s%s", fits, fits < bytes ? ", no more fit" : "",
                 urgent ? ", urgent" : "");
    uint32_t tail = c->written + fits;
    enum rs_status got = urgent ? tcp_send_urgent(c->queue->stack, live(c), tail)
                                : tcp_send_tail(c->queue->stack, live(c), tail);
    script_expect_status("write", got, status);
    c->written = got == RS_OK ? tail : c->written;
    script_settle();
    return fits;
}

void script_expect_readable(conn c, uint32_t bytes)
{
    script_expect_number("readable bytes", atomic_load(&c->recv_tail) - atomic_load(&c->recv_head),
                         bytes);
}

void script_expect_acked(conn c, uint32_t bytes)
{
    script_expect_number("send_head", atomic_load(&c->send_head), bytes);
}

void script_read(conn c, uint32_t bytes)
{
    uint32_t head = atomic_load(&c->recv_head);
    uint32_t ready = atomic_load(&c->recv_tail) - head;
    script_trace("read %u bytes of %u", bytes, ready);
    if (ready < bytes) {
        script_fail("%u bytes are readable, expected %u at least", ready, bytes);
    }
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t got = c->recv_ring[(head + i) & (c->recv_bytes - 1)];
        uint8_t want = tcp_pattern_peer(c->peer_start + head + i);
        if (got != want) {
            script_fail("byte %u received is 0x%02x, not 0x%02x", c->peer_start + head + i, got,
                        want);
        }
    }
    atomic_store(&c->recv_head, head + bytes);
    if (c->tcp != NULL) {
        script_expect_status("consumed", tcp_recv_consumed(c->queue->stack, c->tcp), RS_OK);
    }
    script_settle();
}

/* ---- ends and settings ---- */

void script_shutdown_send(conn c, enum rs_status status)
{
    script_expect_status("shut down sending", tcp_shutdown_send(c->queue->stack, live(c)), status);
    script_settle();
}

void script_shutdown_recv(conn c)
{
    script_trace("shut down receiving");
    tcp_shutdown_recv(c->queue->stack, live(c));
    script_settle();
}

void script_close_conn(conn c, uint64_t linger_ms)
{
    script_trace("close, linger %llu ms", (unsigned long long)linger_ms);
    c->closed = true;
    tcp_close(c->queue->stack, live(c), linger_ms * MS);
    script_settle();
}

void script_abort(conn c)
{
    script_trace("abort");
    c->closed = true;
    tcp_abort(c->queue->stack, live(c));
    script_settle();
}

void script_set_settings(conn c, const struct tcp_settings *settings)
{
    script_trace("set settings");
    tcp_set_settings(c->queue->stack, live(c), settings);
    script_settle();
}

void script_set_recv_limit(conn c, uint32_t bytes)
{
    script_trace("receive limit %u", bytes);
    tcp_set_recv_limit(c->queue->stack, live(c), bytes);
    script_settle();
}

/* ---- what is expected of a connection ---- */

static uint32_t events_named(const char *names)
{
    uint32_t events = 0;
    for (const char *at = names; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        size_t i = 0;
        while (i < EVENT_COUNT &&
               (strlen(event_names[i]) != len || strncmp(at, event_names[i], len) != 0)) {
            i++;
        }
        if (i == EVENT_COUNT) {
            script_fail("no event: \"%s\"", at);
        }
        events |= 1u << i;
    }
    return events;
}

void script_expect_event(conn c, const char *names)
{
    uint32_t events = events_named(names);
    if ((c->events & events) != events) {
        char got[128];
        event_text(c->events, got, sizeof(got));
        script_fail("expected events %s, got%s", names, got);
    }
    c->events &= ~events;
}

void script_expect_no_event(conn c, const char *names)
{
    if ((c->events & events_named(names)) != 0) {
        char got[128];
        event_text(c->events, got, sizeof(got));
        script_fail("expected no event of %s, got%s", names, got);
    }
}

void script_tcp_expect_error(conn c, enum rs_status status)
{
    script_expect_event(c, "ERROR");
    enum rs_status got = tcp_error(live(c));
    if (got != status) {
        script_fail("over with %s, expected %s", rs_status_name(got), rs_status_name(status));
    }
}

static enum tcp_state flow_state(const struct tcp_text_flow *flow)
{
    const struct tcp_flow *found =
        tcp_flow_find(script.queue->stack, flow->own_be32, flow->own_port_be16, flow->peer_be32,
                      flow->peer_port_be16);
    return found == NULL ? TCP_CLOSED : (enum tcp_state)found->state;
}

static void compare_state(enum tcp_state got, enum tcp_state want)
{
    if (got != want) {
        script_fail("state %s, expected %s", tcp_state_name(got), tcp_state_name(want));
    }
}

void script_expect_state(conn c, enum tcp_state state)
{
    enum tcp_state got = c->tcp != NULL ? script_info(c).state : TCP_CLOSED;
    if (got == TCP_TIME_WAIT || (got == TCP_CLOSED && state == TCP_TIME_WAIT)) {
        got = flow_state(c->flow); /* the pair waits on its own */
    }
    compare_state(got, state);
}

void script_expect_flow_state(enum tcp_state state)
{
    compare_state(flow_state(tcp_flow_selected()), state);
}

struct tcp_info script_info(conn c)
{
    struct tcp_info info;
    memset(&info, 0xa5, sizeof(info));
    tcp_get_info(c->queue->stack, live(c), &info);
    return info;
}

void script_expect_number(const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        script_fail("%s is %llu, expected %llu", what, (unsigned long long)got,
                    (unsigned long long)want);
    }
}

void script_on_conn(conn c)
{
    tcp_flow_select(c->flow);
}

uint32_t own_isn(conn c)
{
    return c->flow->own_isn;
}

/* ---- what is lost at the end ---- */

static struct pools count_pools(const struct stack *stack)
{
    const struct tcp_stack *tcp = &stack->tcp;
    struct pools pools = {.conns = tcp->config.connections_max - tcp->conns_used,
                          .sent = tcp->sent_free_count,
                          .time_waits = tcp->time_wait_count};
    for (const struct tcp_conn *at = tcp->conn_free; at != NULL; at = at->free_next) {
        pools.conns++;
    }
    for (uint32_t at = tcp->ranges != NULL ? tcp->range_free : TCP_NO_INDEX; at != TCP_NO_INDEX;
         at = tcp->ranges[at].next) {
        pools.ranges++;
    }
    for (const struct tcp_request *at = tcp->request_free; at != NULL; at = at->next) {
        pools.requests++;
    }
    for (const struct tcp_time_wait *at = tcp->time_wait_free; at != NULL; at = at->next) {
        pools.time_waits++;
    }
    return pools;
}

void script_tcp_setup(void)
{
    programs.conn_count = programs.server_count = 0;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        programs.pools[i] = count_pools(script.queues[i].stack);
    }
}

static void check_pools(void)
{
    for (uint32_t i = 0; i < script.queue_count; i++) {
        const struct pools was = programs.pools[i];
        const struct pools is = count_pools(script.queues[i].stack);
        if (memcmp(&was, &is, sizeof(was)) != 0) {
            script_fail("queue %u has lost entries of a pool: connections %u of %u, segments sent "
                        "%u of %u, ranges %u of %u, half open %u of %u, TIME_WAIT %u of %u",
                        i, is.conns, was.conns, is.sent, was.sent, is.ranges, was.ranges,
                        is.requests, was.requests, is.time_waits, was.time_waits);
        }
        script_expect_number("tcp_connection_count", tcp_connection_count(script.queues[i].stack),
                             0);
    }
}

/* An orphan still waits for its peer: a right reset ends it. */
static void end_orphan(conn c)
{
    struct tcp_line line = tcp_line_parse("RA 0 ack 0 <>");
    line.seq = line.end = (int32_t)(c->tcp->rcv_nxt - c->flow->peer_isn);
    line.ack = (int32_t)(c->tcp->snd_nxt - c->flow->own_isn);
    struct frame frame = tcp_flow_frame(c->flow, &line);
    script.queue = c->queue;
    script_inject(&frame);
}

static void end_conn(conn c)
{
    if ((c->events & (TCP_EVENT_ERROR | TCP_EVENT_GONE)) != 0) {
        char text[128];
        event_text(c->events, text, sizeof(text));
        script_fail("a connection has events nobody expected:%s%s%s", text,
                    c->tcp != NULL ? ", error " : "",
                    c->tcp != NULL ? rs_status_name(tcp_error(c->tcp)) : "");
    }
    if (c->server != NULL) {
        tcp_backlog_release(c->server->listener.backlog);
        c->server = NULL;
    }
    if (c->tcp != NULL && c->closed) {
        end_orphan(c);
    } else if (c->tcp != NULL) {
        script_abort(c);
    }
    if (c->tcp != NULL) {
        script_fail("a connection that was %s is not gone: %s",
                    c->closed ? "closed and reset by its peer" : "aborted",
                    tcp_state_name((enum tcp_state)c->tcp->flow.state));
    }
}

static void end_all(void)
{
    for (uint32_t i = 0; i < programs.conn_count; i++) {
        end_conn(programs.conns[i]);
    }
    for (uint32_t i = 0; i < programs.server_count; i++) {
        server s = programs.servers[i];
        tcp_listener_close(s->queue->stack, &s->listener);
        script_settle();
        script_expect_number("places of a backlog taken", atomic_load(&s->backlog.used), 0);
    }
    check_pools();
}

void script_tcp_teardown(void)
{
    if (!script.failed) {
        end_all();
    }
    for (uint32_t i = 0; i < programs.server_count; i++) {
        free(programs.servers[i]);
    }
    for (uint32_t i = 0; i < programs.conn_count; i++) {
        conn c = programs.conns[i];
        free(c->send_ring);
        free(c->recv_ring);
        free(c);
    }
    programs.conn_count = programs.server_count = 0;
}
