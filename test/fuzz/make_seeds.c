/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the first corpus of the store's targets, made by the real writer: make_seeds DIRECTORY PREFIX, where PREFIX is
   the bytes before the pieces, in hex (fuzz_store.c: 0000). Each store in it is small: a guest of a few pages. */
/* UNITS: ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c */
/* UNITS: drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "ckpt/store_merge.h"
#include "fuzz_image.h"
#include "test_key.h"
#include "vcpu_state.h"

static uint8_t work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
static uint64_t content[PAGE_BYTES / 8];
static struct store st;
static const char *directory, *prefix;

/* In 64-bit paging, with the tables of paging_guest. */
static struct vcpu_state some_cpu(void)
{
    struct vcpu_state cpu = {.rip = 0xffffffff80000010, .cr0 = BIT(31) | 1, .cr3 = 0x1000, .cr4 = BIT(5)};
    cpu.seg[SREG_CS].access_rights = AR_L | AR_P;
    cpu.idtr.base = 0xffffffff80001000;
    cpu.msr_present = BIT(VMSR_EFER);
    cpu.msr[VMSR_EFER] = 0xd01;
    return cpu;
}

/* Six pages: tables at 1000, 2000, 3000, 4000, and two that they show, one of them with Linux's note about itself. */
static void paging_guest(void)
{
    static struct ckpt_layout l = {.ram_count = 1, .cpu_count = 1, .ram = {{0, 6 * PAGE_BYTES}}, .backend = "svm"};
    static uint64_t ram[6][PAGE_BYTES / 8];
    static const char note[] = "OSRELEASE=6.1\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff80001800\n";
    struct vcpu_state cpu = some_cpu();
    struct ckpt_meta m = {"paging", 1, CKPT_FULL, CKPT_DISK_NONE, &l, 0, 0};
    struct ckpt_writer w;
    uint64_t id;
    ram[1][511] = 0x2003;
    ram[1][273] = 0x2003;
    ram[2][510] = 0x3003;
    ram[2][0] = 0x3003;
    ram[3][0] = 0x4003;
    ram[3][1] = 0x83; /* large */
    ram[4][0] = 0x5003;
    ram[4][1] = 0x0003;
    uint8_t *info = (uint8_t *)ram[5];
    store32(info, 11);
    store32(info + 4, sizeof note - 1);
    memcpy(info + 12, "VMCOREINFO", 11);
    memcpy(info + 24, note, sizeof note);
    memcpy((uint8_t *)ram[0] + 0x800 + 130, "6.1", 4);
    FUZZ_CHECK(!ckpt_begin(&w, &st, &m) && !ckpt_put_section(&w, "cpu0", VCPU_STATE_VERSION, &cpu, sizeof cpu));
    for (uint64_t i = 0; i < 6; i++)
        FUZZ_CHECK(!ckpt_put_page(&w, i, ram[i]));
    FUZZ_CHECK(!ckpt_commit(&w, &id));
}

static uint64_t save(uint64_t parent, uint32_t pages, uint32_t step, bool backwards)
{
    static struct ckpt_layout l;
    struct vcpu_state cpu = some_cpu();
    struct ckpt_writer w;
    uint64_t id = 0;
    l = (struct ckpt_layout){.ram_count = 2, .cpu_count = 1, .cpu_vendor = "GenuineIntel", .backend = "vmx"};
    l.ram[0].bytes = pages * PAGE_BYTES;
    l.ram[1] = (struct ckpt_range){1u << 20, pages * PAGE_BYTES};
    l.hidden = (struct ckpt_range){(1u << 20) + PAGE_BYTES, PAGE_BYTES};
    struct ckpt_meta m = {"seed", 1763784000, parent ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &l, parent, 0};
    FUZZ_CHECK(!ckpt_begin(&w, &st, &m));
    FUZZ_CHECK(!ckpt_put_section(&w, "cpu0", VCPU_STATE_VERSION, &cpu, sizeof cpu));
    for (uint32_t k = 0; k < 2 * pages; k++) {
        uint32_t i = backwards ? 2 * pages - 1 - k : k;
        uint64_t page = i < pages ? i : 256 + i - pages;
        if (!format_page_saved(&l, page))
            continue;
        memset(content, 0, sizeof content);
        for (uint32_t j = 0; i % step && j < ARRAY_LEN(content); j++)
            content[j] = i % step == 2 ? (j + 1) * 0x9e3779b97f4a7c15ull * (j < 40) : i;
        FUZZ_CHECK(!(parent && i % 3 ? ckpt_skip_page(&w, page) : ckpt_put_page(&w, page, content)));
    }
    FUZZ_CHECK(!ckpt_commit(&w, &id));
    return id;
}

static void keep(const char *name)
{
    static uint8_t out[IMAGE_BYTES];
    char path[512];
    size_t n = 0;
    for (const char *p = prefix; p[0] && p[1]; p += 2) {
        char hex[3] = {p[0], p[1], 0};
        out[n++] = (uint8_t)strtoul(hex, NULL, 16);
    }
    for (uint32_t b = 0; b < IMAGE_BLOCKS; b++) {
        const uint8_t *block = image + b * STORE_BLOCK_BYTES;
        uint32_t bytes = STORE_BLOCK_BYTES;
        while (bytes && !block[bytes - 1])
            bytes--;
        if (!bytes)
            continue;
        uint8_t head[4] = {(uint8_t)b, (uint8_t)(b >> 8), (uint8_t)bytes, (uint8_t)(bytes >> 8)};
        memcpy(out + n, head, 4);
        memcpy(out + n + 4, block, bytes);
        n += 4 + bytes;
    }
    snprintf(path, sizeof path, "%s/seed_%s", directory, name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && fwrite(out, 1, n, f) == n);
    fclose(f);
}

static void merge_slice(uint64_t id)
{
    static uint8_t seen[1u << 13];
    static struct ckpt_merge m;
    FUZZ_CHECK(!ckpt_merge_begin(&m, &st, id, seen, sizeof seen, NULL) && !ckpt_merge_step(&m, 1, NULL));
}

static void fresh(const struct seal_key *key)
{
    image_lay(NULL, 0);
    struct block_part part = {&image_dev, 0, STORE_MIN_BLOCKS * STORE_BLOCK_SECTORS};
    FUZZ_CHECK(!store_format(&st, part, work, sizeof work, (const uint8_t *)"seed-seed-seed-s", 1, key));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: make_seeds DIRECTORY PREFIX\n");
        return 2;
    }
    directory = argv[1];
    prefix = argv[2];
    fresh(NULL);
    keep("empty");
    (void)save(0, 4, 2, false);
    keep("one");
    (void)save(1, 4, 4, false);
    (void)save(2, 4, 3, true);
    keep("chain");
    merge_slice(1);
    FUZZ_CHECK(store_rest(&st) == 1);
    keep("rest");
    merge_slice(1);
    keep("merged");
    fresh(NULL);
    (void)save(0, 4, 2, false);
    (void)save(1, 4, 4, false);
    (void)save(2, 4, 3, true);
    FUZZ_CHECK(!store_pin(&st, 1, true) && !store_delete(&st, 3));
    keep("pinned");
    fresh(NULL);
    paging_guest();
    keep("paging");
    fresh(NULL);
    (void)save(0, 3, 3, true);
    keep("backwards");
    (void)save(0, 8, 9, false);
    FUZZ_CHECK(!store_delete(&st, 1));
    (void)save(0, 24, 3, false);
    keep("pieces");
    memset(image, 0, STORE_BLOCK_BYTES);
    keep("one_superblock");
    fresh(&test_key);
    (void)save(0, 4, 2, false);
    (void)save(1, 4, 4, false);
    keep("encrypted");
    return 0;
}
