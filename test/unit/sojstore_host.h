/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore's program as a function, sojstore_main(), on a host that its test makes up: struct made_up_host says what is
   there, and stands for tools/sojstore_host.c. To be included once, before anything else of the test's. */
#ifndef SOJOURN_TEST_SOJSTORE_HOST_H
#define SOJOURN_TEST_SOJSTORE_HOST_H

int sojstore_main(int argc, char **argv);
#define main sojstore_main
#include "tools/sojstore.c"
#undef main

/* As the functions of tools/sojstore_host.h; NULL: see there. */
struct made_up_host {
    bool (*open)(struct block_dev *dev, const char *path, bool writable);
    void (*close)(struct block_dev *dev);                  /* NULL: nothing to do */
    bool (*create)(const char *path, uint64_t file_bytes); /* NULL: it cannot be */
    const uint8_t *random;                                 /* 16 bytes, the same each time */
    bool counts;                                           /* but for the first, which goes up */
};
static const struct made_up_host made_up_host; /* the test's */

bool host_verbose;

bool host_disk_open(struct block_dev *dev, const char *path, bool writable)
{
    return made_up_host.open(dev, path, writable);
}

void host_disk_close(struct block_dev *dev)
{
    if (made_up_host.close)
        made_up_host.close(dev);
}

bool host_file_create(const char *path, uint64_t bytes)
{
    return made_up_host.create && made_up_host.create(path, bytes);
}

bool host_same_file(const char *a, const char *b)
{
    return !strcmp(a, b);
}

bool host_random(uint8_t *bytes, size_t count)
{
    static uint8_t calls;
    memcpy(bytes, made_up_host.random, count);
    if (made_up_host.counts)
        bytes[0] = ++calls;
    return true;
}

#endif
