/*
 * The marker that the system-call proof looks for in a trace: opening a file that does not exist.
 * Plain C, so the native program and the Windows program (under Wine, where the path reaches the
 * kernel in the same thread) leave the same trace.
 */
#ifndef RINGSOCK_TESTS_PROGRAMS_SPIN_CALLS_H
#define RINGSOCK_TESTS_PROGRAMS_SPIN_CALLS_H

#include <stdio.h>

/* START and BEGIN follow each other at once: the calls in between belong to the marker itself. */
#define SPIN_CALLS_START "ringsock-marker-start"
#define SPIN_CALLS_BEGIN "ringsock-marker-begin"
#define SPIN_CALLS_END   "ringsock-marker-finis"

static inline void spin_calls_mark(const char *name)
{
    FILE *none = fopen(name, "r");
    if (none != NULL) {
        (void)fclose(none);
    }
}

#endif
