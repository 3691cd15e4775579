/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Files and block devices for sojstore, and the few services the store's core asks of its surroundings: log,
   clock, formatting. UNITS are in sojstore.c. */
#include "tools/sojstore_host.h"

#include "clock.h"
#include "log.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR_BYTES 512
#define MOST_SECTORS 2048 /* 1 MiB per command */

bool host_verbose;

void log_line(const char *module, const char *fmt, ...)
{
    va_list args;
    if (!host_verbose)
        return;
    va_start(args, fmt);
    fprintf(stderr, "%s: ", module);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int str_vformat(char *buf, size_t len, const char *fmt, va_list args)
{
    return vsnprintf(buf, len, fmt, args);
}

int str_format(char *buf, size_t len, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(buf, len, fmt, args);
    va_end(args);
    return n;
}

bool host_random(uint8_t bytes[16])
{
    return getrandom(bytes, 16, 0) == 16;
}

/* ---- the disk: commands are done when they begin ---- */

struct host_disk {
    int fd;
    enum err result;
};

static struct host_disk disk = {-1, E_OK};

/* All of it, however the kernel cuts it. */
static bool move_bytes(enum block_op op, uint64_t at, size_t bytes, uint8_t *buf)
{
    while (bytes) {
        ssize_t n = op == BLOCK_READ ? pread(disk.fd, buf, bytes, (off_t)at) : pwrite(disk.fd, buf, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (uint64_t)n;
        bytes -= (size_t)n;
        buf += n;
    }
    return true;
}

static enum err begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    (void)dev;
    bool ok =
        op == BLOCK_FLUSH ? !fsync(disk.fd) : move_bytes(op, lba * SECTOR_BYTES, (size_t)count * SECTOR_BYTES, buf);
    disk.result = ok ? E_OK : E_IO;
    return E_OK;
}

static enum err finish(struct block_dev *dev)
{
    (void)dev;
    return disk.result;
}

bool host_disk_open(struct block_dev *dev, const char *path, bool writable)
{
    struct stat st;
    uint64_t bytes = 0;
    /* O_EXCL on a block device: refused while it, or a partition of it, is mounted. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC;
    if (stat(path, &st))
        return false;
    if (writable && S_ISBLK(st.st_mode))
        flags |= O_EXCL;
    disk.fd = open(path, flags);
    if (disk.fd < 0)
        return false;
    if (fstat(disk.fd, &st))
        goto fail;
    if (S_ISREG(st.st_mode)) {
        bytes = (uint64_t)st.st_size;
    } else if (!S_ISBLK(st.st_mode)) {
        errno = ENOTBLK;
        goto fail;
    } else if (ioctl(disk.fd, BLKGETSIZE64, &bytes)) {
        goto fail;
    }
    if (writable && flock(disk.fd, LOCK_EX | LOCK_NB))
        goto fail;
    *dev = (struct block_dev){.name = "file",
                              .sectors = bytes / SECTOR_BYTES,
                              .align_sectors = 1,
                              .max_sectors = MOST_SECTORS,
                              .begin = begin,
                              .finish = finish};
    return true;
fail:
    close(disk.fd);
    disk.fd = -1;
    return false;
}

void host_disk_close(struct block_dev *dev)
{
    (void)dev;
    if (disk.fd >= 0)
        close(disk.fd);
    disk.fd = -1;
}
