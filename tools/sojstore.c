/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore: make, list, check, prune, copy and repair a store of checkpoints from any Linux host, and take
   a checkpoint out of it for a debugger. Where the store is: --offset/--size, --partition N, else the partition of
   Sojourn's type, else the whole file. Exit codes: 0 done, 1 the operation failed, 2 wrong usage. docs/sojstore.1 tells
   the user. Here: the command line, where the store is, and the short commands. */
/* UNITS: ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* UNITS: ckpt/store_load.c ckpt/store_merge.c drivers/block.c drivers/partition.c kernel/err.c */
#include "tools/sojstore.h"

#include "ckpt/store_text.h"
#include "clock.h"
#include "drivers/partition.h"
#include "tools/sojstore_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage_text[] =
    "usage: sojstore format STORE [--force]          make an empty store\n"
    "       sojstore list STORE [--json]             the checkpoints in it\n"
    "       sojstore show STORE ID [--json]          one checkpoint in detail\n"
    "       sojstore verify STORE [ID]               read and check one, or all\n"
    "       sojstore delete STORE ID                 remove one\n"
    "       sojstore extract STORE ID OUT [--force]  memory and registers as an ELF core file, for gdb or crash\n"
    "       sojstore copy STORE TO [--force]         the whole store into another file or device\n"
    "       sojstore repair STORE [--drop-damaged]   bring both superblocks in line; check every checkpoint\n"
    "Encrypted: --key-file FILE, or SOJSTORE_KEY_FILE in the environment; format with it makes such a store. copy:\n"
    "       --to-key-file FILE encrypts the copy, --decrypt makes one that is not.\n"
    "STORE: a file or device; where in it the store is: --partition N, or --offset BYTES [--size BYTES]; else the\n"
    "       partition of Sojourn's type, else all of it. Sizes take the suffixes K, M, G. For the TO of copy:\n"
    "       --to-partition, --to-offset, --to-size.  ID: a number of list, or latest.  -v: say more on stderr.\n";

struct options opt;
struct store store;
static struct seal_key key;
static struct block_dev disk;
static uint8_t work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);

void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("sojstore: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- progress ---- */

#define PROGRESS_AFTER_US 1000000u /* what is done sooner needs none */
#define PROGRESS_EVERY_US 200000u

static struct {
    const char *what;
    uint64_t began, last; /* us */
    bool shown;
} progress;

static void progress_step(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    if (!isatty(STDERR_FILENO))
        return;
    uint64_t now = clock_us();
    if (now - progress.began < PROGRESS_AFTER_US || now - progress.last < PROGRESS_EVERY_US)
        return;
    progress.last = now;
    progress.shown = true;
    fprintf(stderr, "\r%s: %3.0f %% ", progress.what, total ? 100.0 * (double)done / (double)total : 100.0);
    fflush(stderr);
}

const struct ckpt_progress *progress_begin(const char *what)
{
    static const struct ckpt_progress steps = {progress_step, NULL};
    progress.what = what;
    progress.began = clock_us();
    progress.last = 0;
    progress.shown = false;
    return &steps;
}

void progress_end(void)
{
    if (progress.shown)
        fputs("\r\033[K", stderr);
    progress.shown = false;
}

enum err verify_checkpoint(struct store *s, uint64_t id)
{
    char what[48];
    snprintf(what, sizeof what, "checking checkpoint %" PRIu64, id);
    enum err e = ckpt_verify(s, id, progress_begin(what));
    progress_end();
    return e;
}

bool fault_is_below(struct store *s, const struct disk_entry *e)
{
    static const struct ckpt_visitor nobody;
    return e->parent && !ckpt_walk(s, e, &nobody, NULL);
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
    } else if (!parse_number(argv[++*i], !strstr(name, "partition"), value)) {
        say("%s: not a number: %s", name, argv[*i]);
        *bad = true;
    }
    *has = true;
    return true;
}

static bool take_where(int argc, char **argv, int *i, bool to, struct where *w, bool *bad)
{
    return take_value(argc, argv, i, to ? "--to-offset" : "--offset", &w->has_offset, &w->offset, bad) ||
           take_value(argc, argv, i, to ? "--to-size" : "--size", &w->has_size, &w->size, bad) ||
           take_value(argc, argv, i, to ? "--to-partition" : "--partition", &w->has_partition, &w->partition, bad);
}

static bool where_makes_sense(const struct where *w, const char *to)
{
    if (w->has_partition && (w->has_offset || w->has_size)) {
        say("--%spartition and --%soffset/--%ssize exclude each other", to, to, to);
        return false;
    }
    if ((w->offset | w->size) % SECTOR_BYTES || (w->has_size && !w->size)) {
        say("--%soffset and --%ssize must be multiples of %u", to, to, SECTOR_BYTES);
        return false;
    }
    return true;
}

static bool take_text(int argc, char **argv, int *i, const char *name, const char **text, bool *bad)
{
    if (strcmp(argv[*i], name))
        return false;
    *bad = *i + 1 >= argc;
    if (*bad)
        say("%s needs a value", name);
    else
        *text = argv[++*i];
    return true;
}

#define PLAIN_MAX 4u /* words that are no options */

static bool parse_arguments(int argc, char **argv, const char *plain[PLAIN_MAX], size_t *count)
{
    bool bad = false;
    for (int i = 1; i < argc && !bad; i++) {
        if (take_where(argc, argv, &i, false, &opt.where, &bad) ||
            take_where(argc, argv, &i, true, &opt.to_where, &bad) ||
            take_text(argc, argv, &i, "--key-file", &opt.key_file, &bad) ||
            take_text(argc, argv, &i, "--to-key-file", &opt.to_key_file, &bad))
            continue;
        if (!strcmp(argv[i], "--json"))
            opt.json = true;
        else if (!strcmp(argv[i], "--force"))
            opt.force = true;
        else if (!strcmp(argv[i], "--drop-damaged"))
            opt.drop_damaged = true;
        else if (!strcmp(argv[i], "--decrypt"))
            opt.decrypt = true;
        else if (!strcmp(argv[i], "-v"))
            host_verbose = true;
        else if (argv[i][0] == '-' || *count == PLAIN_MAX) {
            say("not understood: %s", argv[i]);
            bad = true;
        } else
            plain[(*count)++] = argv[i];
    }
    return !bad && where_makes_sense(&opt.where, "") && where_makes_sense(&opt.to_where, "to-");
}

/* ---- the key ---- */

/* Drawn by chance from 2^96: after 2^32 records, which is 1 PiB of memory, the same one twice is less likely than 2^-32. */
static void random_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t generation)
{
    (void)generation;
    if (!host_random(nonce, SEAL_NONCE_BYTES)) {
        say("no random numbers: %s", strerror(errno));
        exit(EXIT_FAILURE);
    }
}

bool read_key_file(const char *path, struct seal_key *to)
{
    uint8_t text[128];
    long bytes = host_read_file(path, text, sizeof text);
    if (bytes < 0)
        say("%s: %s", path, strerror(errno));
    bool good = bytes >= 0 && seal_read_key(text, (size_t)bytes, to->bytes);
    if (bytes >= 0 && !good)
        say("%s: no key: it takes 32 bytes, or 64 hexadecimal digits; make one with: head -c 32 /dev/urandom", path);
    to->nonce = random_nonce;
    explicit_bzero(text, sizeof text);
    return good;
}

/* ---- where the store is ---- */

bool find_region(struct block_dev *dev, const char *path, const struct where *where, struct block_part *part,
                 bool *ours)
{
    *ours = true;
    if (where->has_partition) {
        unsigned number = where->partition > UINT16_MAX ? 0 : (unsigned)where->partition;
        enum err e = host_partition(dev, number, part, ours);
        if (e == E_NOTFOUND)
            say("%s: there is no partition %" PRIu64 "; look with: sfdisk -l %s", path, where->partition, path);
        else if (e == E_BADTAG)
            say("%s: no partition table; leave --partition out to use the whole file", path);
        else if (e)
            say("%s: partition %" PRIu64 ": %s", path, where->partition, err_text(e));
        return e == E_OK;
    }
    if (where->has_offset || where->has_size) {
        uint64_t first = where->offset / SECTOR_BYTES;
        uint64_t count = where->has_size ? where->size / SECTOR_BYTES : dev->sectors > first ? dev->sectors - first : 0;
        if (first > dev->sectors || count > dev->sectors - first) {
            say("%s: the region ends behind the file, which has %" PRIu64 " bytes; make it larger with truncate, or "
                "give a smaller --size",
                path, dev->sectors * SECTOR_BYTES);
            return false;
        }
        *part = (struct block_part){dev, first, count};
        return true;
    }
    enum err e = partition_find(dev, "auto", part);
    if (e == E_NOSTORE)
        *part = (struct block_part){dev, 0, dev->sectors};
    else if (e)
        say("%s: cannot look for partitions: %s; say where the store is with --offset", path, err_text(e));
    return e == E_OK || e == E_NOSTORE;
}

/* Whole disks with partitions on them, none of ours: a store over the table would destroy them. */
static bool has_partition_table(struct block_dev *dev)
{
    struct block_part whole = {dev, 0, dev->sectors};
    uint8_t sector[SECTOR_BYTES];
    return !block_read(&whole, 0, 1, sector) && sector[510] == 0x55 && sector[511] == 0xAA;
}

bool may_overwrite(struct block_part part, bool ours, const char *path, const struct where *where, struct store *s,
                   void *memory)
{
    const char *why = "";
    enum err e = store_open(s, part, memory, STORE_WORK_BYTES, &why);
    if (opt.force)
        return true;
    if (!e && store_count(s)) {
        say("%s: there is a store with %u checkpoints; --force destroys it", path, store_count(s));
        return false;
    }
    if (e && e != E_NOSTORE) {
        say("%s: there is a store that cannot be read (%s); --force destroys it", path, why);
        return false;
    }
    if (!ours) {
        say("%s: partition %" PRIu64 " has neither Sojourn's type nor the name " PARTITION_NAME "; set the type with "
            "sfdisk --part-type, or use --force",
            path, where->partition);
        return false;
    }
    if (!where->has_partition && !where->has_offset && part.first == 0 && e && has_partition_table(part.dev)) {
        say("%s: a disk with a partition table, but no partition for a store; make one of type "
            "534F4A4F-5552-4E00-8000-53544F524531, or say where with --partition",
            path);
        return false;
    }
    return true;
}

/* Without a key an encrypted store is looked at as far as that goes; with a wrong one nobody should be left in doubt. */
static bool unlock(void)
{
    enum err e = store_unlock(&store, opt.key_file ? &key : NULL);
    if (!store.sealed && opt.key_file)
        say("%s: note: the store is not encrypted; sojstore copy --to-key-file makes one that is", opt.path);
    if (!e || !opt.key_file)
        return true;
    say("%s: the key in %s is not the store's (%s)", opt.path, opt.key_file, err_name(e));
    return !strcmp(opt.command, "list");
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
    else if (store.stale && strcmp(opt.command, "repair"))
        say("%s: note: one of the two superblocks is damaged or old; the next checkpoint repairs it, and so does: "
            "sojstore repair %s",
            opt.path, opt.path);
    return e == E_OK && unlock();
}

const struct disk_entry *find_checkpoint(void)
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
    uint8_t uuid[16];
    if (!may_overwrite(part, ours, opt.path, &opt.where, &store, work))
        return EXIT_FAILURE;
    if (!host_random(uuid, sizeof uuid)) {
        say("no random numbers: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    enum err e = store_format(&store, part, work, sizeof work, uuid, (int64_t)time(NULL), opt.key_file ? &key : NULL);
    if (e == E_TOOSMALL)
        say("%s: %" PRIu64 " bytes are too small for a store (E_TOOSMALL); it takes %u at the least, and about a third "
            "of the RAM for each checkpoint",
            opt.path, part.count * SECTOR_BYTES, STORE_MIN_BLOCKS * STORE_BLOCK_BYTES);
    else if (e)
        say("%s: format failed: %s", opt.path, err_text(e));
    else
        printf("%s: empty%s store of %" PRIu64 " bytes at %" PRIu64 "\n", opt.path, store.sealed ? " encrypted" : "",
               store_usage(&store).bytes, part.first * SECTOR_BYTES);
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

static const char *pinned_text(const struct disk_entry *e)
{
    return e->flags & ENTRY_FLAG_PINNED ? ", pinned" : "";
}

static bool verify_one(const struct disk_entry *e)
{
    if (format_is_rest(e) && !opt.id_text) {
        printf("checkpoint %" PRIu64 ": being taken over by %" PRIu64 ", which was checked with it\n", e->id,
               store_heir(&store, e->id)->id);
        return true;
    }
    enum err err = verify_checkpoint(&store, e->id);
    if (err == E_KEY)
        say("%s: checkpoint %" PRIu64
            " is not damaged; whether it is what was saved can be told with its key alone (%s): "
            "--key-file",
            opt.path, e->id, err_name(err));
    else if (err && fault_is_below(&store, e))
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

/* What stands behind STORE: words it must and may have; the first of them is an id, or the last is OUT or TO. */
static const struct {
    const char *name;
    unsigned least, most;
    bool id, to, writes, json, force, drop, key;
    int (*run)(void); /* NULL: format */
} commands[] = {
    {"format", .writes = true, .force = true},
    {"list", .json = true, .run = do_list},
    {"show", 1, 1, .id = true, .json = true, .run = do_show},
    {"verify", 0, 1, .id = true, .run = do_verify},
    {"delete", 1, 1, .id = true, .writes = true, .run = do_delete},
    {"extract", 2, 2, .id = true, .to = true, .force = true, .key = true, .run = do_extract},
    {"copy", 1, 1, .to = true, .force = true, .run = do_copy},
    {"repair", .writes = true, .drop = true, .run = do_repair},
};

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

/* The words that are no options to their places; false after a message, where one is needed. */
static bool take_words(const char *const plain[PLAIN_MAX], size_t count, size_t *command)
{
    size_t c = 0;
    uint64_t id;
    if (count < 2)
        return false;
    opt.command = plain[0];
    opt.path = plain[1];
    while (c < ARRAY_LEN(commands) && strcmp(commands[c].name, opt.command))
        c++;
    if (c == ARRAY_LEN(commands)) {
        say("no such command: %s", opt.command);
        return false;
    }
    *command = c;
    const struct where *to = &opt.to_where;
    bool to_where = to->has_offset || to->has_size || to->has_partition;
    if (count - 2 < commands[c].least || count - 2 > commands[c].most || (opt.json && !commands[c].json) ||
        (opt.force && !commands[c].force) || (opt.drop_damaged && !commands[c].drop) ||
        ((to_where || opt.to_key_file || opt.decrypt) && commands[c].run != do_copy) ||
        (opt.to_key_file && opt.decrypt))
        return false;
    if (!opt.key_file)
        opt.key_file = getenv("SOJSTORE_KEY_FILE");
    opt.id_text = commands[c].id ? plain[2] : NULL;
    opt.to = commands[c].to ? plain[count - 1] : NULL;
    if (opt.id_text && strcmp(opt.id_text, "latest") && (!parse_number(opt.id_text, false, &id) || id == 0)) {
        say("not a checkpoint's id: %s", opt.id_text);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *plain[PLAIN_MAX] = {0};
    size_t count = 0, c = 0;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
        fputs(usage_text, stdout);
        return EXIT_SUCCESS;
    }
    if (!parse_arguments(argc, argv, plain, &count) || !take_words(plain, count, &c))
        return usage();
    if (opt.key_file && !read_key_file(opt.key_file, &key))
        return EXIT_FAILURE;
    if (!host_disk_open(&disk, opt.path, commands[c].writes)) {
        say("%s: %s%s", opt.path, strerror(errno),
            errno == EBUSY || errno == EWOULDBLOCK ? " (mounted, or in use?)" : "");
        return EXIT_FAILURE;
    }
    struct block_part part;
    bool ours;
    int status = EXIT_FAILURE;
    if (find_region(&disk, opt.path, &opt.where, &part, &ours)) {
        if (!commands[c].run)
            status = do_format(part, ours);
        else if (open_store(part)) {
            if (commands[c].key && store_locked(&store))
                say("%s: %s (%s)", opt.path, err_text(E_KEY), err_name(E_KEY));
            else
                status = commands[c].run();
        }
    }
    host_disk_close(&disk);
    return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : status;
}
