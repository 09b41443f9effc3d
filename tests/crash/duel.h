/*
 * What the processes of a duel share: a mortal, which has connections in some phase of their life
 * and is killed, and a survivor, which has the other ends and says how each of them ended.
 */
#ifndef RINGSOCK_TESTS_CRASH_DUEL_H
#define RINGSOCK_TESTS_CRASH_DUEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rings/addr.h"

#define DUEL_CONNECTIONS 12u
#define DUEL_BACKLOG     8u

/* Where the mortal is when it is killed, unless it is killed before it comes there. */
enum duel_phase {
    DUEL_CONNECTING,       /* opens and closes connections as fast as it can */
    DUEL_IDLE,             /* established, blocked in a receive */
    DUEL_TRANSFER,         /* as much as possible both ways */
    DUEL_HALF_BY_MORTAL,   /* has shut its side, receives */
    DUEL_HALF_BY_SURVIVOR, /* the survivor has shut its side, the mortal sends */
    DUEL_BOTH_SHUT,        /* each has shut its side, nothing is closed */
    DUEL_LISTENING,        /* a full backlog that nobody accepts */
    DUEL_ACCEPTING,        /* blocked in accept, or just out of it */
    DUEL_URGENT,           /* urgent bytes among the others */
    DUEL_LINGER,           /* blocked in a close that lingers; the survivor does not read */
    DUEL_ORPHAN,           /* closed with data under way; the survivor reads only afterwards */
    DUEL_ABORT,            /* closed with linger 0 */
    DUEL_PHASES
};

/* The stream of the mortal: this, then bytes that follow from round, index and place. */
struct duel_header {
    uint32_t round, idx;
};

struct duel_side {
    _Atomic uint32_t sent_bytes; /* taken by send, header included */
    _Atomic uint32_t closed;     /* close without abort has returned */
};

struct duel {
    uint32_t number; /* of the slot: chooses the ports */
    struct rs_addr survivor_at, mortal_at;
    /* The slot's process, before it starts the round. */
    enum duel_phase phase;
    uint64_t seed;
    _Atomic uint32_t round;  /* the survivor plays when it changes; 0: none yet */
    _Atomic uint32_t ready;  /* the mortal has come to its phase */
    _Atomic uint32_t killed; /* and reaped */
    _Atomic uint32_t played; /* the round that the survivor has finished */
    _Atomic uint32_t stop;
    struct duel_side side[DUEL_CONNECTIONS];
    /* What the survivor saw, in all rounds. */
    _Atomic uint32_t resets, ends, refused,
        whole; /* connections; whole: of closed ones, all came */
};

static inline uint8_t duel_byte(uint32_t round, uint32_t idx, uint32_t place)
{
    return (uint8_t)(place * 131 + (place >> 9) * 29 + round * 7 + idx);
}

/* The first bytes of the stream (header and pattern) or any later part. */
void duel_fill(uint8_t *out, uint32_t round, uint32_t idx, uint32_t from, uint32_t bytes);
bool duel_same(const uint8_t *data, uint32_t round, uint32_t idx, uint32_t from, uint32_t bytes);
/* Listens on a port that a killed program listened on. */
bool duel_listens(struct duel *duel);

/* Entries for rig_fork; arg: struct duel. The mortal ends only when it is killed. The survivor ends
 * at `stop` with 0, or says what it saw and ends with 1. */
int duel_mortal_run(void *arg);
int duel_survivor_run(void *arg);
/* The survivor's ends are the kernel's, in that network namespace. */
extern const char *duel_kernel_namespace;

#endif
