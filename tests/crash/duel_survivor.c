/*
 * The program that lives on, see duel.h: takes or makes the other ends, reads and writes as the
 * phase wants it, and checks how each connection ends. What must be: bytes as they were sent, up to
 * some place; then a reset, or, of a connection that the mortal had closed before, all bytes and
 * the orderly end. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "rings/os/os.h"
#include "tests/crash/duel.h"
#include "tests/crash/duel_end.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"

#define ENDS_NS   (30 * NS_PER_S) /* for a reset or an end to come, on a loaded machine */
#define QUIET_NS  (20 * NS_PER_MS)
#define PIECE     4096u
#define NO_HEADER UINT32_MAX

struct conn {
    struct end end;
    bool connecting, over, eof;
    enum rs_status status; /* the first error; RS_OK: none */
    uint32_t got_bytes, idx;
    bool foreign; /* of the round before, whose mortal's requests were still carried out */
    uint8_t head[sizeof(struct duel_header)];
};

struct survivor {
    struct duel *duel;
    struct end listener;
    struct conn conns[DUEL_CONNECTIONS];
    uint32_t count, round;
    enum duel_phase phase;
    bool connects, writes, reads_late, shuts;
};

static const char *const phase_names[DUEL_PHASES] = {"connecting",
                                                     "idle",
                                                     "transfer",
                                                     "half-closed by the mortal",
                                                     "half-closed by the survivor",
                                                     "both shut",
                                                     "listening",
                                                     "accepting",
                                                     "urgent",
                                                     "linger",
                                                     "orphan",
                                                     "abort"};

static _Noreturn void survivor_fail(const struct survivor *survivor, const struct conn *conn,
                                    const char *what)
{
    const struct duel *duel = survivor->duel;
    fprintf(stderr, "survivor %u, round %u, seed %#llx, %s: %s\n", duel->number, survivor->round,
            (unsigned long long)duel->seed, phase_names[survivor->phase], what);
    if (conn != NULL) {
        bool known = conn->idx != NO_HEADER;
        fprintf(stderr, "  connection %d: %s%u bytes, %s, %s; sent %u, closed %u; ready %u\n",
                known ? (int)conn->idx : -1, conn->connecting ? "connecting, " : "",
                conn->got_bytes, rs_status_name(conn->status), conn->eof ? "end seen" : "no end",
                known ? duel->side[conn->idx].sent_bytes : 0,
                known ? duel->side[conn->idx].closed : 0, duel->ready);
    }
    (void)fflush(NULL);
    exit(1); /* NOLINT(concurrency-mt-unsafe) */
}

/* ---- one connection ---- */

static void conn_take(struct survivor *survivor, struct conn *conn, const uint8_t *data,
                      uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes && conn->got_bytes + i < sizeof(conn->head); i++) {
        conn->head[conn->got_bytes + i] = data[i];
        if (conn->got_bytes + i + 1 == sizeof(conn->head)) {
            struct duel_header header;
            memcpy(&header, conn->head, sizeof(header));
            conn->foreign = header.round + 1 == survivor->round;
            if ((header.round != survivor->round && !conn->foreign) ||
                header.idx >= DUEL_CONNECTIONS) {
                survivor_fail(survivor, conn, "the first bytes are not the mortal's");
            }
            conn->idx = header.idx;
        }
    }
    if (conn->idx != NO_HEADER && !conn->foreign &&
        !duel_same(data, survivor->round, conn->idx, conn->got_bytes, bytes)) {
        survivor_fail(survivor, conn, "bytes that nobody sent");
    }
    conn->got_bytes += bytes;
}

static bool conn_note(struct conn *conn, enum rs_status status)
{
    if (status == RS_WOULD_BLOCK || status == RS_OK) {
        return status == RS_OK;
    }
    conn->status = conn->status == RS_OK ? status : conn->status;
    return false;
}

static bool conn_read(struct survivor *survivor, struct conn *conn)
{
    uint8_t data[PIECE];
    size_t got = 0;
    enum rs_status status = end_read(&conn->end, data, sizeof(data), &got);
    if (!conn_note(conn, status)) {
        conn->over = status != RS_WOULD_BLOCK;
        return conn->over;
    }
    if (got == 0) {
        conn->eof = true;
        /* A reset that a write has met is all that the kernel tells; who writes waits for it. */
        conn->over = conn->status != RS_OK || !survivor->writes;
        return conn->over;
    }
    conn_take(survivor, conn, data, (uint32_t)got);
    return true;
}

static bool conn_write(struct survivor *survivor, struct conn *conn)
{
    static const uint8_t data[PIECE];
    bool urgent = survivor->phase == DUEL_URGENT && conn->got_bytes % 5 == 0;
    bool wrote = conn_note(conn, end_write(&conn->end, data, sizeof(data), urgent));
    conn->over = conn->over || (conn->eof && conn->status != RS_OK);
    return wrote;
}

/* True: something has happened. */
static bool conn_step(struct survivor *survivor, struct conn *conn)
{
    if (conn->over) {
        return false;
    }
    if (conn->connecting) {
        enum rs_status status = end_connected(&conn->end);
        conn->connecting = status == RS_WOULD_BLOCK;
        if (!conn_note(conn, status)) {
            conn->over = !conn->connecting;
            return conn->over;
        }
    }
    if (survivor->reads_late && atomic_load(&survivor->duel->killed) == 0) {
        return false;
    }
    bool moved = survivor->writes && conn->status == RS_OK && conn_write(survivor, conn);
    return (!conn->over && conn_read(survivor, conn)) || moved;
}

/* ---- how it must end ---- */

static void judge_end(const struct survivor *survivor, const struct conn *conn)
{
    const struct duel_side *side = &survivor->duel->side[conn->idx];
    uint32_t sent = atomic_load(&side->sent_bytes);
    bool all = conn->got_bytes >= sent;
    switch (survivor->phase) {
    case DUEL_CONNECTING: /* closed by itself, behind the header */
        all = conn->got_bytes == sizeof(struct duel_header);
        break;
    case DUEL_ORPHAN:
        all = atomic_load(&side->closed) != 0 ? conn->got_bytes == sent : all;
        break;
    case DUEL_BOTH_SHUT:
    case DUEL_LINGER:
        break;
    default:
        survivor_fail(survivor, conn, "an orderly end of a connection that nobody closed");
    }
    if (!all) {
        survivor_fail(survivor, conn, "an orderly end, but not of all bytes");
    }
}

static void conn_judge(const struct survivor *survivor, const struct conn *conn)
{
    struct duel *duel = survivor->duel;
    if (conn->status == RS_CONN_REFUSED && survivor->connects) {
        atomic_fetch_add(&duel->refused, 1);
        return;
    }
    if (conn->status != RS_OK && conn->status != RS_CONN_RESET) {
        survivor_fail(survivor, conn, "neither a reset nor an end");
    }
    if (conn->foreign) {
        return;
    }
    if (conn->status == RS_CONN_RESET) {
        atomic_fetch_add(&duel->resets, 1);
        if (conn->idx != NO_HEADER && atomic_load(&duel->side[conn->idx].closed) != 0) {
            survivor_fail(survivor, conn,
                          "a reset of a connection that was closed before the kill");
        }
        return;
    }
    atomic_fetch_add(&duel->ends, 1);
    if (conn->idx == NO_HEADER) {
        survivor_fail(survivor, conn, "an orderly end without a byte");
    }
    judge_end(survivor, conn);
}

/* Each connection that was closed before the kill has come whole. */
static void judge_closed(const struct survivor *survivor)
{
    struct duel *duel = survivor->duel;
    for (uint32_t i = 0; i < DUEL_CONNECTIONS; i++) {
        bool found = atomic_load(&duel->side[i].closed) == 0;
        for (uint32_t k = 0; k < survivor->count && !found; k++) {
            const struct conn *conn = &survivor->conns[k];
            found = conn->idx == i && !conn->foreign && conn->eof;
            duel->whole += found;
        }
        if (!found) {
            fprintf(stderr, "  connection %u of %u bytes\n", i, duel->side[i].sent_bytes);
            survivor_fail(survivor, NULL, "a connection closed before the kill never came");
        }
    }
}

/* ---- a round ---- */

/* A free place, or NULL. Where connections come and go, those that are over make room. */
static struct conn *survivor_place(struct survivor *survivor)
{
    bool goes = survivor->phase == DUEL_CONNECTING || survivor->phase == DUEL_ACCEPTING;
    for (uint32_t i = 0; goes && i < survivor->count; i++) {
        struct conn *conn = &survivor->conns[i];
        if (conn->over) {
            conn_judge(survivor, conn);
            end_close(&conn->end);
            *conn = survivor->conns[--survivor->count];
            break;
        }
    }
    return survivor->count < DUEL_CONNECTIONS ? &survivor->conns[survivor->count] : NULL;
}

static bool survivor_accept(struct survivor *survivor)
{
    struct end end;
    struct conn *conn = survivor_place(survivor);
    enum rs_status status = conn != NULL ? end_accept(&survivor->listener, &end) : RS_WOULD_BLOCK;
    if (status != RS_OK) {
        CHECK(status == RS_WOULD_BLOCK);
        return false;
    }
    *conn = (struct conn){.end = end, .idx = NO_HEADER};
    survivor->count++;
    if (survivor->shuts) {
        (void)conn_note(conn, end_shut(&conn->end));
    }
    return true;
}

static bool survivor_connect(struct survivor *survivor)
{
    if (atomic_load(&survivor->duel->ready) == 0 || atomic_load(&survivor->duel->killed) != 0) {
        return false;
    }
    struct conn *conn = survivor_place(survivor);
    if (conn == NULL) {
        return false;
    }
    *conn = (struct conn){.connecting = true, .idx = NO_HEADER};
    survivor->count++;
    (void)conn_note(conn, end_connect(&conn->end, &survivor->duel->mortal_at));
    conn->over = conn->status != RS_OK;
    return true;
}

static bool survivor_turn(struct survivor *survivor)
{
    bool moved = survivor->connects ? survivor_connect(survivor) : survivor_accept(survivor);
    for (uint32_t i = 0; i < survivor->count; i++) {
        moved = conn_step(survivor, &survivor->conns[i]) || moved;
    }
    return moved;
}

static void survivor_wait(struct survivor *survivor)
{
    uint64_t killed_ns = 0;
    uint64_t moved_ns = os_monotonic_ns();
    for (;;) {
        bool moved = survivor_turn(survivor);
        uint64_t now_ns = os_monotonic_ns();
        moved_ns = moved ? now_ns : moved_ns;
        if (killed_ns == 0 && atomic_load(&survivor->duel->killed) != 0) {
            killed_ns = now_ns;
            moved_ns = now_ns;
        }
        const struct conn *open = NULL;
        for (uint32_t i = 0; i < survivor->count; i++) {
            open = survivor->conns[i].over ? open : &survivor->conns[i];
        }
        if (killed_ns != 0 && open == NULL && now_ns - moved_ns > QUIET_NS) {
            return;
        }
        if (killed_ns != 0 && now_ns - killed_ns > ENDS_NS) {
            survivor_fail(survivor, open, "waited 30 s for the connection's end");
        }
        if (!moved) {
            os_sleep_ns(NS_PER_MS / 10);
        }
    }
}

static void survivor_play(struct survivor *survivor)
{
    enum duel_phase phase = survivor->duel->phase;
    survivor->phase = phase;
    survivor->count = 0;
    survivor->connects = phase == DUEL_LISTENING || phase == DUEL_ACCEPTING;
    survivor->writes =
        phase == DUEL_TRANSFER || phase == DUEL_HALF_BY_MORTAL || phase == DUEL_URGENT;
    survivor->reads_late = phase == DUEL_LINGER || phase == DUEL_ORPHAN;
    survivor->shuts = phase == DUEL_HALF_BY_SURVIVOR || phase == DUEL_BOTH_SHUT;
    survivor_wait(survivor);
    for (uint32_t i = 0; i < survivor->count; i++) {
        conn_judge(survivor, &survivor->conns[i]);
    }
    judge_closed(survivor);
    for (uint32_t i = 0; i < survivor->count; i++) {
        end_close(&survivor->conns[i].end);
    }
}

int duel_survivor_run(void *arg)
{
    static struct survivor survivor;
    survivor.duel = arg;
    end_open();
    end_listen(&survivor.listener, &survivor.duel->survivor_at);
    atomic_store(&survivor.duel->played, 0);
    while (atomic_load(&survivor.duel->stop) == 0) {
        uint32_t round = atomic_load(&survivor.duel->round);
        if (round == survivor.round) {
            os_sleep_ns(NS_PER_MS / 5);
            continue;
        }
        survivor.round = round;
        survivor_play(&survivor);
        atomic_store(&survivor.duel->played, round);
    }
    end_close(&survivor.listener);
    end_shut_down();
    return 0;
}
