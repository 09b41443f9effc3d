/* The tests of provider/client that pass on any dataplane; run by a program that links a
 * client_rig_*.c. */
#ifndef RINGSOCK_TESTS_SUPPORT_CLIENT_CASES_H
#define RINGSOCK_TESTS_SUPPORT_CLIENT_CASES_H

/* Runs them under cmocka; returns the number that failed. */
int client_cases_sockets(void); /* client_cases_sockets.c: one thread */
int client_cases_threads(void); /* client_cases_threads.c: several */
int client_cases_watch(void);   /* client_cases_watch.c: the watch */
int client_cases_spin(void); /* client_cases_spin.c: spin policies; wraps os_event_wait, os_yield */
/* Stream sockets; also link client_stream_kit.c. */
int client_cases_stream(void);      /* client_cases_stream.c: one thread: connecting, bytes */
int client_cases_stream_ends(void); /* client_cases_stream_ends.c: ends, options, urgent data */
int client_cases_stream_reuse(
    void); /* client_cases_stream_reuse.c: accepted into a socket, used again */
int client_cases_stream_threads(void); /* client_cases_stream_threads.c: several */

#endif
