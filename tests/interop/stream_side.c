/*
 * The Ringsock side of the stream interop tests: a program on stream_net.h that does what the lines
 * on its standard input say, one after the other, and answers each with a line. stream_kernel,
 * which has the kernel's sockets and the cases, starts it. The same source runs natively and as a
 * Windows program under Wine. One thread. Instance by RINGSOCK_INSTANCE.
 *
 * Answers: "ok ...", or "error ..." where the network did what the command does not expect.
 */
#include "tests/interop/stream_side.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rings/os/os.h"
#include "tests/interop/stream_pattern.h"

#define MS_PER_S   1000u
#define WORDS      12u
#define FILL_MS    300u /* no room for so long: the way is full */
#define ROUND_MS   100u
#define LINE_BYTES 512u

static struct side_socket sockets[SIDE_SOCKETS];

/* ---- what commands share ---- */

void side_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
    (void)fflush(stdout);
}

void side_say_failed(const char *what)
{
    side_say("error %s: %s", what, net_error());
}

uint64_t side_now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

bool side_check(const uint8_t *data, uint64_t place, uint32_t bytes)
{
    const uint8_t *wanted = stream_pattern(STREAM_FROM_KERNEL + place);
    if (memcmp(data, wanted, bytes) == 0) {
        return true;
    }
    uint32_t i = 0;
    while (data[i] == wanted[i]) {
        i++;
    }
    side_say("error byte %llu of the stream is %u, not %u", (unsigned long long)place + i, data[i],
             wanted[i]);
    return false;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static uint64_t deadline_ms(const char *seconds)
{
    return side_now_ms() + number(seconds) * MS_PER_S;
}

/* Waits a little for that socket. */
static bool round_wait(const struct side_socket *side, uint32_t want)
{
    struct net_item item = {.socket = side->socket, .want = want};
    if (net_wait(&item, 1, ROUND_MS) != NET_OK) {
        side_say_failed("select");
        return false;
    }
    return true;
}

/* Says so when the time has passed. */
static bool in_time(uint64_t until_ms, const char *waited_for)
{
    if (side_now_ms() < until_ms) {
        return true;
    }
    side_say("error waited in vain for %s", waited_for);
    return false;
}

/* ---- sockets ---- */

static const char *const option_names[NET_OPTIONS] = {
    [NET_BLOCKING] = "blocking",       [NET_RECV_BYTES] = "recv_bytes",
    [NET_SEND_BYTES] = "send_bytes",   [NET_NODELAY] = "nodelay",
    [NET_LINGER_S] = "linger_s",       [NET_KEEPALIVE] = "keepalive",
    [NET_KEEP_IDLE_S] = "keep_idle_s", [NET_KEEP_INTERVAL_S] = "keep_interval_s",
    [NET_KEEP_COUNT] = "keep_count",   [NET_USER_TIMEOUT_MS] = "user_timeout_ms",
    [NET_OOB_INLINE] = "oob_inline"};

/* "name=value" */
static bool set_option(struct side_socket *side, const char *text)
{
    const char *value = strchr(text, '=');
    for (uint32_t i = 0; value != NULL && i < NET_OPTIONS; i++) {
        if (strncmp(option_names[i], text, (size_t)(value - text)) == 0 &&
            option_names[i][value - text] == '\0') {
            if (net_set(side->socket, (enum net_option)i, (uint32_t)number(value + 1)) == NET_OK) {
                return true;
            }
            side_say_failed(text);
            return false;
        }
    }
    side_say("error no such option: %s", text);
    return false;
}

static void do_socket(struct side_socket *side, char **words, uint32_t count)
{
    *side = (struct side_socket){.socket = net_socket_new()};
    if (side->socket == NULL) {
        side_say_failed("socket");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!set_option(side, words[i])) {
            return;
        }
    }
    side_say("ok");
}

static void do_set(struct side_socket *side, char **words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!set_option(side, words[i])) {
            return;
        }
    }
    side_say("ok");
}

static void do_bind(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    if (net_bind(side->socket, (uint16_t)number(words[0])) != NET_OK) {
        side_say_failed("bind");
        return;
    }
    side_say("ok");
}

static uint32_t parse_ipv4(const char *text)
{
    uint8_t octets[4] = {0};
    uint32_t address_be32;
    char *rest = NULL;
    for (uint32_t i = 0; i < 4; i++) {
        octets[i] = (uint8_t)strtoul(text, &rest, 10);
        text = rest + (*rest == '.');
    }
    memcpy(&address_be32, octets, sizeof(address_be32));
    return address_be32;
}

/* IP PORT SECONDS: ok and the milliseconds it took, or the error's name. */
static void do_connect(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t start_ms = side_now_ms();
    const uint64_t until_ms = deadline_ms(words[2]);
    int result = net_connect(side->socket, parse_ipv4(words[0]), (uint16_t)number(words[1]));
    struct net_item item = {.socket = side->socket, .want = NET_WRITE | NET_EXCEPT};
    if (result == NET_WAIT) {
        while (item.ready == 0) {
            if (!in_time(until_ms, "the connect") || net_wait(&item, 1, ROUND_MS) == NET_FAILED) {
                return;
            }
        }
        result = net_connect_result(side->socket);
        if (result == NET_OK && (item.ready & NET_EXCEPT) != 0) {
            side_say("error a failed connect without a reason");
            return;
        }
    }
    if (result == NET_OK) {
        side_say("ok %llu", (unsigned long long)(side_now_ms() - start_ms));
    } else {
        side_say_failed("connect");
    }
}

static void do_listen(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    if (net_listen(side->socket, (uint32_t)number(words[0])) != NET_OK) {
        side_say_failed("listen");
        return;
    }
    side_say("ok");
}

/* LISTENER SECONDS */
static void do_accept(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const struct side_socket *listener = &sockets[number(words[0]) % SIDE_SOCKETS];
    const uint64_t until_ms = deadline_ms(words[1]);
    *side = (struct side_socket){0};
    int result;
    while ((result = net_accept(listener->socket, &side->socket)) == NET_WAIT) {
        if (!in_time(until_ms, "a connection") || !round_wait(listener, NET_READ)) {
            return;
        }
    }
    if (result == NET_OK) {
        side_say("ok");
    } else {
        side_say_failed("accept");
    }
}

static void do_port(struct side_socket *side, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    int port = net_local_port(side->socket);
    if (port < 0) {
        side_say_failed("getsockname");
    } else {
        side_say("ok %d", port);
    }
}

static void do_shutdown(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    if (net_shutdown(side->socket, (uint32_t)number(words[0])) != NET_OK) {
        side_say_failed("shutdown");
        return;
    }
    side_say("ok");
}

static void do_close(struct side_socket *side, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    if (net_socket_close(side->socket) != NET_OK) {
        side_say_failed("closesocket");
    } else {
        side_say("ok");
    }
    side->socket = NULL;
}

/* ---- data ---- */

/* One call each; false: said so. *moved: something went. */
static bool send_some(struct side_socket *side, uint64_t until_bytes, bool *moved)
{
    const uint64_t place = side->sent_bytes;
    int sent =
        net_send(side->socket, stream_pattern(place), stream_piece(place, until_bytes), false);
    if (sent == NET_FAILED) {
        side_say_failed("send");
        return false;
    }
    *moved |= sent > 0;
    side->sent_bytes += sent > 0 ? (uint64_t)sent : 0;
    return true;
}

static bool recv_some(struct side_socket *side, uint64_t until_bytes, bool *moved)
{
    static uint8_t data[STREAM_PIECE_BYTES];
    const uint64_t place = side->received_bytes;
    int got = net_recv(side->socket, data, stream_piece(place, until_bytes), false);
    if (got == NET_FAILED || got == 0) {
        if (got == 0) {
            side_say("error the stream ended after %llu bytes", (unsigned long long)place);
        } else {
            side_say_failed("recv");
        }
        return false;
    }
    if (got > 0) {
        *moved = true;
        side->received_bytes += (uint64_t)got;
        return side_check(data, place, (uint32_t)got);
    }
    return true;
}

/* OUT IN SECONDS: so many bytes more in each direction, all of them right. */
static void do_transfer(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t sent_bytes = side->sent_bytes + number(words[0]);
    const uint64_t received_bytes = side->received_bytes + number(words[1]);
    const uint64_t until_ms = deadline_ms(words[2]);
    while (side->sent_bytes < sent_bytes || side->received_bytes < received_bytes) {
        bool moved = false;
        if ((side->sent_bytes < sent_bytes && !send_some(side, sent_bytes, &moved)) ||
            (side->received_bytes < received_bytes && !recv_some(side, received_bytes, &moved)) ||
            !in_time(until_ms, "the transfer's end")) {
            return;
        }
        if (!moved &&
            !round_wait(side, (side->sent_bytes < sent_bytes ? NET_WRITE : 0) |
                                  (side->received_bytes < received_bytes ? NET_READ : 0))) {
            return;
        }
    }
    side_say("ok");
}

/* SECONDS: sends for so long, what goes. Ok, the bytes. */
static void do_stream(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t until_ms = deadline_ms(words[0]);
    const uint64_t start_bytes = side->sent_bytes;
    while (side_now_ms() < until_ms) {
        bool moved = false;
        if (!send_some(side, UINT64_MAX, &moved) || (!moved && !round_wait(side, NET_WRITE))) {
            return;
        }
    }
    side_say("ok %llu", (unsigned long long)(side->sent_bytes - start_bytes));
}

/* SECONDS: sends until nothing goes any more. Ok, the bytes. */
static void do_fill(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t until_ms = deadline_ms(words[0]);
    const uint64_t start_bytes = side->sent_bytes;
    uint64_t moved_ms = side_now_ms();
    while (side_now_ms() - moved_ms < FILL_MS) {
        bool moved = false;
        if (!send_some(side, UINT64_MAX, &moved) || (!moved && !round_wait(side, NET_WRITE)) ||
            !in_time(until_ms, "the way to be full")) {
            return;
        }
        moved_ms = moved ? side_now_ms() : moved_ms;
    }
    side_say("ok %llu", (unsigned long long)(side->sent_bytes - start_bytes));
}

/* Reads on until the stream is over; the last call's result, or NET_WAIT: said so. */
static int read_out(struct side_socket *side, uint64_t until_ms, const char *waited_for)
{
    static uint8_t data[STREAM_PIECE_BYTES];
    int got;
    while ((got = net_recv(side->socket, data, sizeof(data), false)) > 0 || got == NET_WAIT) {
        if (got > 0) {
            if (!side_check(data, side->received_bytes, (uint32_t)got)) {
                return NET_WAIT;
            }
            side->received_bytes += (uint64_t)got;
        } else if (!in_time(until_ms, waited_for) || !round_wait(side, NET_READ)) {
            return NET_WAIT;
        }
    }
    return got;
}

/* SECONDS: the peer's orderly end. Ok, the bytes read before it. */
static void do_end(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t start_bytes = side->received_bytes;
    int got = read_out(side, deadline_ms(words[0]), "the stream's end");
    if (got == 0) {
        side_say("ok %llu", (unsigned long long)(side->received_bytes - start_bytes));
    } else if (got == NET_FAILED) {
        side_say_failed("recv");
    }
}

/* SECONDS: the end by an error. Ok, its name, the bytes read before it. */
static void do_lost(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t start_bytes = side->received_bytes;
    int got = read_out(side, deadline_ms(words[0]), "the connection to be lost");
    if (got == NET_FAILED) {
        side_say("ok %s %llu", net_error(),
                 (unsigned long long)(side->received_bytes - start_bytes));
    } else if (got == 0) {
        side_say("error an orderly end");
    }
}

/* SECONDS: until there is something to read. */
static void do_readable(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t until_ms = deadline_ms(words[0]);
    struct net_item item = {.socket = side->socket, .want = NET_READ};
    while (item.ready == 0) {
        if (!in_time(until_ms, "something to read") || net_wait(&item, 1, ROUND_MS) == NET_FAILED) {
            return;
        }
    }
    side_say("ok");
}

/* What one call to send says. */
static void do_try_send(struct side_socket *side, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    int sent = net_send(side->socket, stream_pattern(side->sent_bytes), 1, false);
    side->sent_bytes += sent > 0 ? (uint64_t)sent : 0;
    side_say("ok %s", sent > 0 ? "sent" : sent == NET_WAIT ? "WSAEWOULDBLOCK" : net_error());
}

/* ---- urgent data ---- */

/* BYTE: one urgent byte. */
static void do_urgent_send(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint8_t byte = (uint8_t)number(words[0]);
    if (net_send(side->socket, &byte, 1, true) != 1) {
        side_say_failed("send of an urgent byte");
        return;
    }
    side_say("ok");
}

/* SECONDS: ok, the byte. */
static void do_urgent_recv(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    const uint64_t until_ms = deadline_ms(words[0]);
    struct net_item item = {.socket = side->socket, .want = NET_EXCEPT};
    uint8_t byte = 0;
    while ((item.ready & NET_EXCEPT) == 0) {
        if (!in_time(until_ms, "an urgent byte") || net_wait(&item, 1, ROUND_MS) == NET_FAILED) {
            return;
        }
    }
    if (net_recv(side->socket, &byte, 1, true) != 1) {
        side_say_failed("recv of an urgent byte");
        return;
    }
    side_say("ok %u", byte);
}

/* Ok, 1: no bytes lie before an urgent one. */
static void do_at_mark(struct side_socket *side, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    side_say("ok %d", net_at_mark(side->socket));
}

/* ---- many ---- */

/* COUNT AT_ONCE we_close_first all_open_first SECONDS */
static struct side_many many_words(char **words)
{
    return (struct side_many){.count = (uint32_t)number(words[0]),
                              .at_once = (uint32_t)number(words[1]),
                              .we_close_first = number(words[2]) != 0,
                              .all_open_first = number(words[3]) != 0,
                              .deadline_ms = deadline_ms(words[4])};
}

/* IP PORT and those */
static void do_many_connect(struct side_socket *side, char **words, uint32_t count)
{
    (void)side;
    (void)count;
    struct side_many many = many_words(words + 2);
    many.ip_be32 = parse_ipv4(words[0]);
    many.port = (uint16_t)number(words[1]);
    side_many_connect(&many);
}

static void do_many_accept(struct side_socket *side, char **words, uint32_t count)
{
    (void)count;
    struct side_many many = many_words(words);
    side_many_accept(side->socket, &many);
}

/* ---- the loop ---- */

/* The first word is the command, the second the socket's number; words: those behind it. */
static const struct {
    const char *name;
    uint32_t words; /* at least */
    bool makes;     /* the socket; else there must be one */
    void (*run)(struct side_socket *side, char **words, uint32_t count);
} commands[] = {{"socket", 0, true, do_socket},
                {"set", 1, false, do_set},
                {"bind", 1, false, do_bind},
                {"connect", 3, false, do_connect},
                {"listen", 1, false, do_listen},
                {"accept", 2, true, do_accept},
                {"port", 0, false, do_port},
                {"shutdown", 1, false, do_shutdown},
                {"close", 0, false, do_close},
                {"transfer", 3, false, do_transfer},
                {"stream", 1, false, do_stream},
                {"fill", 1, false, do_fill},
                {"end", 1, false, do_end},
                {"lost", 1, false, do_lost},
                {"readable", 1, false, do_readable},
                {"try_send", 0, false, do_try_send},
                {"urgent_send", 1, false, do_urgent_send},
                {"urgent_recv", 1, false, do_urgent_recv},
                {"at_mark", 0, false, do_at_mark},
                {"many_connect", 7, true, do_many_connect},
                {"many_accept", 5, false, do_many_accept}};

static void take_line(char *line)
{
    char *words[WORDS];
    uint32_t count = 0;
    for (char *word = strtok(line, " \r\n"); word != NULL && count < WORDS;
         word = strtok(NULL, " \r\n")) {
        words[count++] = word;
    }
    for (size_t i = 0; count >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct side_socket *side = &sockets[number(words[1]) % SIDE_SOCKETS];
        if (strcmp(commands[i].name, words[0]) == 0 && count - 2 >= commands[i].words &&
            commands[i].makes == (side->socket == NULL)) {
            commands[i].run(side, words + 2, count - 2);
            return;
        }
    }
    side_say("error no such command, or not now: %s", count != 0 ? words[0] : "");
}

int main(void)
{
    char line[LINE_BYTES];
    if (net_open() != NET_OK) {
        side_say_failed("attach");
        return 1;
    }
    (void)stream_pattern(0);
    side_say("ready");
    while (fgets(line, sizeof(line), stdin) != NULL) {
        take_line(line);
    }
    net_close();
    return 0;
}
