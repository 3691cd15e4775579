/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the models of network cards know about where they will write. The numbers are those of the manuals, not drivers/e1000.h's. */
/* UNITS: ckpt/dma_e1000.c */
#include "dma_view.h"

enum { RCTL = 0x0100, RX0 = 0x2800, RX1 = 0x2900, TX0 = 0x3800, TX1 = 0x3900 };
enum { BAL = 0x00, BAH = 0x04, LEN = 0x08, HEAD = 0x10, TAIL = 0x18 };
enum { EN = 1 << 1, SPLIT = 1 << 10, BSEX = 1 << 25, DESCRIPTOR = 16 };
#define BSIZE(n) ((uint32_t)(n) << 16)
#define FLXBUF(n) ((uint32_t)(n) << 27)
#define CARD_RAM (4 * GIB)
#define CARD_END (CARD_RAM + RAM_BYTES)
#define RING CARD_RAM
#define NEW_RING (CARD_RAM + 0x20000)
#define NEW_BUFFERS (FAR + 0x500000)
#define TX_RING FAR              /* it is never read */
#define UNITS_OF_128 0xFFF0007Fu /* the other bits of a length */

static const struct dma_model *const cards[] = {&dma_82540em, &dma_82545em, &dma_82574l};
#define HAS_TWO(card) ((card) == &dma_82574l)

static void set_ring(uint32_t ring, uint64_t base, uint32_t bytes)
{
    set64(ring + BAL, base);
    set(ring + LEN, bytes | UNITS_OF_128);
}

/* A buffer in each descriptor, whose second word looks like an address, but is none unless it is split. */
static void put_ring(uint64_t base, unsigned descriptors, uint64_t buffers)
{
    for (unsigned i = 0; i < descriptors; i++) {
        put64(base + DESCRIPTOR * i, buffers + 0x4000ull * i);
        put64(base + DESCRIPTOR * i + 8, FAR + 0x70000000 + 0x4000ull * i);
    }
}

START_TEST(each_model_is_for_its_card)
{
    static const uint16_t ids[] = {0x100E, 0x100F, 0x10D3};
    ck_assert(cards[_i]->vendor == 0x8086 && cards[_i]->device == ids[_i] && cards[_i]->bar == 0);
    ck_assert(!cards[_i]->class_mask && !cards[_i]->class_code && !cards[_i]->port_count);
    ck_assert_uint_eq(cards[_i]->page_map, BIT(0) | BIT(2) | BIT(3));
}
END_TEST

/* Both rings, and the first word of each descriptor; a descriptor without a buffer has none. */
START_TEST(rings_and_buffers)
{
    fresh(CARD_RAM);
    set(RCTL, EN);
    ck_assert(given(cards[_i]) == DMA_GO && target_count == 0); /* no rings yet */
    set_ring(RX0, RING, 128);
    put_ring(RING, 9, FAR); /* the ninth is of no ring */
    put64(RING + 3 * DESCRIPTOR, 0);
    set_ring(TX0, TX_RING, 256);
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    EXPECT({RING, 128}, {FAR, 2048}, {FAR + 0x4000, 2048}, {FAR + 0x8000, 2048}, {FAR + 0x10000, 2048},
           {FAR + 0x14000, 2048}, {FAR + 0x18000, 2048}, {FAR + 0x1C000, 2048}, {TX_RING, 256});
    for (room = 0; room < 9; room++)
        ck_assert_int_eq(given(cards[_i]), DMA_LATER);
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    set(RCTL, ~(uint32_t)EN); /* nothing is received */
    room = 2;
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    EXPECT({RING, 128}, {TX_RING, 256});
    set_ring(RX0, FAR, 128); /* and nothing is read */
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    for (room = 0; room < 2; room++)
        ck_assert_int_eq(given(cards[_i]), DMA_LATER);
}
END_TEST

START_TEST(long_rings_and_ends_of_ram)
{
    enum { DESCRIPTORS = 40 }; /* more than are read at once */
    const uint64_t base = CARD_END - DESCRIPTORS * DESCRIPTOR;
    fresh(CARD_RAM);
    set(RCTL, EN);
    set_ring(RX0, base, DESCRIPTORS * DESCRIPTOR);
    put_ring(base, DESCRIPTORS, FAR);
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    ck_assert_uint_eq(target_count, 1 + DESCRIPTORS);
    for (unsigned i = 0; i < DESCRIPTORS; i++)
        ck_assert(targets[1 + i].gpa == FAR + 0x4000 * i && targets[1 + i].bytes == 2048);
    set_ring(RX0, base, DESCRIPTORS * DESCRIPTOR + 128);
    ck_assert_int_eq(given(cards[_i]), DMA_LOST);
    ck_assert_int_eq(writes(cards[_i], RX0 + TAIL, 0, 4), DMA_LOST);
    set_ring(RX0, CARD_RAM - 128, 128);
    ck_assert_int_eq(given(cards[_i]), DMA_LOST);
}
END_TEST

START_TEST(sizes_of_buffers)
{
    static const struct {
        uint32_t rctl, bytes;
    } cases[] = {
        {BSIZE(0), 2048},         {BSIZE(1), 1024},
        {BSIZE(2), 512},          {BSIZE(3), 256},
        {BSEX | BSIZE(1), 16384}, {BSEX | BSIZE(2), 8192},
        {BSEX | BSIZE(3), 4096},  {FLXBUF(1) | BSIZE(3), 1024},
        {FLXBUF(15), 15360},      {FLXBUF(3) | BSEX | BSIZE(1), 16384},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        fresh(CARD_RAM);
        set(RCTL, EN | cases[i].rctl);
        set_ring(RX0, RING, 128);
        put64(RING, FAR);
        ck_assert_int_eq(given(cards[_i]), DMA_GO);
        EXPECT({RING, 128}, {FAR, cases[i].bytes});
    }
}
END_TEST

/* Four addresses each, of buffers that hold up to a whole packet; one may be missing. */
START_TEST(split_descriptors)
{
    static const uint32_t sizes[] = {0, BSIZE(3), FLXBUF(1)};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        fresh(CARD_RAM);
        set(RCTL, EN | SPLIT | sizes[i]);
        set_ring(RX0, RING, 128);
        for (unsigned n = 0; n < 16; n++)
            put64(RING + 8 * n, n == 6 ? 0 : FAR + 0x10000 * n);
        ck_assert_int_eq(given(cards[_i]), DMA_GO);
        ck_assert_uint_eq(target_count, 16);
        for (unsigned n = 0, at = 1; n < 16; n++)
            if (n != 6) {
                ck_assert_uint_eq(targets[at].gpa, FAR + 0x10000 * n);
                ck_assert_uint_eq(targets[at++].bytes, 16384);
            }
    }
}
END_TEST

/* Each ring with one buffer. */
static void four_rings(void)
{
    fresh(CARD_RAM);
    set(RCTL, EN);
    set_ring(RX0, RING, 128);
    put64(RING, FAR + 0x100000);
    set_ring(TX0, TX_RING, 256);
    set_ring(RX1, RING + 0x1000, 384);
    put64(RING + 0x1000, FAR + 0x200000);
    set_ring(TX1, TX_RING + 0x1000, 512);
}

#define RX0_TARGETS                                                                                                    \
    {RING, 128},                                                                                                       \
    {                                                                                                                  \
        FAR + 0x100000, 2048                                                                                           \
    }
#define TX0_TARGETS                                                                                                    \
    {                                                                                                                  \
        TX_RING, 256                                                                                                   \
    }
#define RX1_TARGETS                                                                                                    \
    {RING + 0x1000, 384},                                                                                              \
    {                                                                                                                  \
        FAR + 0x200000, 2048                                                                                           \
    }
#define TX1_TARGETS                                                                                                    \
    {                                                                                                                  \
        TX_RING + 0x1000, 512                                                                                          \
    }

START_TEST(the_82574_has_two_of_each)
{
    four_rings();
    ck_assert_int_eq(given(cards[_i]), DMA_GO);
    if (!HAS_TWO(cards[_i])) {
        EXPECT(RX0_TARGETS, TX0_TARGETS);
        return;
    }
    EXPECT(RX0_TARGETS, TX0_TARGETS, RX1_TARGETS, TX1_TARGETS);
    for (room = 0; room < 6; room++)
        ck_assert_int_eq(given(cards[_i]), DMA_LATER);
    set_ring(RX1, FAR, 128);
    room = UINT32_MAX;
    ck_assert_int_eq(given(cards[_i]), DMA_LOST);
}
END_TEST

START_TEST(a_tail_is_about_its_ring)
{
    four_rings();
    ck_assert_int_eq(writes(cards[_i], RX0 + TAIL, 7, 4), DMA_GO);
    EXPECT(RX0_TARGETS);
    for (room = 0; room < 2; room++)
        ck_assert_int_eq(writes(cards[_i], RX0 + TAIL, 7, 4), DMA_LATER);
    room = UINT32_MAX;
    ck_assert_int_eq(writes(cards[_i], RX1 + TAIL, 7, 4), DMA_GO);
    if (HAS_TWO(cards[_i]))
        EXPECT(RX1_TARGETS);
    else
        ck_assert_uint_eq(target_count, 0);
    room = 0; /* what is sent is not written to */
    ck_assert_int_eq(writes(cards[_i], TX0 + TAIL, 7, 4), DMA_GO);
    ck_assert_int_eq(writes(cards[_i], TX1 + TAIL, 7, 4), DMA_GO);
    set(RCTL, 0);
    room = 1;
    ck_assert_int_eq(writes(cards[_i], RX0 + TAIL, 7, 4), DMA_GO);
    EXPECT({RING, 128});
}
END_TEST

/* The value counts that is being written, with the rest of what the registers hold. */
START_TEST(a_ring_that_moves)
{
    static const struct {
        uint32_t reg, value;
        uint64_t base, bytes;
    } cases[] = {
        {BAL, (uint32_t)NEW_RING, NEW_RING, 128},
        {BAL, (uint32_t)NEW_RING | 0xF, NEW_RING, 128}, /* these are not there */
        {BAH, (uint32_t)(NEW_RING >> 32), NEW_RING, 128},
        {LEN, 256 | UNITS_OF_128, NEW_RING, 256},
    };
    for (unsigned ring = 0; ring < 2 * (HAS_TWO(cards[_i]) ? 2u : 1u); ring++)
        for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
            uint32_t at = (ring % 2 ? TX0 : RX0) + 0x100 * (ring / 2);
            fresh(CARD_RAM);
            set(RCTL, EN);
            put_ring(NEW_RING, 16, NEW_BUFFERS);
            set_ring(at, NEW_RING, 128);
            set(at + cases[i].reg, cases[i].reg == BAL ? (uint32_t)RING : 0);
            ck_assert_int_eq(writes(cards[_i], at + cases[i].reg, cases[i].value, 4), DMA_GO);
            unsigned buffers = ring % 2 ? 0 : (unsigned)cases[i].bytes / DESCRIPTOR;
            ck_assert_uint_eq(target_count, 1 + buffers);
            ck_assert(targets[0].gpa == cases[i].base && targets[0].bytes == cases[i].bytes);
            for (unsigned n = 0; n < buffers; n++)
                ck_assert(targets[1 + n].gpa == NEW_BUFFERS + 0x4000 * n && targets[1 + n].bytes == 2048);
            for (room = 0; room < 1 + buffers; room++)
                ck_assert_int_eq(writes(cards[_i], at + cases[i].reg, cases[i].value, 4), DMA_LATER);
            ck_assert_int_eq(writes(cards[_i], at + LEN, 0, 4), DMA_GO);
            ck_assert_uint_eq(target_count, 0);
        }
}
END_TEST

START_TEST(the_receiver_is_switched_on_and_off)
{
    four_rings();
    set(RCTL, 0);
    ck_assert_int_eq(writes(cards[_i], RCTL, EN | BSIZE(1), 4), DMA_GO);
    if (HAS_TWO(cards[_i]))
        EXPECT({RING, 128}, {FAR + 0x100000, 1024}, TX0_TARGETS, {RING + 0x1000, 384}, {FAR + 0x200000, 1024},
               TX1_TARGETS);
    else
        EXPECT({RING, 128}, {FAR + 0x100000, 1024}, TX0_TARGETS);
    for (room = 0; room < (HAS_TWO(cards[_i]) ? 6 : 3); room++)
        ck_assert_int_eq(writes(cards[_i], RCTL, EN | BSIZE(1), 4), DMA_LATER);
    set(RCTL, EN);
    room = UINT32_MAX;
    ck_assert_int_eq(writes(cards[_i], RCTL, BSIZE(1), 4), DMA_GO);
    if (HAS_TWO(cards[_i]))
        EXPECT({RING, 128}, TX0_TARGETS, {RING + 0x1000, 384}, TX1_TARGETS);
    else
        EXPECT({RING, 128}, TX0_TARGETS);
    set_ring(RX0, FAR, 128);
    room = 1; /* what is lost is not put off */
    ck_assert_int_eq(writes(cards[_i], RCTL, EN, 4), DMA_LOST);
}
END_TEST

/* All registers of the pages that are watched: the 82542's rings are lost, what concerns a ring asks for more, the rest goes. */
START_TEST(every_other_register)
{
    four_rings();
    room = 0;
    for (uint32_t at = 0; at < REG_BYTES; at += 4) {
        bool old = (at >= 0x110 && at < 0x160) || (at >= 0x420 && at < 0x440);
        bool ring = at == RCTL || at == RX0 + TAIL || (at >= RX0 && at < RX0 + HEAD) || (at >= TX0 && at < TX0 + HEAD);
        if (HAS_TWO(cards[_i]))
            ring |= at == RX1 + TAIL || (at >= RX1 && at < RX1 + HEAD) || (at >= TX1 && at < TX1 + HEAD);
        ck_assert_int_eq(writes(cards[_i], at, EN, 4), old ? DMA_LOST : ring ? DMA_LATER : DMA_GO);
        ck_assert_uint_eq(target_count, 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dma_e1000");
    TCase *t = tcase_create("each card");
    int n = (int)ARRAY_LEN(cards);
    tcase_add_loop_test(t, each_model_is_for_its_card, 0, n);
    tcase_add_loop_test(t, rings_and_buffers, 0, n);
    tcase_add_loop_test(t, long_rings_and_ends_of_ram, 0, n);
    tcase_add_loop_test(t, sizes_of_buffers, 0, n);
    tcase_add_loop_test(t, split_descriptors, 0, n);
    tcase_add_loop_test(t, the_82574_has_two_of_each, 0, n);
    tcase_add_loop_test(t, a_tail_is_about_its_ring, 0, n);
    tcase_add_loop_test(t, a_ring_that_moves, 0, n);
    tcase_add_loop_test(t, the_receiver_is_switched_on_and_off, 0, n);
    tcase_add_loop_test(t, every_other_register, 0, n);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("dma_e1000", suite)
