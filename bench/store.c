/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On the host: how fast the image's own objects write a full checkpoint, on this CPU, to a disk of a given speed that takes no
 * time of the CPU's. What is saved is the memory of an ELF core file that `sojstore extract` has made of a real guest.
 *   store CORE MB_PER_S ...   for each (0: a disk that takes no time), a line: bytes stored, us of looking at all pages before, us of
 *                             writing, us of it waiting for the disk, bytes of memory, and raw writes of the same driver: bytes, us */
#define _GNU_SOURCE
#include "bits.h"
#include "ckpt/cow.h"
#include "ckpt/save.h"
#include "ckpt/store_speed.h"
#include "clock.h"
#include "hostmem.h"
#include "kernel/base.h"
#include "kernel/state.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#define DISK_BYTES (1ull << 30)
#define SECTOR 512u
#define SSE_AND_AVX 6u
#define COMMAND_SECTORS 2048u
#define RAW_BYTES (64ull << 20)

static uint8_t *memory, *disk;
static struct ckpt_layout layout;
static uint64_t rate, busy_until_us;
static struct cow cow;
static uint64_t page_buffer[PAGE_BYTES / sizeof(uint64_t)];

/* ---- what the image's objects ask for beyond tools/sojstore_host.c ---- */

void *pool_alloc_pages(size_t count)
{
    void *p = mmap(NULL, count * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

uint32_t state_vector_components(void)
{
    return __builtin_cpu_supports("avx2") ? SSE_AND_AVX : 0;
}

/* ---- a disk ---- */

static enum err disk_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    (void)dev;
    uint64_t start = clock_us(), bytes = (uint64_t)count * SECTOR;
    if (op == BLOCK_READ)
        memcpy(buf, disk + lba * SECTOR, bytes);
    else if (op == BLOCK_WRITE && bytes < COMMAND_SECTORS * SECTOR) /* the store's tables; nobody reads the others */
        memcpy(disk + lba * SECTOR, buf, bytes);
    busy_until_us = rate ? start + bytes / rate : 0;
    return E_OK;
}

static enum err disk_finish(struct block_dev *dev)
{
    (void)dev;
    while (clock_us() < busy_until_us)
        _mm_pause();
    return E_OK;
}

/* ---- memory, as kernel/live.c and kernel/saving.c give it of a guest that does not write ---- */

static const void *page_of(void *ctx, uint64_t page)
{
    (void)ctx;
    return base_known(page) == BASE_ZEROS ? (const void *)cow_zeros : memory + page * PAGE_BYTES;
}

static enum err next_page(void *ctx, uint64_t *page, const void **content)
{
    uint64_t *twin = ctx;
    enum err e = E_OK;
    *content = page_buffer;
    if (*twin && cow_take_same(&cow, *twin, memory + *twin * PAGE_BYTES, page_buffer))
        *page = *twin;
    else
        e = cow_take(&cow, page_of, NULL, page, page_buffer, content);
    *twin = e ? 0 : base_twin(*page);
    return e;
}

static bool unchanged(void *ctx, uint64_t page, const void *content)
{
    (void)ctx;
    return base_unchanged(page, content);
}

static void look_at_all(struct store *s)
{
    struct page_cursor at;
    uint64_t page;
    page_cursor_start(&at, &layout);
    base_survey_begin(true, s->io[0], STORE_IO_BYTES);
    while (page_cursor_step(&at, &page))
        base_survey(page, base_hash(memory + page * PAGE_BYTES));
}

static void die(const char *what)
{
    fprintf(stderr, "store: %s\n", what);
    exit(1);
}

/* What such a file has once, and the kernel's addresses lead to once more. */
static bool is_memory(const Elf64_Phdr *p)
{
    return p->p_type == PT_LOAD && p->p_vaddr == p->p_paddr;
}

static void read_core(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat is;
    if (fd < 0 || fstat(fd, &is))
        die("cannot open the core file");
    const uint8_t *file = mmap(NULL, (size_t)is.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        die("cannot map the core file");
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)(const void *)file;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(const void *)(file + head->e_phoff);
    uint64_t end = 0;
    for (unsigned i = 0; i < head->e_phnum; i++)
        if (is_memory(&segment[i]))
            end = max_u64(end, segment[i].p_paddr + segment[i].p_memsz);
    memory = pool_alloc_pages(align_up(end, PAGE_BYTES) / PAGE_BYTES);
    if (!memory)
        die("no memory");
    for (unsigned i = 0; i < head->e_phnum; i++)
        if (is_memory(&segment[i])) {
            memcpy(memory + segment[i].p_paddr, file + segment[i].p_offset, segment[i].p_filesz);
            if (format_add_ram(&layout, segment[i].p_paddr, segment[i].p_paddr + segment[i].p_memsz))
                die("too many segments");
        }
}

int main(int argc, char **argv)
{
    static struct block_dev dev = {.name = "model",
                                   .sectors = DISK_BYTES / SECTOR,
                                   .align_sectors = 1,
                                   .max_sectors = COMMAND_SECTORS,
                                   .begin = disk_begin,
                                   .finish = disk_finish};
    static const uint8_t uuid[16] = "bench";
    struct block_part part = {&dev, 0, DISK_BYTES / SECTOR};
    struct ckpt_devices none = {0};
    struct store s;
    if (argc < 3)
        die("usage: store CORE MB_PER_S ...");
    read_core(argv[1]);
    struct ckpt_range *last = &layout.ram[layout.ram_count - 1];
    cow.pages = (last->base + last->bytes) / PAGE_BYTES;
    cow.settled = pool_alloc_pages(align_up(cow.pages / 8 + 1, PAGE_BYTES) / PAGE_BYTES);
    disk = pool_alloc_pages(DISK_BYTES / PAGE_BYTES);
    void *work = pool_alloc_pages(align_up(STORE_WORK_BYTES, PAGE_BYTES) / PAGE_BYTES);
    if (!cow.settled || !disk || !work || base_init(&layout))
        die("no memory");
    for (int i = 2; i < argc; i++) {
        uint64_t twin = 0;
        struct ckpt_result result;
        struct store_speed raw;
        struct ckpt_request request = {.meta = {.label = "bench", .kind = CKPT_FULL, .layout = &layout},
                                       .next = next_page,
                                       .unchanged = unchanged,
                                       .page_ctx = &twin};
        rate = 0;
        if (store_format(&s, part, work, STORE_WORK_BYTES, uuid, 0, NULL))
            die("format");
        rate = strtoull(argv[i], NULL, 10);
        if (store_measure_write(&s, RAW_BYTES, &raw))
            die("raw writes");
        uint64_t begin = clock_us();
        base_begin(0);
        cow_begin(&cow, &layout);
        look_at_all(&s);
        uint64_t looked = clock_us();
        if (ckpt_write(&s, &request, NULL, &none, &result))
            die("the checkpoint failed");
        printf("%lu %lu %lu %lu %lu %lu %lu\n", result.bytes, looked - begin, result.time_us, result.wait_us,
               format_layout_pages(&layout) * PAGE_BYTES, raw.bytes, raw.write_us + raw.flush_us);
    }
    return 0;
}
