/*
 * CHECK: for tests that are plain programs. Says what was wrong and where, and ends the program
 * with status 1.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_CHECK_H
#define RINGSOCK_TESTS_SUPPORT_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

#endif
