/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Files and block devices for sojstore, and the few services the store's core asks of its surroundings: log,
   clock, formatting. UNITS are in sojstore.c. */
#include "tools/sojstore_host.h"

#include "clock.h"
#include "log.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

bool host_random(uint8_t *bytes, size_t count)
{
    return getrandom(bytes, count, 0) == (ssize_t)count;
}

long host_read_file(const char *path, uint8_t *data, size_t room)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    size_t got = 0;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && got < room) {
        n = read(fd, data + got, room - got);
        got += n > 0 ? (size_t)n : 0;
    }
    if (fd > STDIN_FILENO)
        close(fd);
    return n < 0 ? -1 : (long)got;
}

/* ---- the disk: commands are done when they begin ---- */

struct host_disk {
    int fd;
    bool open;
    enum err result; /* of the last command */
};

static struct host_disk disks[2]; /* copy has two */

/* All of it, however the kernel cuts it. */
static bool move_bytes(int fd, enum block_op op, uint64_t at, size_t bytes, uint8_t *buf)
{
    while (bytes) {
        ssize_t n = op == BLOCK_READ ? pread(fd, buf, bytes, (off_t)at) : pwrite(fd, buf, bytes, (off_t)at);
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
    struct host_disk *d = dev->driver;
    bool ok = op == BLOCK_FLUSH ? !fsync(d->fd)
                                : move_bytes(d->fd, op, lba * SECTOR_BYTES, (size_t)count * SECTOR_BYTES, buf);
    d->result = ok ? E_OK : E_IO;
    return E_OK;
}

static enum err finish(struct block_dev *dev)
{
    return ((struct host_disk *)dev->driver)->result;
}

/* The length of an open file or block device; false, with errno set, for anything else. */
static bool length_of(int fd, uint64_t *bytes)
{
    struct stat st;
    if (fstat(fd, &st))
        return false;
    if (S_ISREG(st.st_mode)) {
        *bytes = (uint64_t)st.st_size;
        return true;
    }
    if (S_ISBLK(st.st_mode))
        return !ioctl(fd, BLKGETSIZE64, bytes);
    errno = ENOTBLK;
    return false;
}

bool host_disk_open(struct block_dev *dev, const char *path, bool writable)
{
    struct stat st;
    uint64_t bytes = 0;
    struct host_disk *d = disks[0].open ? &disks[1] : &disks[0];
    /* O_EXCL on a block device: refused while it, or a partition of it, is mounted. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC;
    if (stat(path, &st))
        return false;
    if (writable && S_ISBLK(st.st_mode))
        flags |= O_EXCL;
    d->fd = open(path, flags);
    if (d->fd < 0)
        return false;
    if (!length_of(d->fd, &bytes) || (writable && flock(d->fd, LOCK_EX | LOCK_NB))) {
        close(d->fd);
        return false;
    }
    d->open = true;
    *dev = (struct block_dev){.name = "file",
                              .sectors = bytes / SECTOR_BYTES,
                              .align_sectors = 1,
                              .max_sectors = MOST_SECTORS,
                              .begin = begin,
                              .finish = finish,
                              .driver = d};
    return true;
}

void host_disk_close(struct block_dev *dev)
{
    struct host_disk *d = dev->driver;
    if (d->open)
        close(d->fd);
    d->open = false;
}

bool host_file_create(const char *path, uint64_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return false;
    if (!ftruncate(fd, (off_t)bytes))
        return !close(fd);
    int why = errno;
    close(fd);
    unlink(path);
    errno = why;
    return false;
}

/* The directory of a block device in sysfs; that of a partition lies in its disk's. */
static bool device_directory(dev_t device, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(device), minor(device));
    return realpath(link, path) != NULL;
}

static bool lies_in(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return !strncmp(path, directory, len) && (path[len] == '/' || path[len] == 0);
}

bool host_same_file(const char *a, const char *b)
{
    static char path_a[PATH_MAX], path_b[PATH_MAX];
    struct stat x, y;
    if (stat(a, &x) || stat(b, &y))
        return false;
    if (!S_ISBLK(x.st_mode) || !S_ISBLK(y.st_mode))
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    if (x.st_rdev == y.st_rdev)
        return true;
    return device_directory(x.st_rdev, path_a) && device_directory(y.st_rdev, path_b) &&
           (lies_in(path_a, path_b) || lies_in(path_b, path_a));
}
