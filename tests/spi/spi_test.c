/*
 * Runs the registered cases, one cmocka group per function, and prints the table function × cases ×
 * passed. An argument names the only function whose cases shall run. Which dataplane, if any, is
 * the environment's choice (RINGSOCK_INSTANCE). RINGSOCK_SPI_CASES names a file for all results
 * (spi_table.py).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/spi_test.h"

#define CASES_MAX   1200u
#define SOCKETS_MAX 512u
#define RECEIVE_MS  5000u

struct spi_case {
    const char *function, *rule;
    spi_case_run run;
    const void *context;
    bool ended; /* came to its end: not failed, not skipped */
};

struct host_provider provider;
int spi_error;
const void *spi_case_context;

static struct spi_case cases[CASES_MAX];
static unsigned case_count;
static unsigned case_next; /* cases before it have begun */
static SOCKET sockets[SOCKETS_MAX];
static unsigned socket_count;

void spi_case_add_row(const char *function, const char *rule, spi_case_run run, const void *context)
{
    if (case_count == CASES_MAX) {
        abort();
    }
    cases[case_count++] =
        (struct spi_case){.function = function, .rule = rule, .run = run, .context = context};
}

void spi_case_add(const char *function, const char *rule, spi_case_run run)
{
    spi_case_add_row(function, rule, run, NULL);
}

/* ---- sockets ---- */

void spi_keep(SOCKET s)
{
    assert_true(socket_count < SOCKETS_MAX);
    sockets[socket_count++] = s;
}

void spi_forget_all(void)
{
    socket_count = 0;
}

SOCKET spi_new_of(int type, int protocol, DWORD flags)
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, type, protocol);
    SOCKET s = TABLE->lpWSPSocket(AF_INET, type, protocol, &info, 0, flags, &spi_error);
    if (s == INVALID_SOCKET) {
        fail_msg("WSPSocket failed with error %d", spi_error);
    }
    spi_keep(s);
    return s;
}

SOCKET spi_new(DWORD flags)
{
    return spi_new_of(SOCK_DGRAM, IPPROTO_UDP, flags);
}

SOCKET spi_udp(void)
{
    SOCKET s = spi_new(WSA_FLAG_OVERLAPPED);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, RECEIVE_MS));
    return s;
}

SOCKET spi_bound(SOCKADDR_IN *at)
{
    SOCKET s = spi_udp();
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    OK(spi_bind_at(s, &any));
    if (at != NULL) {
        *at = spi_name(s);
    }
    return s;
}

SOCKADDR_IN spi_gone(void)
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    return at;
}

DWORD WINAPI spi_close_later(void *socket)
{
    int error;
    Sleep(50);
    return (DWORD)TABLE->lpWSPCloseSocket(*(SOCKET *)socket, &error);
}

void spi_forget(SOCKET s)
{
    for (unsigned i = 0; i < socket_count; i++) {
        if (sockets[i] == s) {
            sockets[i] = sockets[--socket_count];
            return;
        }
    }
}

/* cmocka runs a group's tests in their order. */
static void case_run(void **state)
{
    struct spi_case *running = &cases[case_next++];
    spi_case_context = running->context;
    running->run(state);
    running->ended = true;
}

static int case_teardown(void **state)
{
    (void)state;
    int ignored;
    while (socket_count != 0) {
        (void)TABLE->lpWSPCloseSocket(sockets[--socket_count], &ignored);
    }
    return 0;
}

/* ---- calls ---- */

SOCKADDR_IN spi_at(const char *ip, unsigned port)
{
    SOCKADDR_IN in = {.sin_family = AF_INET, .sin_port = __builtin_bswap16((uint16_t)port)};
    char *rest = (char *)(uintptr_t)ip;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        in.sin_addr.s_addr |= (uint32_t)strtoul(rest, &rest, 10) << shift;
        rest += *rest == '.';
    }
    assert_int_equal(*rest, '\0');
    return in;
}

SOCKADDR_IN spi_name(SOCKET s)
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    OK(TABLE->lpWSPGetSockName(s, (struct sockaddr *)&in, &bytes, &spi_error));
    return in;
}

int spi_bind_at(SOCKET s, const SOCKADDR_IN *at)
{
    return TABLE->lpWSPBind(s, (const struct sockaddr *)at, sizeof(*at), &spi_error);
}

int spi_connect_to(SOCKET s, const SOCKADDR_IN *to)
{
    return TABLE->lpWSPConnect(s, (const struct sockaddr *)to, sizeof(*to), NULL, NULL, NULL, NULL,
                               &spi_error);
}

int spi_send_one(SOCKET s, const void *data, DWORD length_bytes, DWORD flags, DWORD *sent)
{
    WSABUF buffer = {.len = length_bytes, .buf = (char *)(uintptr_t)data};
    return TABLE->lpWSPSend(s, &buffer, 1, sent, flags, NULL, NULL, NULL, &spi_error);
}

int spi_send_to_one(SOCKET s, const void *data, DWORD length_bytes, const SOCKADDR_IN *to)
{
    DWORD sent = 0;
    WSABUF buffer = {.len = length_bytes, .buf = (char *)(uintptr_t)data};
    return TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, (const struct sockaddr *)to, sizeof(*to),
                              NULL, NULL, NULL, &spi_error);
}

int spi_recv_one(SOCKET s, void *data, DWORD length_bytes, DWORD *flags, DWORD *received)
{
    WSABUF buffer = {.len = length_bytes, .buf = data};
    return TABLE->lpWSPRecv(s, &buffer, 1, received, flags, NULL, NULL, NULL, &spi_error);
}

int spi_recv_from_one(SOCKET s, void *data, DWORD length_bytes, SOCKADDR_IN *from, DWORD *received)
{
    WSABUF buffer = {.len = length_bytes, .buf = data};
    DWORD flags = 0;
    int from_bytes = sizeof(*from);
    return TABLE->lpWSPRecvFrom(s, &buffer, 1, received, &flags, (struct sockaddr *)from,
                                &from_bytes, NULL, NULL, NULL, &spi_error);
}

int spi_ioctl_in(SOCKET s, DWORD code, DWORD value)
{
    DWORD returned = 0;
    return TABLE->lpWSPIoctl(s, code, &value, sizeof(value), NULL, 0, &returned, NULL, NULL, NULL,
                             &spi_error);
}

void spi_nonblocking(SOCKET s)
{
    OK(spi_ioctl_in(s, (DWORD)FIONBIO, 1));
}

int spi_set_dword(SOCKET s, int level, int name, DWORD value)
{
    return TABLE->lpWSPSetSockOpt(s, level, name, (const char *)&value, sizeof(value), &spi_error);
}

DWORD spi_get_dword(SOCKET s, int level, int name)
{
    DWORD value = 0xdeadbeef;
    int bytes = sizeof(value);
    OK(TABLE->lpWSPGetSockOpt(s, level, name, (char *)&value, &bytes, &spi_error));
    assert_int_equal(bytes, sizeof(value));
    return value;
}

void spi_await_readable(SOCKET s)
{
    fd_set set = {.fd_count = 1, .fd_array = {s}};
    struct timeval most = {.tv_sec = RECEIVE_MS / 1000};
    int ready = TABLE->lpWSPSelect(0, &set, NULL, NULL, &most, &spi_error);
    if (ready != 1) {
        fail_msg("no datagram within %u ms (select %d, error %d)", RECEIVE_MS, ready, spi_error);
    }
}

/* ---- pointers ---- */

static void *page_with(DWORD protection)
{
    void *page = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, protection);
    assert_non_null(page);
    return page;
}

void *spi_bad_pointer(void)
{
    static void *page;
    page = page != NULL ? page : page_with(PAGE_NOACCESS);
    return page;
}

void *spi_read_only_page(void)
{
    static void *page;
    page = page != NULL ? page : page_with(PAGE_READONLY);
    return page;
}

/* ---- the run ---- */

static int case_order(const void *a, const void *b)
{
    const struct spi_case *left = a, *right = b;
    int order = strcmp(left->function, right->function);
    return order != 0 ? order : strcmp(left->rule, right->rule);
}

/* Cases first to last - 1 are of one function. Returns how many failed. */
static unsigned run_function(unsigned first, unsigned last)
{
    static struct CMUnitTest tests[CASES_MAX];
    static char names[CASES_MAX][200];
    for (unsigned i = first; i < last; i++) {
        snprintf(names[i], sizeof(names[i]), "%s: %s", cases[i].function, cases[i].rule);
        tests[i] = (struct CMUnitTest){
            .name = names[i], .test_func = case_run, .teardown_func = case_teardown};
    }
    case_next = first;
    int failed =
        _cmocka_run_group_tests(cases[first].function, tests + first, last - first, NULL, NULL);
    return failed < 0 ? last - first : (unsigned)failed;
}

/* Leaves only one function's cases. */
static void keep_only(const char *function)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < case_count; i++) {
        if (strcmp(cases[i].function, function) == 0) {
            cases[kept++] = cases[i];
        }
    }
    case_count = kept;
}

/* cmocka does not say which test failed: in a function with failures that is each one which did not
 * come to its end, skipped ones with them. */
static void report_cases(FILE *report, unsigned first, unsigned last, unsigned failed)
{
    for (unsigned i = first; report != NULL && i < last; i++) {
        fprintf(report, "%s\t%s\t%s\n", cases[i].function, cases[i].rule,
                cases[i].ended ? "passed"
                : failed != 0  ? "failed"
                               : "skipped");
    }
}

/* Empty until the end: a program that does not come there is seen. */
static FILE *report_open(const char *only)
{
    const char *path = only == NULL ? getenv("RINGSOCK_SPI_CASES") : NULL;
    FILE *report = path != NULL ? fopen(path, "wb") : NULL;
    if (path != NULL && report == NULL) {
        print_error("cannot write %s\n", path);
        exit(1);
    }
    return report;
}

static unsigned run_all(FILE *report)
{
    unsigned failed_by[CASES_MAX] = {0};
    unsigned failed = 0;
    qsort(cases, case_count, sizeof(cases[0]), case_order);
    for (unsigned first = 0, last; first < case_count; first = last) {
        for (last = first;
             last < case_count && strcmp(cases[last].function, cases[first].function) == 0;
             last++) {
        }
        failed_by[first] = run_function(first, last);
        failed += failed_by[first];
        report_cases(report, first, last, failed_by[first]);
    }
    printf("\n%-28s %6s %6s\n", "function", "cases", "passed");
    for (unsigned first = 0, last; first < case_count; first = last) {
        for (last = first;
             last < case_count && strcmp(cases[last].function, cases[first].function) == 0;
             last++) {
        }
        printf("%-28s %6u %6u\n", cases[first].function, last - first,
               last - first - failed_by[first]);
    }
    printf("%-28s %6u %6u\n", "all", case_count, case_count - failed);
    return failed;
}

int main(int argc, char **argv)
{
    int status = spi_load(&provider);
    if (argc > 1) {
        keep_only(argv[1]);
    }
    if (status != 0) {
        print_error("cannot load %ls: error %d\n", provider.path, status);
        return 1;
    }
    status = host_startup(&provider, MAKEWORD(2, 2));
    if (status != 0) {
        print_error("WSPStartup failed with error %d\n", status);
        return 1;
    }
    FILE *report = report_open(argc > 1 ? argv[1] : NULL);
    unsigned failed = run_all(report);
    if (TABLE->lpWSPCleanup(&spi_error) != 0 || host_handle_count() != 0) {
        print_error("WSPCleanup: error %d, %u handles left\n", spi_error, host_handle_count());
        return 1;
    }
    spi_unload();
    if (report != NULL && (fputs("end\n", report) == EOF || fclose(report) != 0)) {
        print_error("the file of results is not complete\n");
        return 1;
    }
    return failed != 0;
}
