/*
 * spi_test.h's provider: the DLL's own code linked into the test, attached to the fake dataplane
 * (tests/support) instead of ringsockd: what client_open finds is the fake. Streams only need both
 * ends in one process.
 */
#include "tests/spi/provider_fake.h"
#include "provider/spi/spi.h"
#include "tests/spi/stream_kit.h"
#include "tests/support/check.h"

struct fake *spi_fake;
enum rs_status (*spi_fake_thread)(void);
/* What those who sleep watch: a thing to wait for, as a process is. */
static struct os_process fake_process = {.handle = -1};

void spi_fake_die(void)
{
    fake_die(spi_fake);
    CHECK(SetEvent((HANDLE)fake_process.handle));
}

/* --wrap gives the names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
enum rs_status __wrap_client_open(const struct client_config *config, struct client **out);
int __wrap_dup(int handle);
enum rs_status __real_os_thread_start(struct os_thread *out, void (*entry)(void *), void *arg,
                                      const char *name);
enum rs_status __wrap_os_thread_start(struct os_thread *out, void (*entry)(void *), void *arg,
                                      const char *name);
/* NOLINTEND(bugprone-reserved-identifier) */

enum rs_status __wrap_client_open(const struct client_config *config, struct client **out)
{
    struct client_link link = fake_link(spi_fake);
    link.process = &fake_process;
    return client_open_link(config, &link, out);
}

/* The fake gives the client a copy of an event's handle, as POSIX copies one. */
int __wrap_dup(int handle)
{
    HANDLE copy = NULL;
    CHECK(DuplicateHandle(GetCurrentProcess(), (HANDLE)(intptr_t)handle, GetCurrentProcess(), &copy,
                          0, FALSE, DUPLICATE_SAME_ACCESS));
    return (int)(intptr_t)copy;
}

enum rs_status __wrap_os_thread_start(struct os_thread *out, void (*entry)(void *), void *arg,
                                      const char *name)
{
    enum rs_status status = spi_fake_thread != NULL ? spi_fake_thread() : RS_OK;
    return status == RS_OK ? __real_os_thread_start(out, entry, arg, name) : status;
}

int spi_load(struct host_provider *out)
{
    struct fake_config config = fake_defaults;
    config.limit_sockets = 128;
    spi_fake = fake_create(&config);
    fake_process.handle = (intptr_t)CreateEventW(NULL, TRUE, FALSE, NULL);
    CHECK(fake_process.handle != 0);
    spi_probe_init();
    spi_hook_install();
    *out = (struct host_provider){.startup = WSPStartup,
                                  .info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP)};
    return 0;
}

void spi_unload(void)
{
    fake_destroy(spi_fake);
    CHECK(CloseHandle((HANDLE)fake_process.handle));
}

SOCKADDR_IN stream_silent(void)
{
    SOCKADDR_IN in = spi_at("0.0.0.0", 9);
    in.sin_addr.s_addr = FAKE_SILENT_BE32;
    return in;
}

/* The fake looks at ports only. */
SOCKADDR_IN stream_broadcast(void)
{
    skip();
    return spi_at("0.0.0.0", 0);
}
