/*
 * Every call that can wait, each as a row: what it needs, and what its page says when it ends
 * before its time. Files with cases register one case for each row and way to end (ends_add).
 */
#ifndef RINGSOCK_TESTS_SPI_ENDS_KIT_H
#define RINGSOCK_TESTS_SPI_ENDS_KIT_H

#include "tests/spi/stream_kit.h"

/* A call that is not ended by it: it goes on waiting. */
#define ENDS_NOT (-1)

struct ends_row {
    const char *function, *what;
    /* Sockets, and the call that will wait on call->s. */
    void (*make)(struct stream_call *call);
    /* 0: returns without an error */
    int closed, cleaned, cancelled, shut, down;
    int late; /* of a call that finds its socket closed; 0: WSAENOTSOCK */
};

/* A case for each row: the function, and the rule "what, how". context is the row. */
void ends_add(const struct ends_row *rows, unsigned count, const char *how, spi_case_run run);
#define ENDS_ROW ((const struct ends_row *)spi_case_context)
extern const struct ends_row ends_rows[];
extern const unsigned ends_row_count;

/* Fails unless the call comes back with this error. Its socket is closed: or with the error of a
 * call that began too late to wait. */
void ends_with(struct stream_call *call, const struct ends_row *row, int expected);
bool ends_late(const struct ends_row *row, int error);

#endif
