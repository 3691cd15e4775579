/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore copy: a whole store into another file or device, every block to the same place. As in every
   commit, the superblocks come last: a copy that was cut off is no store, or an empty one. UNITS are in sojstore.c. */
#include "bits.h"
#include "tools/sojstore.h"
#include "tools/sojstore_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BLOCKS (STORE_IO_BYTES / STORE_BLOCK_BYTES)

static uint8_t to_work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);

/* Bytes from the store's start to behind the last block that is in use. */
static uint64_t used_end(const struct store *s)
{
    uint64_t end = STORE_MIN_BLOCKS;
    for (uint32_t i = 0; i < store_count(s); i++) {
        const struct disk_entry *e = store_entry(s, i);
        for (uint32_t j = 0; j < e->run_count; j++)
            end = max_u64(end, e->runs[j].first + e->runs[j].count);
    }
    return end * STORE_BLOCK_BYTES;
}

static enum err copy_run(struct store *to, const struct disk_run *run, uint64_t *done, uint64_t total,
                         const struct ckpt_progress *progress)
{
    for (uint64_t at = 0; at < run->count; at += PIECE_BLOCKS) {
        uint64_t n = min_u64(PIECE_BLOCKS, run->count - at), sector = (run->first + at) * STORE_BLOCK_SECTORS;
        enum err e = block_read(&store.part, sector, n * STORE_BLOCK_SECTORS, store.io[0]);
        if (e) {
            say("%s: block %" PRIu64 ": %s; find the damaged checkpoint with sojstore verify and delete it", opt.path,
                run->first + at, err_text(e));
            return e;
        }
        e = block_write(&to->part, sector, n * STORE_BLOCK_SECTORS, store.io[0]);
        if (e) {
            say("%s: block %" PRIu64 ": %s; copy to another place", opt.to, run->first + at, err_text(e));
            return e;
        }
        *done += n * STORE_BLOCK_BYTES;
        progress->step(progress->ctx, *done, total);
    }
    return E_OK;
}

static enum err copy_data(struct store *to)
{
    uint64_t done = 0, total = store_usage(&store).used;
    const struct ckpt_progress *progress = progress_begin("copying");
    enum err err = E_OK;
    for (uint32_t i = 0; i < store_count(&store) && !err; i++) {
        const struct disk_entry *e = store_entry(&store, i);
        for (uint32_t j = 0; j < e->run_count && !err; j++)
            err = copy_run(to, &e->runs[j], &done, total, progress);
    }
    progress_end();
    return err;
}

/* What the superblock says and is not in the table; then both copies are written. */
static enum err adopt_numbers(struct store *to)
{
    to->generation = max_u64(to->generation, store.generation);
    to->next_id = store.next_id;
    to->features_write = store.features_write;
    to->features_optional = store.features_optional;
    for (uint32_t slot = 0; slot < STORE_SLOTS; slot++) {
        to->stale = true;
        enum err e = store_sync(to);
        if (e) {
            say("%s: %s; copy to another place", opt.to, err_text(e));
            return e;
        }
    }
    return E_OK;
}

/* The table and what the superblock says, the length excepted: the copy has all of its new place. */
static enum err adopt_table(struct store *to)
{
    to->count = store.count;
    memcpy(to->table, store.table, STORE_TABLE_MAX * sizeof *to->table);
    memcpy(to->uuid, store.uuid, sizeof to->uuid);
    to->sealed = store.sealed;
    memcpy(to->key_check, store.key_check, sizeof to->key_check);
    return adopt_numbers(to);
}

static bool verify_copy(struct block_part part, const struct seal_key *key)
{
    static struct store to;
    const char *why = "";
    bool good = true;
    enum err e = store_open(&to, part, to_work, sizeof to_work, &why);
    if (e || store_count(&to) != store_count(&store)) {
        say("%s: the copy cannot be read back (%s); copy to another place", opt.to,
            e ? why : "checkpoints are missing");
        return false;
    }
    enum err locked = store_unlock(&to, key);
    for (uint32_t i = 0; i < store_count(&to); i++) {
        uint64_t id = store_entry(&to, i)->id;
        if (format_is_rest(store_entry(&to, i))) /* read with the one it is for */
            continue;
        e = verify_checkpoint(&to, id);
        if (!e || (e == E_KEY && locked))
            continue;
        good = false;
        if (verify_checkpoint(&store, id))
            say("%s: checkpoint %" PRIu64 " is damaged (%s), and so is its copy; remove it there with: sojstore repair "
                "%s --drop-damaged",
                opt.path, id, err_name(e), opt.to);
        else
            say("%s: checkpoint %" PRIu64 " was not written as it was read (%s); copy to another place", opt.to, id,
                err_name(e));
    }
    return good;
}

static bool fits(struct block_part part)
{
    uint64_t need = used_end(&store), have = part.count * SECTOR_BYTES;
    if (have >= need)
        return true;
    say("%s: has %" PRIu64 " bytes, the store in %s uses %" PRIu64 "; make it larger (truncate -s %" PRIu64
        " %s), or delete checkpoints first",
        opt.to, have, opt.path, need, need + part.first * SECTOR_BYTES, opt.to);
    return false;
}

/* Is it to be sealed in another way than it is? */
static bool reseals(void)
{
    return opt.to_key_file || (opt.decrypt && store.sealed);
}

static bool copy_as_it_is(struct store *to, struct block_part part)
{
    return !copy_data(to) && !adopt_table(to) && verify_copy(part, store.key);
}

static bool copy_resealed(struct store *to, struct block_part part)
{
    const struct seal_key *key = to->key;
    return reseal_checkpoints(to) && !adopt_numbers(to) && verify_copy(part, key);
}

static int copy_to(struct block_dev *disk)
{
    static struct store to;
    static struct seal_key key;
    uint8_t uuid[16];
    struct block_part part;
    bool ours;
    if (!find_region(disk, opt.to, &opt.to_where, &part, &ours) || !fits(part) ||
        !may_overwrite(part, ours, opt.to, &opt.to_where, &to, to_work))
        return EXIT_FAILURE;
    /* An empty store first, which takes away what was there; then nothing points to the blocks being written. */
    memcpy(uuid, store.uuid, sizeof uuid);
    if (opt.to_key_file && !read_key_file(opt.to_key_file, &key))
        return EXIT_FAILURE;
    if (reseals() && !host_random(uuid, sizeof uuid)) { /* what is sealed for one is not good in the other */
        say("no random numbers: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    enum err e = store_format(&to, part, to_work, sizeof to_work, uuid, store.created, opt.to_key_file ? &key : NULL);
    if (e) {
        say("%s: %s; copy to another place", opt.to, err_text(e));
        return EXIT_FAILURE;
    }
    if (!(reseals() ? copy_resealed : copy_as_it_is)(&to, part))
        return EXIT_FAILURE;
    printf("%s: %u checkpoints copied and verified, %sstore of %" PRIu64 " bytes\n", opt.to, store_count(&to),
           to.sealed      ? "encrypted "
           : store.sealed ? "decrypted "
                          : "",
           store_usage(&to).bytes);
    return EXIT_SUCCESS;
}

int do_copy(void)
{
    struct block_dev disk;
    const struct where *w = &opt.to_where;
    if (store.read_only) {
        say("%s: %s; copy it with the sojstore that belongs to it", opt.path, err_text(E_STOREVERSION));
        return EXIT_FAILURE;
    }
    if (reseals() && store_locked(&store)) {
        say("%s: %s (%s)", opt.path, err_text(E_KEY), err_name(E_KEY));
        return EXIT_FAILURE;
    }
    if (host_same_file(opt.path, opt.to)) {
        say("%s: is the store itself, or a disk it is on; name another file or device", opt.to);
        return EXIT_FAILURE;
    }
    bool opened = host_disk_open(&disk, opt.to, true);
    if (!opened && errno == ENOENT && !w->has_offset && !w->has_size && !w->has_partition)
        opened = host_file_create(opt.to, store_usage(&store).bytes) && host_disk_open(&disk, opt.to, true);
    if (!opened) {
        say("%s: %s%s; name another file or device", opt.to, strerror(errno),
            errno == EBUSY || errno == EWOULDBLOCK ? " (mounted, or in use?)" : "");
        return EXIT_FAILURE;
    }
    int status = copy_to(&disk);
    host_disk_close(&disk);
    return status;
}
