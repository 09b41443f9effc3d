/*
 * A second program beside a bench or test: started with its standard output in a pipe, told to end,
 * waited for with a bound. Two implementations, chosen in CMake: process_posix.c, process_win32.c.
 * Main thread.
 */
#ifndef RINGSOCK_BENCH_PROCESS_H
#define RINGSOCK_BENCH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process {
    intptr_t handle; /* pid or process handle; -1: none */
    intptr_t output; /* our end of the pipe; -1: none */
};

/* argv ends with NULL; argv[0] is a path. False: error holds why. */
bool process_start(const char *const *argv, struct process *out, char *error, size_t error_bytes);
/* Waits at most timeout_ms for the first line of output that begins with `word`. False: it ended,
 * or the time passed. */
bool process_wait_line(struct process *process, const char *word, uint32_t timeout_ms);
/* The same; the number behind the word is left in *out. */
bool process_wait_number(struct process *process, const char *word, uint32_t timeout_ms,
                         uint32_t *out);
/* Asks it to end, then makes it end after 2 s, and releases it. Returns its exit status, -1 when it
 * had to be made to or was ended by a signal. Harmless on one that was never started. */
int process_stop(struct process *process);
uint32_t process_id(const struct process *process);
/* False: it has ended. process_stop is still due. */
bool process_alive(const struct process *process);
/* Directory part of path with its separator, or "". */
void process_directory(const char *path, char *out, size_t out_bytes);

/* Where short-lived files go, with its separator. */
void process_temp_directory(char *out, size_t out_bytes);
/* False where a program without a console of its own cannot be asked to end (Wine): its exit status
 * then says nothing. */
bool process_stop_is_graceful(void);

#endif
