/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Test data readers: memory maps ("BASE END TYPE" per line) and memory dumps ("ADDRESS: BYTES" per line), all hex. */
#ifndef SOJOURN_TEST_DATA_LOAD_H
#define SOJOURN_TEST_DATA_LOAD_H

#include "boot/memmap.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static inline size_t data_load_map(const char *path, struct memmap_entry *entries, size_t max)
{
    char line[128];
    size_t count = 0;
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    while (fgets(line, sizeof line, f)) {
        unsigned long base, end;
        unsigned type;
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(sscanf(line, "%lx %lx %x", &base, &end, &type), 3);
        ck_assert_uint_lt(count, max);
        entries[count++] = (struct memmap_entry){.base = base, .end = end, .type = type};
    }
    fclose(f);
    ck_assert_uint_gt(count, 0);
    return count;
}

/* Puts the bytes at memory + address; returns how many. */
static inline size_t data_load_dump(const char *path, uint8_t *memory, size_t memory_bytes)
{
    char line[256];
    size_t total = 0;
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    while (fgets(line, sizeof line, f)) {
        unsigned long address;
        int used;
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(sscanf(line, "%lx: %n", &address, &used), 1);
        for (unsigned byte; sscanf(line + used, "%2x", &byte) == 1; used += 2, total++, address++) {
            ck_assert_uint_lt(address, memory_bytes);
            memory[address] = (uint8_t)byte;
        }
    }
    fclose(f);
    ck_assert_uint_gt(total, 0);
    return total;
}

#endif
