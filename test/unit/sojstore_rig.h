/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore as a function, for its tests: the program's main on the rig's disk ("disk.img"), with what it prints caught,
   and a second disk in memory ("copy.img") to copy to. */
#ifndef SOJOURN_TEST_SOJSTORE_RIG_H
#define SOJOURN_TEST_SOJSTORE_RIG_H

#include "sojstore_host.h"

#include "store_rig.h"

static char out[16384], err[16384];
static bool opened_writable, open_fails;

/* copy.img: not there while copy_bytes is NULL. */
static uint8_t *copy_bytes;
static uint64_t copy_sectors;
static bool copy_spoils;          /* each megabyte read from it has a wrong byte */
static uint64_t copy_writes_left; /* then it fails */
static struct block_dev *copy_dev;

static enum err copy_result;
static enum err copy_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    ck_assert_uint_le(op == BLOCK_FLUSH ? 0 : lba + count, dev->sectors);
    copy_result = op != BLOCK_WRITE ? E_OK : copy_writes_left ? E_OK : E_IO;
    copy_writes_left -= op == BLOCK_WRITE && copy_writes_left;
    if (op == BLOCK_READ) {
        memcpy(buf, copy_bytes + lba * SECTOR, (size_t)count * SECTOR);
        if (copy_spoils && lba >= STORE_DATA_FIRST * STORE_BLOCK_SECTORS)
            ((uint8_t *)buf)[count * SECTOR / 2] ^= 1;
    } else if (op == BLOCK_WRITE && !copy_result) {
        memcpy(copy_bytes + lba * SECTOR, buf, (size_t)count * SECTOR);
    }
    return E_OK;
}

static enum err copy_finish(struct block_dev *dev)
{
    (void)dev;
    return copy_result;
}

/* copy.img as a file of so many bytes; 0: no such file. */
__attribute__((unused)) static void copy_make(uint64_t bytes)
{
    free(copy_bytes);
    copy_bytes = bytes ? malloc(bytes) : NULL;
    copy_sectors = bytes / SECTOR;
    copy_spoils = false;
    copy_writes_left = UINT64_MAX;
    if (bytes)
        memset(copy_bytes, 0xa5, bytes);
}

static bool open_disk(struct block_dev *which, const char *path, bool writable)
{
    if (!strcmp(path, "copy.img")) {
        ck_assert(writable || !copy_dev);
        errno = ENOENT;
        if (!copy_bytes)
            return false;
        *which = (struct block_dev){.name = "copy",
                                    .sectors = copy_sectors,
                                    .align_sectors = 1,
                                    .max_sectors = 256,
                                    .begin = copy_begin,
                                    .finish = copy_finish};
        copy_dev = which;
        return true;
    }
    ck_assert_str_eq(path, "disk.img");
    opened_writable = writable;
    errno = ENOENT;
    *which = rig.dev;
    return !open_fails;
}

static void close_disk(struct block_dev *which)
{
    if (which == copy_dev)
        copy_dev = NULL;
}

static bool create_copy(const char *path, uint64_t bytes)
{
    ck_assert_str_eq(path, "copy.img");
    ck_assert_ptr_null(copy_bytes);
    copy_make(bytes);
    memset(copy_bytes, 0, bytes);
    return true;
}

static const struct made_up_host made_up_host = {open_disk, close_disk, create_copy, rig_uuid, true};

/* Two keys: the one of test_key.h as it is, and one as text; and files that are none. */
#define OTHER_KEY_TEXT "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
long host_read_file(const char *path, uint8_t *data, size_t room)
{
    if (!strcmp(path, "key")) {
        memcpy(data, test_key.bytes, SEAL_KEY_BYTES);
        return SEAL_KEY_BYTES;
    }
    if (!strcmp(path, "other"))
        return snprintf((char *)data, room, OTHER_KEY_TEXT "\n");
    errno = ENOENT;
    return strcmp(path, "short") ? -1 : 31;
}

static void slurp(FILE *f, char *text)
{
    fflush(f);
    rewind(f);
    text[fread(text, 1, 16383, f)] = 0;
    fclose(f);
}

/* Run a command line; what it printed is in out and err. */
static int run(const char *line)
{
    static char words[512];
    char *argv[16] = {"sojstore"};
    int argc = 1;
    strcpy(words, line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    FILE *o = tmpfile(), *e = tmpfile();
    fflush(NULL);
    int old_out = dup(1), old_err = dup(2);
    dup2(fileno(o), 1);
    dup2(fileno(e), 2);
    memset(&opt, 0, sizeof opt);
    int status = sojstore_main(argc, argv);
    fflush(NULL);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    slurp(o, out);
    slurp(e, err);
    if (status)
        ck_assert_msg(strlen(err) > 10, "no message: %s", line);
    return status;
}

#define OFFSET " --offset 32768 --size 6M" /* where rig_part() is */

#endif
