/*
 * `ringsockctl capture`: has the queues copy what passes into rings (rings/capture.h), reads these
 * and writes a pcapng file. The frames of several queues come in the order of time as far as they
 * are there at once. Believes nothing of the rings but what it checked. One thread; called by
 * main.c; calls fetch.c, pcapng.c, rings/os.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "provider/ctl/pcapng.h"
#include "rings/byteorder.h"
#include "rings/capture.h"
#include "rings/json.h"

#define CAPTURE_IDLE_NS   1000000u   /* between looks at empty rings */
#define CAPTURE_WATCH_NS  100000000u /* between looks whether the dataplane lives */
#define CAPTURE_ROUND_MAX 4096u      /* records between looks at anything else */

/* One queue's ring, and what its records are in the file. */
struct source {
    struct rs_capture_queue info; /* a copy; its counters are not used */
    const struct rs_capture_queue *shared;
    struct capture_reader reader;
    bool wanted;
    uint32_t interfaces[RS_CAPTURE_KINDS]; /* RS_NO_INDEX: not wanted */
    /* the oldest record, if there is one */
    bool there;
    struct rs_capture_record record;
    const uint8_t *bytes;
};

struct capture {
    const struct ctl_capture *what;
    struct os_conn conn;
    struct os_shm rings, words;
    FILE *out;
    uint32_t source_count;
    struct source sources[RS_QUEUES_MAX];
    uint32_t interface_count;
    uint64_t begun_ns, begun_unix_ns, watched_ns;
    uint64_t written, written_bytes;
    bool gone; /* the dataplane, or its word on the end */
};

/* ---- the dataplane's memory ---- */

static bool capture_addresses_ok(const struct rs_capture_queue *info)
{
    bool ok = info->prefix_len <= 32 && info->more_count < RS_ADDRESSES_MAX;
    for (uint32_t i = 0; ok && i < info->more_count; i++) {
        ok = info->more_prefix_len[i] <= 32;
    }
    return ok;
}

static bool capture_header_ok(struct capture *capture)
{
    const struct rs_capture_header *header = capture->rings.base;
    uint64_t bytes = capture->rings.size_bytes;
    if (bytes < sizeof(*header) ||
        capture->words.size_bytes < RS_QUEUES_MAX * sizeof(struct rs_capture_reader_word) ||
        header->magic != RS_CAPTURE_MAGIC || header->version != RS_CAPTURE_VERSION) {
        return false;
    }
    capture->source_count = header->queue_count;
    for (uint32_t i = 0; i < capture->source_count && i < RS_QUEUES_MAX; i++) {
        struct source *source = &capture->sources[i];
        memcpy(&source->info, &header->queues[i], sizeof(source->info));
        rs_fence_copied();
        const struct rs_capture_queue *info = &source->info;
        if (!rs_is_pow2(info->ring_bytes) || info->ring_bytes < RS_PAGE_BYTES ||
            info->ring_off % RS_CAPTURE_ALIGN_BYTES != 0 || info->ring_off > bytes ||
            info->ring_bytes > bytes - info->ring_off || !capture_addresses_ok(info)) {
            return false;
        }
        source->info.nic[sizeof(source->info.nic) - 1] = '\0';
        source->shared = &header->queues[i];
    }
    return capture->source_count - 1 < RS_QUEUES_MAX;
}

static bool capture_open(struct capture *capture)
{
    struct rs_ctl_answer answer;
    intptr_t handles[2];
    const char *instance = capture->what->instance;
    if (ctl_ask(instance, &capture->conn, RS_CTL_CAPTURE, RS_CAPTURE_VERSION, &answer, handles,
                2) != RS_OK) {
        return false;
    }
    enum rs_status status = os_shm_map(handles[0], answer.sizes_bytes[0], false, &capture->rings);
    if (status != RS_OK) {
        os_handle_close(handles[1]);
    } else {
        status = os_shm_map(handles[1], answer.sizes_bytes[1], true, &capture->words);
    }
    if (status != RS_OK) {
        (void)fprintf(stderr, "ringsockctl: the rings cannot be mapped: %s\n",
                      os_last_error_text());
        return false;
    }
    if (!capture_header_ok(capture)) {
        (void)fprintf(stderr,
                      "ringsockctl: instance %s makes other rings than this program knows\n",
                      instance);
        return false;
    }
    struct rs_capture_reader_word *words = capture->words.base;
    for (uint32_t i = 0; i < capture->source_count; i++) {
        struct source *source = &capture->sources[i];
        capture_reader_init(&source->reader,
                            (const uint8_t *)capture->rings.base + source->info.ring_off,
                            source->info.ring_bytes, source->shared, &words[i].head);
    }
    return true;
}

/* ---- what is wanted ---- */

/* A name is that of `ringsockctl status`, or what stands in it before the first comma. */
static bool capture_is_nic(const struct source *source, const char *name)
{
    const char *nic = (const char *)source->info.nic;
    size_t bytes = strlen(name);
    return strncmp(nic, name, bytes) == 0 && (nic[bytes] == '\0' || nic[bytes] == ',');
}

/* The argument of RS_CTL_CAPTURE_START; interfaces get their numbers. 0: there is none. */
static uint32_t capture_choose(struct capture *capture)
{
    const struct ctl_capture *what = capture->what;
    uint32_t masks[RS_CAPTURE_KINDS] = {0};
    for (uint32_t i = 0; i < capture->source_count; i++) {
        struct source *source = &capture->sources[i];
        bool queue = what->queue_idx == RS_NO_INDEX || what->queue_idx == i;
        const bool kinds[RS_CAPTURE_KINDS] = {
            [RS_CAPTURE_KIND_NIC] = queue && source->info.kind != RS_NIC_LOOPBACK &&
                                    (what->nic == NULL || capture_is_nic(source, what->nic)),
            [RS_CAPTURE_KIND_LOCAL] =
                queue && (what->nic == NULL || strcmp(what->nic, "loopback") == 0)};
        for (uint32_t kind = 0; kind < RS_CAPTURE_KINDS; kind++) {
            source->interfaces[kind] = kinds[kind] ? capture->interface_count++ : RS_NO_INDEX;
            source->wanted |= kinds[kind];
            masks[kind] |= kinds[kind] ? 1u << i : 0;
        }
    }
    if ((masks[0] | masks[1]) == 0) {
        return 0;
    }
    return RS_CAPTURE_START_ARG(masks[RS_CAPTURE_KIND_NIC], masks[RS_CAPTURE_KIND_LOCAL],
                                what->snap_bytes);
}

static void capture_tell_choice(const struct capture *capture)
{
    (void)fprintf(stderr, "ringsockctl: there is no such NIC or queue; there are:\n"
                          "  loopback (local traffic)\n");
    for (uint32_t i = 0; i < capture->source_count; i++) {
        const struct rs_capture_queue *info = &capture->sources[i].info;
        (void)fprintf(stderr, "  queue %" PRIu32 " on %s\n", i, ctl_printable(info->nic).bytes);
    }
}

/* ---- the file ---- */

static struct pcapng_address capture_address(uint32_t ip_be32, uint32_t prefix_len)
{
    return (struct pcapng_address){ip_be32, rs_prefix_mask_be32(prefix_len)};
}

/* The primary one first. capture_header_ok checked counts and lengths. */
static void capture_take_addresses(const struct rs_capture_queue *info,
                                   struct pcapng_interface *interface)
{
    static_assert(RS_ADDRESSES_MAX <= PCAPNG_ADDRESSES_MAX, "all of a NIC's");
    if (info->ip_be32 == 0) {
        return;
    }
    interface->addresses[interface->address_count++] =
        capture_address(info->ip_be32, info->prefix_len);
    for (uint32_t i = 0; i < info->more_count; i++) {
        interface->addresses[interface->address_count++] =
            capture_address(info->more_be32[i], info->more_prefix_len[i]);
    }
}

static void capture_write_interfaces(struct capture *capture)
{
    for (uint32_t i = 0; i < capture->source_count; i++) {
        const struct source *source = &capture->sources[i];
        const struct rs_capture_queue *info = &source->info;
        char name[128], text[160];
        if (source->interfaces[RS_CAPTURE_KIND_NIC] != RS_NO_INDEX) {
            (void)snprintf(name, sizeof(name), "%s queue %" PRIu32, ctl_printable(info->nic).bytes,
                           info->nic_queue_idx);
            (void)snprintf(text, sizeof(text), "Ringsock queue %" PRIu32 " (%s)", i,
                           ctl_kind(info->kind));
            struct pcapng_interface interface = {.name = name,
                                                 .description = text,
                                                 .snap_bytes = capture->what->snap_bytes,
                                                 .mac = info->mac};
            capture_take_addresses(info, &interface);
            pcapng_write_interface(capture->out, &interface);
        }
        if (source->interfaces[RS_CAPTURE_KIND_LOCAL] != RS_NO_INDEX) {
            (void)snprintf(name, sizeof(name), "local queue %" PRIu32, i);
            (void)snprintf(
                text, sizeof(text),
                "Ringsock queue %" PRIu32 ": traffic between local sockets, frames made up", i);
            pcapng_write_interface(
                capture->out, &(struct pcapng_interface){.name = name,
                                                         .description = text,
                                                         .snap_bytes = capture->what->snap_bytes});
        }
    }
}

static uint64_t capture_word(const rs_atomic_u64 *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void capture_write_statistics(struct capture *capture)
{
    uint64_t now_ns = os_unix_ns();
    for (uint32_t i = 0; i < capture->source_count; i++) {
        const struct source *source = &capture->sources[i];
        for (uint32_t kind = 0; kind < RS_CAPTURE_KINDS; kind++) {
            if (source->interfaces[kind] != RS_NO_INDEX) {
                pcapng_write_statistics(
                    capture->out, &(struct pcapng_statistics){
                                      .interface_idx = source->interfaces[kind],
                                      .from_ns = capture->begun_unix_ns,
                                      .to_ns = now_ns,
                                      .frames = capture_word(&source->shared->frames[kind]),
                                      .dropped = capture_word(&source->shared->dropped[kind])});
            }
        }
    }
}

static bool capture_file_ok(const struct capture *capture)
{
    if (ferror(capture->out) != 0) {
        (void)fprintf(stderr, "ringsockctl: %s cannot be written\n", capture->what->file);
        return false;
    }
    return true;
}

/* ---- records ---- */

static bool capture_write(struct capture *capture, struct source *source)
{
    const struct rs_capture_record *record = &source->record;
    bool local = (record->flags & RS_CAPTURE_LOCAL) != 0;
    uint32_t interface_idx =
        source->interfaces[local ? RS_CAPTURE_KIND_LOCAL : RS_CAPTURE_KIND_NIC];
    if (interface_idx == RS_NO_INDEX || record->whole_bytes < record->len_bytes) {
        return false;
    }
    pcapng_write_packet(capture->out,
                        &(struct pcapng_packet){.interface_idx = interface_idx,
                                                .unix_ns = record->unix_ns,
                                                .bytes = source->bytes,
                                                .len_bytes = record->len_bytes,
                                                .whole_bytes = record->whole_bytes,
                                                .direction = local ? PCAPNG_UNKNOWN
                                                             : (record->flags & RS_CAPTURE_RX) != 0
                                                                 ? PCAPNG_IN
                                                                 : PCAPNG_OUT});
    capture->written++;
    capture->written_bytes += record->len_bytes;
    capture_reader_consume(&source->reader, record);
    source->there = false;
    return true;
}

/* The source with the oldest record; NULL: none has one. False: a ring is broken. */
static bool capture_oldest(struct capture *capture, struct source **out)
{
    *out = NULL;
    for (uint32_t i = 0; i < capture->source_count; i++) {
        struct source *source = &capture->sources[i];
        if (source->wanted && !source->there) {
            enum rs_status status =
                capture_reader_peek(&source->reader, &source->record, &source->bytes);
            if (status == RS_CORRUPT) {
                return false;
            }
            source->there = status == RS_OK;
        }
        if (source->there && (*out == NULL || source->record.unix_ns < (*out)->record.unix_ns)) {
            *out = source;
        }
    }
    return true;
}

static bool capture_full(const struct capture *capture)
{
    return capture->what->count != 0 && capture->written == capture->what->count;
}

/* Writes what is there, so many at most. False: it must end; *count: how many. */
static bool capture_round(struct capture *capture, uint32_t *count)
{
    struct source *source;
    *count = 0;
    while (*count < CAPTURE_ROUND_MAX && !capture_full(capture)) {
        if (!capture_oldest(capture, &source) ||
            (source != NULL && !capture_write(capture, source))) {
            (void)fprintf(stderr, "ringsockctl: instance %s writes nonsense into the rings\n",
                          capture->what->instance);
            return false;
        }
        if (source == NULL) {
            break;
        }
        (*count)++;
    }
    return capture_file_ok(capture);
}

/* ---- beginning and end ---- */

/* The dataplane closes the connection only when it ends, and says nothing unasked. */
static void capture_watch(struct capture *capture, uint64_t now_ns)
{
    struct rs_ctl_answer answer;
    size_t bytes = sizeof(answer);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t count = 0;
    capture->watched_ns = now_ns;
    capture->gone =
        os_conn_recv(&capture->conn, &answer, &bytes, handles, &count, 0) != RS_TIMED_OUT;
}

/* Until a limit, a signal, or the dataplane's end. False: an error was told. */
static bool capture_run(struct capture *capture, struct os_event *stop)
{
    uint32_t count = 0;
    for (;;) {
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns - capture->watched_ns >= CAPTURE_WATCH_NS) {
            capture_watch(capture, now_ns);
        }
        if (!capture_round(capture, &count)) {
            return false;
        }
        if (capture->gone || capture_full(capture) ||
            (capture->what->ns != 0 && now_ns - capture->begun_ns >= capture->what->ns)) {
            return true;
        }
        if (count == 0) {
            (void)fflush(capture->out); /* for who reads along */
        }
        if (os_event_wait(stop, NULL, count == 0 ? CAPTURE_IDLE_NS : 0) != RS_TIMED_OUT) {
            return true;
        }
    }
}

/* The queues stop; what they had written before comes yet. */
static bool capture_finish(struct capture *capture)
{
    struct rs_ctl_answer answer;
    uint32_t count = 1;
    if (capture->gone) {
        (void)fprintf(stderr, "ringsockctl: the dataplane ended\n");
    } else if (ctl_ask(capture->what->instance, &capture->conn, RS_CTL_CAPTURE_STOP, 0, &answer,
                       NULL, 0) != RS_OK) {
        capture->gone = true;
    }
    while (count != 0) {
        if (!capture_round(capture, &count)) {
            return false;
        }
    }
    capture_write_statistics(capture);
    return capture_file_ok(capture) && !capture->gone;
}

static void capture_sum(const struct capture *capture, uint64_t *frames, uint64_t *dropped)
{
    *frames = *dropped = 0;
    for (uint32_t i = 0; i < capture->source_count; i++) {
        for (uint32_t kind = 0; kind < RS_CAPTURE_KINDS; kind++) {
            *frames += capture_word(&capture->sources[i].shared->frames[kind]);
            *dropped += capture_word(&capture->sources[i].shared->dropped[kind]);
        }
    }
}

static void capture_summary(const struct capture *capture)
{
    uint64_t frames, dropped;
    capture_sum(capture, &frames, &dropped);
    if (!capture->what->json) {
        (void)fprintf(stderr, "%s: %s of %s frames written, %s dropped because the ring was full\n",
                      capture->what->file, ctl_number(capture->written).bytes,
                      ctl_number(frames).bytes, ctl_number(dropped).bytes);
        return;
    }
    struct rs_json json = rs_json_start(stdout);
    rs_json_object(&json, NULL);
    rs_json_text(&json, "file", capture->what->file);
    rs_json_u64(&json, "written", capture->written);
    rs_json_u64(&json, "written_bytes", capture->written_bytes);
    rs_json_u64(&json, "frames", frames);
    rs_json_u64(&json, "capture_dropped", dropped);
    rs_json_bool(&json, "dataplane_ended", capture->gone);
    rs_json_object_end(&json);
    (void)printf("\n");
}

/* The connection is there. */
static enum ctl_capture_result capture_all(struct capture *capture, struct os_event *stop)
{
    struct rs_ctl_answer answer;
    if (!capture_open(capture)) {
        return CTL_CAPTURE_FAILED;
    }
    uint32_t arg = capture_choose(capture);
    if (arg == 0) {
        capture_tell_choice(capture);
        return CTL_CAPTURE_NOTHING;
    }
    capture->out = fopen(capture->what->file, "wb");
    if (capture->out == NULL) {
        (void)fprintf(stderr, "ringsockctl: %s cannot be made\n", capture->what->file);
        return CTL_CAPTURE_FAILED;
    }
    pcapng_write_section(capture->out, RINGSOCK_MACHINE, RINGSOCK_SYSTEM,
                         "ringsockctl " RINGSOCK_VERSION);
    capture_write_interfaces(capture);
    (void)fflush(capture->out);
    capture->begun_ns = capture->watched_ns = os_monotonic_ns();
    capture->begun_unix_ns = os_unix_ns();
    bool done = ctl_ask(capture->what->instance, &capture->conn, RS_CTL_CAPTURE_START, arg, &answer,
                        NULL, 0) == RS_OK;
    if (done && !capture->what->json) {
        (void)fprintf(stderr, "%s: capturing, Ctrl-C ends it\n", capture->what->file);
    }
    done = done && capture_run(capture, stop) && capture_finish(capture);
    if (fclose(capture->out) != 0 && done) {
        (void)fprintf(stderr, "ringsockctl: %s cannot be written\n", capture->what->file);
        done = false;
    }
    capture_summary(capture);
    return done ? CTL_CAPTURE_DONE : CTL_CAPTURE_FAILED;
}

enum ctl_capture_result ctl_capture(const struct ctl_capture *what, struct os_event *stop)
{
    struct capture capture = {.what = what};
    if (ctl_connect(what->instance, &capture.conn) != RS_OK) {
        return CTL_CAPTURE_FAILED;
    }
    enum ctl_capture_result result = capture_all(&capture, stop);
    os_conn_close(&capture.conn);
    os_shm_destroy(&capture.words);
    os_shm_destroy(&capture.rings);
    return result;
}
