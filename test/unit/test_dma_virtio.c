/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the model of virtio's network card knows about where it will write. Offsets and flags are those of the specification, not
   drivers/virtio.h's. */
/* UNITS: ckpt/dma_virtio.c */
#include "ckpt/dma.h"
#include "unit.h"

#include <string.h>

enum { QUEUES = 3, SIZE = 8, MEMORY = 0x40000, TARGETS = 2048, NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { FEATURE_SELECT = 0x08, FEATURE = 0x0C, STATUS = 0x14, SELECT = 0x16, ENABLE = 0x1C };
#define ALL_OK 0xFu
#define VERSION_1 1u
#define FAR 0x1200000000ull

static uint8_t memory[MEMORY]; /* at 0; beyond is nothing */
static struct queue {
    uint64_t desc, driver, device;
    uint16_t size, enable;
} queues[QUEUES];
static uint32_t feature_select, high_features, status, queue_select, queue_count, rings_max;
static struct dma_ring rings[QUEUES];
static unsigned ring_count, target_count, room;
static struct {
    uint64_t gpa, bytes;
} targets[TARGETS];

static uint32_t field(void *ctx, uint32_t offset, unsigned bytes)
{
    static const uint8_t width[0x38] = {
        [0x08] = 4, [0x0C] = 4, [0x12] = 2, [0x14] = 1, [0x16] = 2, [0x18] = 2, [0x1C] = 2,
        [0x20] = 4, [0x24] = 4, [0x28] = 4, [0x2C] = 4, [0x30] = 4, [0x34] = 4};
    ck_assert_ptr_eq(ctx, targets);
    ck_assert(offset < sizeof width && width[offset] == bytes);
    const struct queue *q = &queues[queue_select < QUEUES ? queue_select : 0];
    uint64_t address = offset >= 0x30 ? q->device : offset >= 0x28 ? q->driver : q->desc;
    switch (offset) {
    case FEATURE_SELECT:
        return feature_select;
    case FEATURE:
        return feature_select == 1 ? high_features : 0xFFFFFFFF;
    case 0x12:
        return queue_count;
    case STATUS:
        return status;
    case SELECT:
        return queue_select;
    case 0x18:
        return q->size;
    case ENABLE:
        return q->enable;
    default:
        return (uint32_t)(offset % 8 ? address >> 32 : address);
    }
}

static void set_field(void *ctx, uint32_t offset, unsigned bytes, uint32_t value)
{
    ck_assert_ptr_eq(ctx, targets);
    ck_assert((offset == FEATURE_SELECT && bytes == 4) || (offset == SELECT && bytes == 2));
    *(offset == SELECT ? &queue_select : &feature_select) = value;
}

static bool mem(void *ctx, uint64_t gpa, void *to, size_t bytes)
{
    ck_assert_ptr_eq(ctx, targets);
    if (gpa > MEMORY || bytes > MEMORY - gpa)
        return false;
    memcpy(to, memory + gpa, bytes);
    return true;
}

static bool target(void *ctx, uint64_t gpa, uint64_t bytes)
{
    ck_assert_ptr_eq(ctx, targets);
    if (target_count == room)
        return false;
    ck_assert_uint_lt(target_count, TARGETS);
    targets[target_count].gpa = gpa;
    targets[target_count++].bytes = bytes;
    return true;
}

static bool ring(void *ctx, const struct dma_ring *r)
{
    ck_assert_ptr_eq(ctx, targets);
    if (ring_count == rings_max)
        return false;
    rings[ring_count++] = *r;
    return true;
}

static const struct dma_view view = {
    .mem = mem, .target = target, .field = field, .set_field = set_field, .ring = ring, .ctx = targets};
static const struct dma_model *const cards[] = {&dma_virtio_net, &dma_virtio_net_transitional};

static void put(uint64_t at, const void *what, size_t bytes)
{
    ck_assert(at <= MEMORY - bytes);
    memcpy(memory + at, what, bytes);
}

static void put_desc(uint64_t table, unsigned n, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = {addr, len, flags, next};
    put(table + n * sizeof d, &d, sizeof d);
}

static void put16(uint64_t at, uint16_t value)
{
    put(at, &value, sizeof value);
}

#define DESC(n) queues[n].desc
#define AVAIL(n) queues[n].driver
#define USED(n) queues[n].device

static void available(unsigned n, uint16_t index, uint16_t head)
{
    put16(AVAIL(n) + 4 + index % SIZE * 2u, head);
    put16(AVAIL(n) + 2, (uint16_t)(index + 1));
}

static void setup(void)
{
    memset(memory, 0, sizeof memory);
    for (unsigned n = 0; n < QUEUES; n++)
        queues[n] = (struct queue){0x1000 * (n + 1), 0x1000 * (n + 1) + 0x400, 0x1000 * (n + 1) + 0x800, SIZE, 1};
    feature_select = 0xA5;
    queue_select = 2;
    high_features = VERSION_1 | 0x40; /* and one that does not matter */
    status = ALL_OK;
    queue_count = QUEUES;
    rings_max = QUEUES;
    ring_count = target_count = 0;
    room = UINT32_MAX;
}

static enum dma_verdict given(void)
{
    ring_count = target_count = 0;
    enum dma_verdict v = cards[0]->given(&view);
    ck_assert(feature_select == 0xA5 && queue_select == 2); /* the guest may be about to use them */
    return v;
}

static enum dma_verdict publishes(const struct dma_ring *r, uint32_t offset, uint32_t value, unsigned bytes)
{
    struct dma_write w = {offset, value, bytes};
    target_count = 0;
    return cards[0]->publish(&view, r, &w);
}

#define EXPECT(...)                                                                                                    \
    do {                                                                                                               \
        const uint64_t want_[][2] = {__VA_ARGS__};                                                                     \
        ck_assert_uint_eq(target_count, ARRAY_LEN(want_));                                                             \
        for (size_t i_ = 0; i_ < ARRAY_LEN(want_); i_++) {                                                             \
            ck_assert_uint_eq(targets[i_].gpa, want_[i_][0]);                                                          \
            ck_assert_uint_eq(targets[i_].bytes, want_[i_][1]);                                                        \
        }                                                                                                              \
    } while (0)
#define USED_RING(n)                                                                                                   \
    {                                                                                                                  \
        0x1000 * ((n) + 1) + 0x800, 6 + 8 * SIZE                                                                       \
    }

START_TEST(models_are_for_their_cards)
{
    static const uint16_t ids[] = {0x1041, 0x1000};
    ck_assert(cards[_i]->vendor == 0x1AF4 && cards[_i]->device == ids[_i]);
    ck_assert(cards[_i]->structure == 1 && cards[_i]->page_map == 1 && !cards[_i]->class_mask);
    ck_assert(cards[_i]->given == cards[0]->given && cards[_i]->publish == cards[0]->publish);
}
END_TEST

START_TEST(who_is_followed)
{
    ck_assert_int_eq(given(), DMA_GO);
    EXPECT(USED_RING(0), USED_RING(1), USED_RING(2));
    ck_assert_uint_eq(ring_count, QUEUES);
    ck_assert(rings[1].desc == DESC(1) && rings[1].avail == AVAIL(1) && rings[1].used == USED(1));
    ck_assert(rings[1].size == SIZE && rings[1].avail_bytes == 6 + 2 * SIZE);
    queues[1].enable = 0;
    ck_assert_int_eq(given(), DMA_GO);
    EXPECT(USED_RING(0), USED_RING(2));
    rings_max = 1;
    ck_assert_int_eq(given(), DMA_LOST);
    rings_max = QUEUES;
    for (room = 0; room < 2; room++)
        ck_assert_int_eq(given(), DMA_LATER);
    static const uint32_t odd[] = {0, VERSION_1 | 2, VERSION_1 | 4}; /* legacy, behind an IOMMU, packed rings */
    for (unsigned i = 0; i < ARRAY_LEN(odd); i++) {
        high_features = odd[i];
        ck_assert_int_eq(given(), DMA_LOST);
    }
    status = ALL_OK & ~4u; /* a driver that has not begun */
    ck_assert_int_eq(given(), DMA_GO);
    ck_assert(target_count == 0 && ring_count == 0);
}
END_TEST

START_TEST(odd_queues)
{
    static const uint16_t sizes[] = {0, 3, 12, 0x8001};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        queues[0].size = sizes[i];
        ck_assert_int_eq(given(), DMA_LOST);
    }
    queues[0].size = SIZE;
    for (unsigned i = 0; i < 3; i++) { /* no RAM */
        uint64_t *address = i == 0 ? &DESC(0) : i == 1 ? &AVAIL(0) : &USED(0), was = *address;
        *address = FAR;
        ck_assert_int_eq(given(), DMA_LOST);
        *address = was;
    }
    put16(AVAIL(0) + 2, SIZE + 1); /* more than there can be */
    ck_assert_int_eq(given(), DMA_LOST);
    available(0, 0, SIZE); /* no such descriptor */
    ck_assert_int_eq(given(), DMA_LOST);
    setup();
    queues[0] = (struct queue){0x10000, 0x8000, 0x9000, 256, 1}; /* more than are read at once */
    queue_count = 1;
    for (unsigned n = 0; n < 256; n++)
        put_desc(DESC(0), n, FAR + 0x1000 * n, 1500, WRITE, 0);
    ck_assert_int_eq(given(), DMA_GO);
    ck_assert_uint_eq(target_count, 257);
    for (unsigned n = 0; n < 256; n++)
        ck_assert(targets[1 + n].gpa == FAR + 0x1000 * n && targets[1 + n].bytes == 1500);
    queues[0].desc = MEMORY - 255 * 16;
    ck_assert_int_eq(given(), DMA_LOST);
}
END_TEST

/* Whatever the device may write to counts, also if it is the driver's just now; a table only while the device has it. */
START_TEST(buffers_at_the_cut)
{
    queue_count = 1;
    put_desc(DESC(0), 0, FAR, 100, WRITE, 0);
    put_desc(DESC(0), 1, FAR + 0x1000, 100, 0, 0); /* it reads this one */
    put_desc(DESC(0), 2, 0x8000, 32, INDIRECT, 0);
    put_desc(DESC(0), 3, 0x9000, 48, INDIRECT | WRITE, 0);
    put_desc(0x8000, 0, FAR + 0x2000, 7, WRITE, 0);
    put_desc(0x8000, 1, FAR + 0x3000, 8, WRITE | NEXT, 0);
    put_desc(0x8000, 2, FAR + 0x4000, 9, WRITE, 0); /* of no table */
    put_desc(0x9000, 0, FAR + 0x5000, 10, 0, 0);
    put_desc(0x9000, 2, FAR + 0x6000, 11, WRITE, 0);
    ck_assert_int_eq(given(), DMA_GO);
    EXPECT(USED_RING(0), {FAR, 100});
    put16(USED(0) + 2, 0xFFFF); /* indexes wrap */
    put16(AVAIL(0) + 2, 0xFFFF);
    available(0, 0xFFFF, 2);
    available(0, 0, 3);
    ck_assert_int_eq(given(), DMA_GO);
    EXPECT(USED_RING(0), {FAR, 100}, {FAR + 0x2000, 7}, {FAR + 0x3000, 8}, {FAR + 0x6000, 11});
    for (room = 0; room < 5; room++)
        ck_assert_int_eq(given(), DMA_LATER);
    room = UINT32_MAX;
    put16(USED(0) + 2, 0); /* the first one is done */
    ck_assert_int_eq(given(), DMA_GO);
    EXPECT(USED_RING(0), {FAR, 100}, {FAR + 0x6000, 11});
    put_desc(DESC(0), 3, FAR, 48, INDIRECT, 0);
    ck_assert_int_eq(given(), DMA_LOST);
    put_desc(DESC(0), 3, 0, 16 * 1025, INDIRECT, 0);
    ck_assert_int_eq(given(), DMA_LOST);
}
END_TEST

START_TEST(an_index_hands_over)
{
    ck_assert_int_eq(given(), DMA_GO);
    const struct dma_ring r = rings[0];
    put_desc(DESC(0), 0, FAR, 100, WRITE | NEXT, 5);
    put_desc(DESC(0), 5, FAR + 0x1000, 200, WRITE | NEXT, 6);
    put_desc(DESC(0), 6, FAR + 0x2000, 300, 0, 7);
    put_desc(DESC(0), 7, FAR + 0x3000, 400, WRITE, 0);
    put16(AVAIL(0) + 2, 0xFFFE);
    put16(AVAIL(0) + 4 + 6 * 2, 7);
    put16(AVAIL(0) + 4 + 7 * 2, 0);
    ck_assert_int_eq(publishes(&r, 2, 0xFFFF, 2), DMA_GO);
    EXPECT({FAR + 0x3000, 400});
    ck_assert_int_eq(publishes(&r, 2, 0, 2), DMA_GO);
    EXPECT({FAR + 0x3000, 400}, {FAR, 100}, {FAR + 0x1000, 200});
    ck_assert_int_eq(publishes(&r, 0, 0xFFFF0001, 4), DMA_GO); /* with the flags */
    EXPECT({FAR + 0x3000, 400});
    for (room = 0; room < 3; room++)
        ck_assert_int_eq(publishes(&r, 2, 0, 2), DMA_LATER);
    room = UINT32_MAX;
    ck_assert_int_eq(publishes(&r, 2, 0xFFFE, 2), DMA_GO); /* nothing new */
    ck_assert_uint_eq(target_count, 0);
    ck_assert_int_eq(publishes(&r, 2, 0xFFFE + SIZE + 1, 2), DMA_LOST);
    put_desc(DESC(0), 0, FAR, 100, WRITE | NEXT, SIZE);
    ck_assert_int_eq(publishes(&r, 2, 0, 2), DMA_LOST);
    put_desc(DESC(0), 0, FAR, 100, NEXT, 0); /* a circle ends */
    ck_assert_int_eq(publishes(&r, 2, 0, 2), DMA_GO);
}
END_TEST

START_TEST(other_writes_to_the_ring)
{
    ck_assert_int_eq(given(), DMA_GO);
    const struct dma_ring r = rings[0];
    room = 0;
    put_desc(DESC(0), 0, FAR, 100, WRITE, 0);
    for (uint32_t offset = 0; offset < 6 + 2 * SIZE; offset++)
        for (unsigned bytes = 1; bytes <= 8; bytes *= 2) {
            bool index = offset < 4 && offset + bytes > 2, whole = offset + bytes == 4 && (offset == 2 || offset == 0);
            ck_assert_int_eq(publishes(&r, offset, offset ? 1 : 0x10000, bytes), !index  ? DMA_GO
                                                                                 : whole ? DMA_LATER
                                                                                         : DMA_LOST);
        }
}
END_TEST

START_TEST(writes_to_registers)
{
    for (uint32_t offset = 0; offset < 0x1000; offset++)
        for (uint32_t value = 0; value < 2; value++) {
            struct dma_write w = {offset, value, 2};
            bool begins = offset == ENABLE && value;
            ck_assert_int_eq(cards[0]->write(&view, &w), begins ? DMA_LOST : DMA_GO);
        }
    struct dma_write ok = {STATUS, ALL_OK, 1}, reset = {STATUS, 0, 1};
    ck_assert_int_eq(cards[0]->write(&view, &ok), DMA_GO); /* it has been */
    ck_assert_int_eq(cards[0]->write(&view, &reset), DMA_GO);
    status = ALL_OK & ~4u;
    ck_assert_int_eq(cards[0]->write(&view, &ok), DMA_LOST);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dma_virtio");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, models_are_for_their_cards, 0, (int)ARRAY_LEN(cards));
    tcase_add_test(t, who_is_followed);
    tcase_add_test(t, odd_queues);
    tcase_add_test(t, buffers_at_the_cut);
    tcase_add_test(t, an_index_hands_over);
    tcase_add_test(t, other_writes_to_the_ring);
    tcase_add_test(t, writes_to_registers);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("dma_virtio", suite)
