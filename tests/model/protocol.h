/*
 * The state of the attach-and-end model (protocol.c): one place for a session, two queues, the
 * control thread, a client with two threads, one socket index, two channel indices. README.md says
 * which code each step stands for. Shared by protocol_client.c, protocol_queue.c and
 * protocol_control.c.
 */
#ifndef RINGSOCK_TESTS_MODEL_PROTOCOL_H
#define RINGSOCK_TESTS_MODEL_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

enum { QUEUES = 2, CHANNELS = 2, THREADS = 2, SLOTS = 2, MESSAGES = 2, OUT = 5 };
enum { NOBODY = 0xff, NO_CHANNEL = 0xff };

/* Each takes one rule of the protocol out. */
enum mutant {
    RIGHT,
    FREE_AT_FIRST_ANSWER,  /* the session is freed when one queue has answered its end */
    FREE_UNDER_CLIENT,     /* the session is freed when its queues have, the client lives */
    END_TWICE,             /* a session that is ending is told to end again */
    END_WITH_PENDING,      /* a queue answers the end while requests are with the control thread */
    END_UNDRAINED,         /* a queue answers the end with published posts unread */
    END_KEEPS_PART,        /* a queue answers the end with a part of a socket still in its tables */
    END_BEFORE_OWED,       /* a queue answers the end before the answers it owes */
    PART_ADD_AFTER_END,    /* a bind goes on to queues that were told to end */
    PART_REMOVE_AFTER_END, /* a queue that was told to end is told to remove a part */
    FREE_WITH_PART,        /* a socket is freed at home's close, parts elsewhere or not */
    MESSAGE_BY_POINTER,    /* a message between queues is followed without a look at the table */
    MESSAGE_WITHOUT_ID,    /* a message between queues names the session's place only */
    CHANNEL_FREED_AT_CLOSE, /* a channel is free when its close was asked for */
    CHANNEL_WITH_PENDING,   /* a channel is let go while an answer for it is to come */
    CHANNEL_UNDRAINED,      /* a channel is let go with published posts unread */
    GENERATION_KEPT,        /* a socket index is used again with the same generation */
    CLOSE_DURING_BIND,      /* a close overtakes the answer to a bind */
    OPENING_AT_CLOSE,       /* a socket takes a refused close for proof that posts are consumed */
    REQUEST_AT_PART,        /* a request is taken on a queue that is not the socket's home */
    MOVE_WITHOUT_WAIT,      /* a socket posts to another channel at once */
    CLOSE_UNANSWERED,       /* the end of a session leaves a channel's close unanswered */
    CLOSE_TWICE,            /* a channel's close is not checked against what is open */
    BIND_TWICE,             /* a second bind goes on while the first is under way, or done */
    GENERATION_UNCHECKED,   /* a request's generation is not compared with the socket's */
    ANSWER_BLOCKS, /* a queue takes no message while it has no room for an answer it owes */
    MUTANTS
};

enum message_kind {
    M_NONE,
    M_SESSION_ADD,
    M_CHANNEL_ADD,
    M_CHANNEL_REMOVE,
    M_SESSION_END,
    M_OPENED,
    M_BOUND,
    M_CLOSED,
    M_PART_ADD,
    M_PART_REMOVE,
    M_OPEN,
    M_BIND,
    M_CLOSE,
    M_PART_DONE,
    M_PART_FAILED,
    M_PART_REMOVED,
    M_CHANNEL_REMOVED,
    M_SESSION_ENDED,
    M_POISONED,
    M_HINT,
    M_SEND
};

/* who: the thread whose reply cell is named, NOBODY: none. */
struct message {
    uint8_t kind, session, channel, generation, who, to;
};

struct message_ring {
    uint8_t count;
    struct message slots[MESSAGES];
};

enum request_kind { R_NONE, R_OPEN, R_BIND, R_DATA, R_CLOSE, R_NOP };

struct request {
    uint8_t kind, generation, who;
    uint8_t life, number; /* of the socket it was meant for, and which of its data: only checked */
};

struct request_ring {
    uint8_t count;
    struct request slots[SLOTS];
};

enum client_state { C_NONE, C_ATTACHING, C_LIVE, C_GONE /* and the OS has not said so yet */ };
enum session_state { S_FREE, S_LIVE, S_ENDING, S_ENDED };
enum answer { A_NONE, A_OK, A_FAILED };

struct thread {
    uint8_t step; /* protocol_client.c */
    uint8_t channel, queue;
    uint8_t reply;      /* enum answer: what its reply cell shows */
    uint8_t generation; /* of the socket it knows */
    uint8_t life;       /* which one that is, whatever its generation: only checked */
};

struct queue {
    uint8_t session; /* id of the session whose part this queue has; 0: none */
    uint8_t ending, poisoned, tell_poison;
    uint8_t polled;                        /* a bit for each channel */
    uint8_t removing;                      /* likewise */
    uint8_t socket;                        /* generation of the socket in its tables; 0: none */
    uint8_t with_control;                  /* the socket's bind is with the control thread */
    uint8_t bound;                         /* at home: it has its rings */
    uint8_t pending, pending_of[CHANNELS]; /* requests that are with the control thread */
    uint8_t owes; /* PART_DONE, PART_FAILED or PART_REMOVED for which there was no room */
    uint8_t owes_generation;
    struct message_ring from_control, to_control, from_queue;
};

struct state {
    /* client */
    uint8_t client, client_session, sessions_made;
    uint8_t rounds; /* sockets opened and closed */
    uint8_t bound;  /* the newest socket: thread 1 may use it */
    uint8_t words;  /* a hostile client: what it may still write or ask */

    struct thread threads[THREADS];
    uint8_t connection, connection_arg, connection_who; /* a request under way: enum message_kind */
    uint8_t connection_taken, connection_answer;
    uint8_t openings[CHANNELS];           /* client_channel.openings */
    uint8_t place_channel, place_opening; /* where the socket posted last */
    uint8_t posted, taken;                /* data of the socket now open: their order is checked */
    uint8_t arrivals;                     /* datagrams for the socket's part on queue 1 to come */
    /* session memory */
    uint8_t memory; /* id of the session that it belongs to; 0: not mapped */
    uint8_t header_poisoned, garbage;
    struct request_ring rings[CHANNELS];
    /* control thread */
    uint8_t session, client_gone, queues_left;
    uint8_t channel_used, channel_queue[CHANNELS], channel_closing;
    uint8_t generation; /* the index's newest */
    uint8_t life;       /* sockets that had the index: only checked */

    uint8_t socket;       /* generation of the socket that has the index; 0: free */
    uint8_t home_closed;  /* home is out of it */
    uint8_t parts;        /* a bit for each queue that has a part */
    uint8_t step_binding; /* a bind waits for its other part */
    uint8_t step_channel, step_who;
    uint8_t ring_owner; /* generation of the socket that has the ring memory; 0: free */
    uint8_t out_count;  /* messages the control thread waits to push; it does nothing else then */
    struct message out[OUT];
    struct queue queues[QUEUES];
};

extern enum mutant mutant;

/* The scenario: what the client does. */
extern struct scenario {
    uint8_t sessions; /* one after the other, in the same place */
    uint8_t rounds;   /* sockets of a session, on the same index */
    uint8_t arrivals;
    uint8_t room;  /* messages that a ring between threads holds, at most MESSAGES */
    uint8_t words; /* not 0: a hostile client, and how much it writes and asks */
    bool narrow;   /* a hostile client uses one channel and one generation only */
    bool second_thread, dies, breaks, stops;

} scenario;

/* protocol.c */
bool ring_push(struct message_ring *ring, struct message message);
struct message ring_pop(struct message_ring *ring);
/* Whoever touches the session's memory by a pointer. */
void touch_session(const struct state *state, uint8_t session);

/* The actions, by who takes them. */
bool client_attach(void *state, uint32_t variant);
bool client_thread_step(void *state, uint32_t variant);
bool client_fails(void *state, uint32_t variant);
bool client_scribble(void *state, uint32_t variant);
bool client_ask_anything(void *state, uint32_t variant);
bool client_break(void *state, uint32_t variant);
bool client_die(void *state, uint32_t variant);
bool client_leave(void *state, uint32_t variant);
/* A thread waits for something of the dataplane. */
bool client_waits(const struct state *state);

bool queue_take_message(void *state, uint32_t variant);
bool queue_take_queue_message(void *state, uint32_t variant);
bool queue_poll_channel(void *state, uint32_t variant);
bool queue_poison(void *state, uint32_t variant);
bool queue_pay(void *state, uint32_t variant);
bool queue_channel_remove(void *state, uint32_t variant);
bool queue_session_end(void *state, uint32_t variant);
bool queue_arrival(void *state, uint32_t variant);

bool control_push(void *state, uint32_t variant);
bool control_accept(void *state, uint32_t variant);
bool control_connection(void *state, uint32_t variant);
bool control_stop(void *state, uint32_t variant);
bool control_gone(void *state, uint32_t variant);
bool control_message(void *state, uint32_t variant);

#endif
