/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore's commands on any bytes as a disk. What only reads writes nothing; what was repaired verifies.
   Input: fix-ups (1), command and where the store is (1), pieces of the disk (fuzz_image.h). */
/* UNITS: tools/sojstore_part.c tools/sojstore_show.c tools/sojstore_extract.c tools/sojstore_core.c */
/* UNITS: tools/sojstore_reseal.c */
/* UNITS: tools/sojstore_copy.c tools/sojstore_delete.c tools/sojstore_repair.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c */
/* UNITS: ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c drivers/partition.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "sojstore_host.h"

#include "fuzz_image.h"

#include <signal.h>
#include <sys/resource.h>

#define PARTITION_AT 16u /* block: --partition, and --offset 64K */
#define CORE_FILE_MAX (64u << 20)

static bool wrote;
static uint8_t *copy_bytes;

static enum err disk_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    if (dev->driver) { /* the other disk */
        FUZZ_CHECK(op == BLOCK_FLUSH || lba + count <= dev->sectors);
        if (op == BLOCK_READ)
            memcpy(buf, copy_bytes + lba * IMAGE_SECTOR, (size_t)count * IMAGE_SECTOR);
        else if (op == BLOCK_WRITE)
            memcpy(copy_bytes + lba * IMAGE_SECTOR, buf, (size_t)count * IMAGE_SECTOR);
        return E_OK;
    }
    wrote = wrote || op == BLOCK_WRITE;
    return image_begin(dev, op, lba, count, buf);
}

static bool open_disk(struct block_dev *which, const char *path, bool writable)
{
    (void)writable;
    *which = image_dev;
    which->begin = disk_begin;
    which->driver = NULL;
    if (!strcmp(path, "copy.img")) {
        copy_bytes = copy_bytes ? copy_bytes : malloc(IMAGE_BYTES);
        memset(copy_bytes, 0, IMAGE_BYTES);
        which->driver = copy_bytes;
    }
    return true;
}

static const uint8_t random_bytes[16] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
static const struct made_up_host made_up_host = {.open = open_disk, .random = random_bytes};

long host_read_file(const char *path, uint8_t *data, size_t room)
{
    (void)path;
    memcpy(data, "0123456789abcdef0123456789ABCDEF", 32);
    return room < 32 ? -1 : 32;
}

/* A core file no larger than it has to be, whatever the checkpoint says of its memory. */
static char core_path[64];

static void start_once(void)
{
    static char directory[] = "/tmp/fuzz_sojstore.XXXXXX";
    struct rlimit most;
    if (core_path[0])
        return;
    FUZZ_CHECK(mkdtemp(directory));
    snprintf(core_path, sizeof core_path, "%s/core", directory);
    getrlimit(RLIMIT_FSIZE, &most);
    most.rlim_cur = CORE_FILE_MAX;
    setrlimit(RLIMIT_FSIZE, &most);
    signal(SIGXFSZ, SIG_IGN);
}

static void end_once(void)
{
    char *slash = strrchr(core_path, '/');
    unlink(core_path);
    if (slash) {
        *slash = 0;
        rmdir(core_path);
    }
}

static int run(const char *line, const char *where)
{
    static FILE *nowhere;
    char words[256], *argv[16] = {words};
    int argc = 1;
    nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
    snprintf(words, sizeof words, "sojstore %s%s", line, where);
    (void)strtok(words, " ");
    for (char *w; argc < 16 && (w = strtok(NULL, " ")); argc++)
        argv[argc] = strcmp(w, "CORE") ? w : core_path;
    FILE *keep = stdout;
    stdout = nowhere; /* glibc lets it */
    memset(&opt, 0, sizeof opt);
    host_verbose = false;
    int status = sojstore_main(argc, argv);
    stdout = keep;
    FUZZ_CHECK(status >= 0 && status <= 2);
    return status;
}

static const struct {
    const char *line;
    bool writes;
} lines[] = {
    {"list disk.img", false},
    {"list disk.img --json", false},
    {"show disk.img 1", false},
    {"show disk.img latest", false},
    {"show disk.img latest --json", false},
    {"verify disk.img", false},
    {"verify disk.img latest", false},
    {"extract disk.img latest CORE --force", false},
    {"extract disk.img 1 CORE --force", false},
    {"copy disk.img copy.img --to-offset 0 --to-size 4M", false},
    {"delete disk.img 1", true},
    {"delete disk.img latest", true},
    {"repair disk.img", true},
    {"repair disk.img --drop-damaged", true},
    {"format disk.img", true},
    {"format disk.img --force", true},
};

static const char *const wheres[] = {" --offset 0 --size 4M", "", " --offset 64K", " --partition 1"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    start_once();
    static bool once;
    if (!once)
        atexit(end_once);
    once = true;
    uint32_t which = data[1] % 16, at = data[1] / 16 % 4;
    image_lay(data + 2, size - 2);
    image_fix(image + (at >= 2 ? PARTITION_AT * STORE_BLOCK_BYTES : 0), data[0]);
    wrote = false;
    int status = run(lines[which].line, wheres[at]);
    FUZZ_CHECK(lines[which].writes || !wrote);
    if (status == 0 && which >= 12) /* repaired, or made new */
        FUZZ_CHECK(run("verify disk.img", wheres[at]) == 0);
    unlink(core_path);
    return 0;
}
