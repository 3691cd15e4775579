/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore: make, list, check and prune a store of checkpoints from any Linux host. Where the store is:
   --offset/--size, --partition N, else the partition of Sojourn's type, else the whole file. Exit codes: 0 done, 1 the
   operation failed, 2 wrong usage. */
/* UNITS: ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c ckpt/format.c ckpt/hash.c */
/* UNITS: ckpt/store_load.c drivers/block.c drivers/partition.c kernel/err.c */
#include "ckpt/store_read.h"
#include "ckpt/store_text.h"
#include "drivers/partition.h"
#include "tools/sojstore_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECTOR_BYTES 512u
#define EXIT_USAGE 2

static const char usage_text[] =
    "usage: sojstore format FILE|DEVICE [WHERE] [--force]   make an empty store\n"
    "       sojstore list FILE|DEVICE [WHERE] [--json]      the checkpoints in it\n"
    "       sojstore show FILE|DEVICE ID [WHERE] [--json]   one checkpoint in detail; ID may be latest\n"
    "       sojstore verify FILE|DEVICE [ID] [WHERE]        read and check one, or all\n"
    "       sojstore delete FILE|DEVICE ID [WHERE]          remove one\n"
    "WHERE: --partition N, or --offset BYTES [--size BYTES]; else the partition of Sojourn's type, else the whole "
    "file.\n"
    "       sizes take the suffixes K, M, G.  -v: say more on stderr.\n";

struct options {
    const char *command, *path, *id_text;
    uint64_t offset, size, partition;
    bool has_offset, has_size, has_partition, json, force;
};

static struct options opt;
static struct block_dev disk;
static struct store store;
static uint8_t work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("sojstore: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- arguments ---- */

static bool parse_number(const char *text, bool suffix, uint64_t *value)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *value = strtoull(text, &end, 0);
    if (errno)
        return false;
    unsigned shift = 0;
    if (suffix && *end) {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift != 0;
    }
    if (*end || *value > UINT64_MAX >> shift)
        return false;
    *value <<= shift;
    return true;
}

static bool take_value(int argc, char **argv, int *i, const char *name, bool *has, uint64_t *value, bool *bad)
{
    if (strcmp(argv[*i], name))
        return false;
    if (*i + 1 >= argc) {
        say("%s needs a value", name);
        *bad = true;
    } else if (!parse_number(argv[++*i], strcmp(name, "--partition"), value)) {
        say("%s: not a number: %s", name, argv[*i]);
        *bad = true;
    }
    *has = true;
    return true;
}

static bool parse_arguments(int argc, char **argv)
{
    const char *plain[3] = {NULL, NULL, NULL};
    size_t count = 0;
    bool bad = false;
    for (int i = 1; i < argc && !bad; i++) {
        if (take_value(argc, argv, &i, "--offset", &opt.has_offset, &opt.offset, &bad) ||
            take_value(argc, argv, &i, "--size", &opt.has_size, &opt.size, &bad) ||
            take_value(argc, argv, &i, "--partition", &opt.has_partition, &opt.partition, &bad))
            continue;
        if (!strcmp(argv[i], "--json"))
            opt.json = true;
        else if (!strcmp(argv[i], "--force"))
            opt.force = true;
        else if (!strcmp(argv[i], "-v"))
            host_verbose = true;
        else if (argv[i][0] == '-' || count == ARRAY_LEN(plain)) {
            say("not understood: %s", argv[i]);
            bad = true;
        } else
            plain[count++] = argv[i];
    }
    opt.command = plain[0];
    opt.path = plain[1];
    opt.id_text = plain[2];
    if (!bad && opt.has_partition && (opt.has_offset || opt.has_size)) {
        say("--partition and --offset/--size exclude each other");
        bad = true;
    }
    if (!bad && ((opt.offset | opt.size) % SECTOR_BYTES || (opt.has_size && !opt.size))) {
        say("--offset and --size must be multiples of %u", SECTOR_BYTES);
        bad = true;
    }
    return !bad;
}

/* ---- where the store is ---- */

static bool find_region(struct block_part *part, bool *ours)
{
    *ours = true;
    if (opt.has_partition) {
        unsigned number = opt.partition > UINT16_MAX ? 0 : (unsigned)opt.partition;
        enum err e = host_partition(&disk, number, part, ours);
        if (e == E_NOTFOUND)
            say("%s: there is no partition %" PRIu64 "; look with: sfdisk -l %s", opt.path, opt.partition, opt.path);
        else if (e == E_BADTAG)
            say("%s: no partition table; leave --partition out to use the whole file", opt.path);
        else if (e)
            say("%s: partition %" PRIu64 ": %s", opt.path, opt.partition, err_text(e));
        return e == E_OK;
    }
    if (opt.has_offset || opt.has_size) {
        uint64_t first = opt.offset / SECTOR_BYTES;
        uint64_t count = opt.has_size ? opt.size / SECTOR_BYTES : disk.sectors > first ? disk.sectors - first : 0;
        if (first > disk.sectors || count > disk.sectors - first) {
            say("%s: the region ends behind the file, which has %" PRIu64 " bytes; make it larger with truncate, or "
                "give a smaller --size",
                opt.path, disk.sectors * SECTOR_BYTES);
            return false;
        }
        *part = (struct block_part){&disk, first, count};
        return true;
    }
    enum err e = partition_find(&disk, "auto", part);
    if (e == E_NOSTORE)
        *part = (struct block_part){&disk, 0, disk.sectors};
    else if (e)
        say("%s: cannot look for partitions: %s", opt.path, err_text(e));
    return e == E_OK || e == E_NOSTORE;
}

/* Whole disks with partitions on them, none of ours: a store over the table would destroy them. */
static bool has_partition_table(void)
{
    struct block_part whole = {&disk, 0, disk.sectors};
    uint8_t sector[SECTOR_BYTES];
    return !block_read(&whole, 0, 1, sector) && sector[510] == 0x55 && sector[511] == 0xAA;
}

static bool open_store(struct block_part part)
{
    const char *why = "";
    enum err e = store_open(&store, part, work, sizeof work, &why);
    if (e == E_NOSTORE)
        say("%s: no store found; make one with: sojstore format %s [--partition N]", opt.path, opt.path);
    else if (e == E_TRUNCATED)
        say("%s: %s (%s); is the image cut off, or --size too small?", opt.path, err_text(e), why);
    else if (e == E_STOREVERSION)
        say("%s: %s (%s); use the sojstore that belongs to it", opt.path, err_text(e), why);
    else if (e)
        say("%s: the store cannot be used: %s; format it again with --force if nothing in it is needed", opt.path, why);
    else if (store.stale)
        say("%s: note: one of the two superblocks is damaged or old; the next checkpoint repairs it", opt.path);
    return e == E_OK;
}

static const struct disk_entry *find_checkpoint(void)
{
    uint64_t id = STORE_LATEST;
    if (strcmp(opt.id_text, "latest"))
        (void)!parse_number(opt.id_text, false, &id); /* checked with the command line */
    const struct disk_entry *e = store_find(&store, id);
    if (!e)
        say("%s: no checkpoint %s; see: sojstore list %s", opt.path, opt.id_text, opt.path);
    return e;
}

/* ---- commands ---- */

static int do_format(struct block_part part, bool ours)
{
    const char *why = "";
    uint8_t uuid[16];
    enum err e = store_open(&store, part, work, sizeof work, &why);
    if (!opt.force) {
        if (!e && store_count(&store)) {
            say("%s: there is a store with %u checkpoints; --force destroys it", opt.path, store_count(&store));
            return EXIT_FAILURE;
        }
        if (e && e != E_NOSTORE) {
            say("%s: there is a store that cannot be read (%s); --force destroys it", opt.path, why);
            return EXIT_FAILURE;
        }
        if (!ours) {
            say("%s: partition %" PRIu64 " has neither Sojourn's type nor the name " PARTITION_NAME
                "; set the type with "
                "sfdisk --part-type, or use --force",
                opt.path, opt.partition);
            return EXIT_FAILURE;
        }
        if (!opt.has_partition && !opt.has_offset && part.first == 0 && e && has_partition_table()) {
            say("%s: a disk with a partition table, but no partition for a store; make one of type "
                "534F4A4F-5552-4E00-8000-53544F524531, or say where with --partition",
                opt.path);
            return EXIT_FAILURE;
        }
    }
    if (!host_random(uuid)) {
        say("no random numbers: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    e = store_format(&store, part, work, sizeof work, uuid, (int64_t)time(NULL));
    if (e == E_TOOSMALL)
        say("%s: %" PRIu64 " bytes are too small for a store (E_TOOSMALL); it takes %u at the least, and about a third "
            "of the RAM for each checkpoint",
            opt.path, part.count * SECTOR_BYTES, STORE_MIN_BLOCKS * STORE_BLOCK_BYTES);
    else if (e)
        say("%s: format failed: %s", opt.path, err_text(e));
    else
        printf("%s: empty store of %" PRIu64 " bytes at %" PRIu64 "\n", opt.path, store_usage(&store).bytes,
               part.first * SECTOR_BYTES);
    return e ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int do_list(void)
{
    char line[512];
    struct store_usage u = store_usage(&store);
    if (!opt.json)
        puts(store_entry_heading);
    else
        putchar('[');
    for (uint32_t i = 0; i < store_count(&store); i++) {
        if (opt.json) {
            store_entry_json(store_entry(&store, i), line, sizeof line);
            printf("%s%s", i ? "," : "", line);
        } else {
            store_entry_line(store_entry(&store, i), line, sizeof line);
            puts(line);
        }
    }
    if (opt.json)
        puts("]");
    else
        printf("%u checkpoints, %" PRIu64 " of %" PRIu64 " KiB used\n", u.checkpoints, u.used / 1024, u.bytes / 1024);
    return EXIT_SUCCESS;
}

/* A name from the disk, for a terminal or a JSON string. */
static const char *clean(const char *name, size_t len, char out[32])
{
    size_t n = 0;
    for (; n < len && n < 31 && name[n]; n++)
        out[n] = name[n] < ' ' || name[n] > '~' || name[n] == '"' || name[n] == '\\' ? '?' : name[n];
    out[n] = 0;
    return out;
}

struct shown {
    uint32_t sections;
};

static enum err show_section(void *ctx, const struct disk_record *record, const void *data)
{
    struct shown *s = ctx;
    char name[32];
    (void)data;
    clean(record->name, sizeof record->name, name);
    if (opt.json)
        printf("%s{\"name\":\"%s\",\"version\":%u,\"bytes\":%u}", s->sections ? "," : "", name, record->version,
               record->payload_bytes);
    else
        printf("  section %-8s version %u, %u bytes\n", name, record->version, record->payload_bytes);
    s->sections++;
    return E_OK;
}

static enum err stop_at_pages(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    (void)ctx, (void)first, (void)count, (void)pages;
    return E_ALREADY;
}

static void show_layout(const struct ckpt_layout *l)
{
    char backend[32], vendor[32];
    clean(l->backend, sizeof l->backend, backend);
    clean(l->cpu_vendor, sizeof l->cpu_vendor, vendor);
    if (opt.json) {
        printf(",\"backend\":\"%s\",\"cpus\":%u,\"cpu_vendor\":\"%s\",\"cpu_signature\":%u,\"ram\":[", backend,
               l->cpu_count, vendor, l->cpu_signature);
        for (uint32_t i = 0; i < l->ram_count; i++)
            printf("%s{\"base\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", i ? "," : "", l->ram[i].base, l->ram[i].bytes);
        printf("],\"hidden\":{\"base\":%" PRIu64 ",\"bytes\":%" PRIu64 "},\"sections\":[", l->hidden.base,
               l->hidden.bytes);
        return;
    }
    printf("  backend %s, %u CPU, %s signature %#x\n", backend, l->cpu_count, vendor, l->cpu_signature);
    for (uint32_t i = 0; i < l->ram_count; i++)
        printf("  ram     %#" PRIx64 " + %#" PRIx64 "\n", l->ram[i].base, l->ram[i].bytes);
    printf("  hidden  %#" PRIx64 " + %#" PRIx64 "\n", l->hidden.base, l->hidden.bytes);
}

static int do_show(void)
{
    struct shown s = {0};
    struct ckpt_visitor v = {.section = show_section, .pages = stop_at_pages, .ctx = &s};
    static struct disk_meta meta;
    char line[512];
    const struct disk_entry *e = find_checkpoint();
    if (!e)
        return EXIT_FAILURE;
    enum err err = ckpt_read_meta(&store, e->id, &meta);
    if (err) {
        say("%s: checkpoint %" PRIu64 ": %s", opt.path, e->id, err_text(err));
        return EXIT_FAILURE;
    }
    uint64_t unchanged = format_layout_pages(&meta.layout) - e->pages - e->zero_pages; /* 0 in a full one */
    uint32_t chain = store_chain_length(&store, e->id);
    if (opt.json) {
        int n = store_entry_json(e, line, sizeof line);
        printf("%.*s,\"zero_pages\":%" PRIu64 ",\"unchanged_pages\":%" PRIu64 ",\"chain\":%u", n - 1, line,
               e->zero_pages, unchanged, chain); /* the object, left open */
    } else {
        store_entry_line(e, line, sizeof line);
        printf("%s\n%s\n  pages   %" PRIu64 " stored, %" PRIu64 " zero, %" PRIu64 " unchanged\n", store_entry_heading,
               line, e->pages, e->zero_pages, unchanged);
        if (e->parent)
            printf("  chain   builds on %" PRIu64 "; a restore reads %u checkpoints\n", e->parent, chain);
    }
    show_layout(&meta.layout);
    err = ckpt_walk(&store, e, &v, NULL);
    if (opt.json)
        puts("]}");
    if (err && err != E_ALREADY) {
        say("%s: checkpoint %" PRIu64 ": %s", opt.path, e->id, err_text(err));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static const char *pinned_text(const struct disk_entry *e)
{
    return e->flags & ENTRY_FLAG_PINNED ? ", pinned" : "";
}

static bool verify_one(const struct disk_entry *e)
{
    static const struct ckpt_visitor nobody;
    enum err err = ckpt_verify(&store, e->id, NULL);
    if (err && e->parent && !ckpt_walk(&store, e, &nobody, NULL)) /* whole in itself: the fault lies below */
        say("%s: checkpoint %" PRIu64 " cannot be restored, because what it builds on (%" PRIu64 ") is damaged or does "
            "not fit: %s (%s)",
            opt.path, e->id, e->parent, err_text(err), err_name(err));
    else if (err)
        say("%s: checkpoint %" PRIu64 " is damaged: %s (%s); restore another one, then delete it", opt.path, e->id,
            err_text(err), err_name(err));
    else if (e->parent)
        printf("checkpoint %" PRIu64 ": good, %" PRIu64 " pages%s, incremental, and so are all it builds on (%" PRIu64
               " ...)\n",
               e->id, e->pages, pinned_text(e), e->parent);
    else
        printf("checkpoint %" PRIu64 ": good, %" PRIu64 " pages%s, full\n", e->id, e->pages, pinned_text(e));
    return err == E_OK;
}

static int do_verify(void)
{
    bool good = true;
    if (opt.id_text) {
        const struct disk_entry *e = find_checkpoint();
        return e && verify_one(e) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < store_count(&store); i++)
        good = verify_one(store_entry(&store, i)) && good;
    if (!store_count(&store))
        puts("no checkpoints");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int do_delete(void)
{
    const struct disk_entry *e = find_checkpoint();
    if (!e)
        return EXIT_FAILURE;
    uint64_t id = e->id;
    enum err err = store_delete(&store, id);
    if (err == E_BUSY)
        say("%s: another checkpoint builds on %" PRIu64 "; delete that one first", opt.path, id);
    else if (err == E_PINNED)
        say("%s: checkpoint %" PRIu64 " is pinned; first, on Sojourn's console: pin %" PRIu64 " off", opt.path, id, id);
    else if (err)
        say("%s: checkpoint %" PRIu64 " was not deleted: %s", opt.path, id, err_text(err));
    else
        printf("checkpoint %" PRIu64 " deleted\n", id);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* id: 0 takes none, 1 may, 2 must. */
static const struct {
    const char *name;
    int id;
    bool writes, json, force;
    int (*run)(void); /* NULL: format */
} commands[] = {
    {"format", 0, true, false, true, NULL},       {"list", 0, false, true, false, do_list},
    {"show", 2, false, true, false, do_show},     {"verify", 1, false, false, false, do_verify},
    {"delete", 2, true, false, false, do_delete},
};

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    size_t c = 0;
    uint64_t id;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
        fputs(usage_text, stdout);
        return EXIT_SUCCESS;
    }
    if (!parse_arguments(argc, argv) || !opt.command || !opt.path)
        return usage();
    while (c < ARRAY_LEN(commands) && strcmp(commands[c].name, opt.command))
        c++;
    if (c == ARRAY_LEN(commands)) {
        say("no such command: %s", opt.command);
        return usage();
    }
    if ((opt.id_text && commands[c].id == 0) || (!opt.id_text && commands[c].id == 2) ||
        (opt.json && !commands[c].json) || (opt.force && !commands[c].force))
        return usage();
    if (opt.id_text && strcmp(opt.id_text, "latest") && (!parse_number(opt.id_text, false, &id) || id == 0)) {
        say("not a checkpoint's id: %s", opt.id_text);
        return usage();
    }
    if (!host_disk_open(&disk, opt.path, commands[c].writes)) {
        say("%s: %s%s", opt.path, strerror(errno),
            errno == EBUSY || errno == EWOULDBLOCK ? " (mounted, or in use?)" : "");
        return EXIT_FAILURE;
    }
    struct block_part part;
    bool ours;
    int status = EXIT_FAILURE;
    if (find_region(&part, &ours)) {
        if (!commands[c].run)
            status = do_format(part, ours);
        else if (open_store(part))
            status = commands[c].run();
    }
    host_disk_close(&disk);
    return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : status;
}
