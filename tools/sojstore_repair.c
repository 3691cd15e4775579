/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore repair: say what is wrong with a store that still opens, bring its two superblocks in line, and
   take out the checkpoints that are damaged if asked to. UNITS are in sojstore.c. */
#include "tools/sojstore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct copy_state {
    enum err e;
    const char *why;
    uint64_t generation;
    uint32_t count; /* checkpoints */
};

/* Look at one copy of superblock and table by itself. Uses the store's io buffer. */
static struct copy_state look_at(struct store *s, uint32_t slot)
{
    static struct disk_super super;
    uint64_t sector = (uint64_t)slot * STORE_SLOT_BLOCKS * STORE_BLOCK_SECTORS;
    struct copy_state c = {.why = "it cannot be read"};
    c.e = block_read(&s->part, sector, STORE_BLOCK_SECTORS, s->io[0]);
    if (c.e)
        return c;
    memcpy(&super, s->io[0], sizeof super);
    c.e = format_check_super(&super, s->part.count / STORE_BLOCK_SECTORS, &c.why);
    if (c.e)
        return c;
    c.generation = super.generation;
    c.count = super.table_count;
    uint32_t blocks = format_table_blocks(super.table_count);
    c.why = "its table cannot be read";
    if (blocks)
        c.e = block_read(&s->part, sector + STORE_BLOCK_SECTORS, blocks * STORE_BLOCK_SECTORS, s->io[0]);
    if (!c.e)
        c.e = format_check_table(&super, (const struct disk_entry *)(const void *)s->io[0], &c.why);
    return c;
}

static void report_copies(void)
{
    for (uint32_t slot = 0; slot < STORE_SLOTS; slot++) {
        struct copy_state c = look_at(&store, slot);
        char name = (char)('A' + slot);
        if (c.e)
            printf("superblock %c: damaged: %s (%s)\n", name, c.why, err_name(c.e));
        else if (slot == store.slot)
            printf("superblock %c: good, generation %" PRIu64 ", %u checkpoints, in force\n", name, c.generation,
                   c.count);
        else
            printf("superblock %c: %s, generation %" PRIu64 ", %u checkpoints\n", name, store.stale ? "old" : "good",
                   c.generation, c.count);
    }
}

static bool bring_in_line(void)
{
    if (!store.stale)
        return true;
    char name = (char)('A' + (store.slot ^ 1));
    enum err e = store_sync(&store);
    if (e)
        say("%s: superblock %c cannot be repaired: %s; copy the store to another place with sojstore copy", opt.path,
            name, err_text(e));
    else
        printf("superblock %c: written again\n", name);
    return e == E_OK;
}

/* What a reading error or another version's checkpoint is, a better cable or program may still read. */
static bool is_damage(enum err e)
{
    return e == E_CHECKSUM || e == E_TRUNCATED;
}

/* true: it is gone. */
static bool drop(uint64_t id)
{
    enum err e = store_delete(&store, id);
    if (e == E_BUSY)
        say("%s: checkpoint %" PRIu64 " stays: another one builds on it; delete that one first", opt.path, id);
    else if (e == E_PINNED)
        say("%s: checkpoint %" PRIu64 " stays: it is pinned; first, on Sojourn's console: pin %" PRIu64 " off",
            opt.path, id, id);
    else if (e)
        say("%s: checkpoint %" PRIu64 " was not removed: %s", opt.path, id, err_text(e));
    else
        printf("checkpoint %" PRIu64 ": removed\n", id);
    return e == E_OK;
}

/* true: good, or gone. */
static bool treat(const struct disk_entry *entry)
{
    uint64_t id = entry->id;
    if (format_is_rest(entry)) /* good or bad with the one it is for */
        return true;
    enum err e = verify_checkpoint(&store, id);
    if (!e) {
        printf("checkpoint %" PRIu64 ": good\n", id);
        return true;
    }
    if (e == E_KEY) {
        printf("checkpoint %" PRIu64 ": not damaged; the rest is for who has the key (%s)\n", id, err_name(e));
        return true;
    }
    bool below = is_damage(e) && fault_is_below(&store, entry);
    printf("checkpoint %" PRIu64 ": %s: %s (%s)\n", id,
           below          ? "builds on a damaged one"
           : is_damage(e) ? "damaged"
                          : "cannot be read",
           err_text(e), err_name(e));
    if (is_damage(e) && opt.drop_damaged)
        return drop(id);
    if (is_damage(e))
        say("%s: checkpoint %" PRIu64 " %s; --drop-damaged removes it", opt.path, id,
            below ? "builds on a damaged one" : "is damaged");
    else
        say("%s: checkpoint %" PRIu64 " cannot be read: %s; try again with the disk on another port, or with another "
            "sojstore",
            opt.path, id, err_text(e));
    return false;
}

static const struct disk_entry *newest_below(uint64_t id)
{
    for (uint32_t i = store_count(&store); i > 0; i--)
        if (store_entry(&store, i - 1)->id < id)
            return store_entry(&store, i - 1);
    return NULL;
}

int do_repair(void)
{
    report_copies();
    bool good = bring_in_line();
    /* From the newest: what builds on a damaged one goes before it. */
    uint64_t above = UINT64_MAX;
    for (const struct disk_entry *e; (e = newest_below(above)) != NULL;) {
        above = e->id; /* what is dropped may take a rest with it */
        good = treat(e) && good;
    }
    printf("%s: %s, %u checkpoints\n", opt.path, good ? "in order" : "not in order", store_count(&store));
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
