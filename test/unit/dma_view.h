/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a model of a device (ckpt/dma.h) asks of its caller, for its tests: registers and a memory that the test lays out, a list of the targets,
   and a pool that is full after so many of them. */
#ifndef SOJOURN_TEST_DMA_VIEW_H
#define SOJOURN_TEST_DMA_VIEW_H

#include "bits.h"
#include "ckpt/dma.h"
#include "unit.h"

#include <string.h>

#define GIB 0x40000000ull
#define RAM_BYTES 0x40000u
#define TARGETS 512u
#define REG_BYTES 0x4000u
#define READ_CLEARS 0xC0u /* ICR */
#define ONES 0xFFFFFFFFu
#define FAR 0x1200000000ull /* no RAM */

static uint8_t ram[RAM_BYTES];
static uint64_t ram_base; /* where it lies */
static uint32_t regs[REG_BYTES / 4];
static struct target {
    uint64_t gpa, bytes;
} targets[TARGETS];
static unsigned target_count, room; /* room: the pool is full after so many */

static uint32_t reg(void *ctx, uint32_t offset)
{
    ck_assert_ptr_eq(ctx, targets);
    ck_assert(offset % 4 == 0 && offset < REG_BYTES && offset != READ_CLEARS);
    return regs[offset / 4];
}

static bool mem(void *ctx, uint64_t gpa, void *to, size_t bytes)
{
    ck_assert_ptr_eq(ctx, targets);
    if (gpa < ram_base || gpa - ram_base > RAM_BYTES - bytes)
        return false;
    memcpy(to, ram + (gpa - ram_base), bytes);
    return true;
}

static bool target(void *ctx, uint64_t gpa, uint64_t bytes)
{
    ck_assert_ptr_eq(ctx, targets);
    if (target_count == room)
        return false;
    if (target_count < TARGETS)
        targets[target_count] = (struct target){gpa, bytes};
    target_count++;
    return true;
}

static const struct dma_view view = {.reg = reg, .mem = mem, .target = target, .ctx = targets};

static void fresh(uint64_t base)
{
    memset(ram, 0, sizeof ram);
    memset(regs, 0, sizeof regs);
    ram_base = base;
    target_count = 0;
    room = UINT32_MAX;
}

static void put(uint64_t gpa, const void *what, size_t bytes)
{
    ck_assert(gpa >= ram_base && gpa - ram_base <= RAM_BYTES - bytes);
    memcpy(ram + (gpa - ram_base), what, bytes);
}

static void put64(uint64_t gpa, uint64_t value)
{
    put(gpa, &value, sizeof value);
}

static void set(uint32_t offset, uint32_t value)
{
    regs[offset / 4] = value;
}

static void set64(uint32_t offset, uint64_t value)
{
    set(offset, (uint32_t)value);
    set(offset + 4, (uint32_t)(value >> 32));
}

static enum dma_verdict given(const struct dma_model *m)
{
    target_count = 0;
    return m->given(&view);
}

static enum dma_verdict writes(const struct dma_model *m, uint32_t offset, uint32_t value, unsigned bytes)
{
    struct dma_write w = {offset, value, bytes};
    target_count = 0;
    return m->write(&view, &w);
}

#define EXPECT(...)                                                                                                    \
    do {                                                                                                               \
        const struct target want_[] = {__VA_ARGS__};                                                                   \
        ck_assert_uint_eq(target_count, ARRAY_LEN(want_));                                                             \
        for (size_t i_ = 0; i_ < ARRAY_LEN(want_); i_++) {                                                             \
            ck_assert_uint_eq(targets[i_].gpa, want_[i_].gpa);                                                         \
            ck_assert_uint_eq(targets[i_].bytes, want_[i_].bytes);                                                     \
        }                                                                                                              \
    } while (0)

#endif
