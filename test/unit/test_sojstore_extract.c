/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sojstore extract: a guest with page tables and known strings in its memory, saved by the rig; the core file is read
   here by the ELF specification's offsets, not with the headers that wrote it. */
/* UNITS: tools/sojstore_part.c tools/sojstore_show.c tools/sojstore_extract.c tools/sojstore_core.c */
/* UNITS: tools/sojstore_reseal.c */
/* UNITS: tools/sojstore_copy.c tools/sojstore_delete.c tools/sojstore_repair.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_text.c */
/* UNITS: ckpt/store_load.c ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c drivers/partition.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "sojstore_rig.h"
#include "tools/sojstore_core.h"
#include "vcpu_state.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The guest's memory. Tables: */
#define ROOT 0x2000u      /* the kernel's */
#define USER_ROOT 0x3000u /* beside it, as with page-table isolation */
#define ROOT5 0x4000u     /* above ROOT, for five levels */
#define IDT_PUD 0x5000u   /* of both roots */
#define IDT_PMD 0x6000u
#define IDT_PT 0x7000u
#define DIRECT_PUD 0x8000u
#define DIRECT_PMD 0x9000u
#define TEXT_PUD 0xa000u
#define TEXT_PMD 0xb000u
#define TEXT_PT 0xc000u
#define FILL_PUD 0xd000u
#define FILL_PMD 0xe000u
#define FILL_PT 0xf000u
/* Content: */
#define IDT 0x10000u
#define TEXT 0x110000u /* two pages */
#define DATA 0x109000u
#define FILLING 0x112000u
#define INFO 0x113000u
#define OLD_INFO 0x114000u
#define HIDDEN (RIG_HIGH_BASE + 100 * PAGE_BYTES)
#define HIDDEN_BYTES (8 * PAGE_BYTES)
#define RAM_BYTES ((RIG_RAM_PAGES - 8) * PAGE_BYTES)

#define V_DIRECT 0xffff888000000000ull
#define V_FILLING 0xffff960000000000ull
#define V_IDT 0xfffffe0000000000ull
#define V_TEXT 0xffffffff81000000ull

static struct vcpu_state cpu[2];
static char directory[32], core_path[64];

static uint8_t *ram(uint64_t gpa)
{
    return rig_ram[rig_index((gpa_t){gpa})] + gpa % PAGE_BYTES;
}

static void set(uint64_t table, unsigned index, uint64_t entry)
{
    store64(ram(table) + 8 * index, entry);
}

static void put_vmcoreinfo(uint64_t gpa, const char *release)
{
    char text[128];
    int n = snprintf(text, sizeof text, "OSRELEASE=%s\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=%llx\n", release,
                     V_TEXT + PAGE_BYTES);
    store32(ram(gpa), 11);
    store32(ram(gpa) + 4, (uint32_t)n);
    memcpy(ram(gpa) + 12, "VMCOREINFO", 11);
    memcpy(ram(gpa) + 24, text, (size_t)n);
}

static void make_memory(void)
{
    memset(rig_ram, 0, sizeof rig_ram);
    memset(rig_ram[132], 0xee, HIDDEN_BYTES);
    set(ROOT5, 511, ROOT | 3);
    set(ROOT, 0, TEXT_PUD | 3); /* user half: not shown */
    set(ROOT, 273, DIRECT_PUD | 3);
    set(DIRECT_PUD, 0, DIRECT_PMD | 3);
    set(DIRECT_PMD, 0, BIT(63) | BIT(12) | 0x83); /* 2 MiB at 0; its PAT bit is no address */
    set(ROOT, 300, FILL_PUD | 3);
    set(ROOT, 301, FILL_PUD | 3); /* the same again, and again */
    set(ROOT, 302, FILL_PUD | 3);
    set(FILL_PUD, 0, FILL_PMD | 3);
    set(FILL_PMD, 0, FILL_PT | 3);
    set(FILL_PT, 0, FILLING | 3);
    set(ROOT, 400, 0x40000003); /* a table where no RAM is */
    set(ROOT, 508, IDT_PUD | 3);
    set(USER_ROOT, 508, IDT_PUD | 3);
    set(IDT_PUD, 0, IDT_PMD | 3);
    set(IDT_PMD, 0, IDT_PT | 3);
    set(IDT_PT, 0, IDT | 3);
    set(ROOT, 511, TEXT_PUD | 3);
    set(TEXT_PUD, 510, TEXT_PMD | 3);
    set(TEXT_PMD, 8, TEXT_PT | 3);
    set(TEXT_PT, 0, TEXT | 3);
    set(TEXT_PT, 1, (TEXT + PAGE_BYTES) | 3);
    set(TEXT_PT, 2, DATA | 3);
    set(TEXT_PT, 3, 0x20000003); /* no RAM */
    set(TEXT_PT, 4, HIDDEN | 3);
    set(TEXT_PT, 5, TEXT | 2); /* not present */
    strcpy((char *)ram(TEXT + 0x123), "kernel text says hello");
    strcpy((char *)ram(TEXT + PAGE_BYTES + 130), "6.1-test");
    strcpy((char *)ram(DATA), "data behind it");
    strcpy((char *)ram(FILLING), "filling");
    strcpy((char *)ram(IDT), "interrupts");
    memset(rig_ram[RIG_RAM_PAGES - 1], 1, PAGE_BYTES);
}

static void make_cpus(void)
{
    memset(cpu, 0, sizeof cpu);
    for (uint32_t i = 0; i < 2; i++) {
        struct vcpu_state *c = &cpu[i];
        for (unsigned r = 0; r < GPR_COUNT; r++)
            c->gpr[r] = 0x1000 * (i + 1) + r;
        c->rip = V_TEXT + 0x10 + i;
        c->rflags = 0x246 + i;
        for (unsigned r = 0; r < SREG_COUNT; r++)
            c->seg[r].selector = (uint16_t)(0x100 * (i + 1) + 8 * r);
        c->seg[SREG_FS].base = 0x7f0000001000 + i;
        c->seg[SREG_GS].base = 0xffff888000003000 + i;
        c->seg[SREG_CS].access_rights = AR_L | AR_P;
        c->idtr.base = V_IDT;
        c->cr0 = BIT(31) | 1;
        c->cr3 = ROOT | 5; /* a PCID */
        c->cr4 = BIT(5);
        c->msr_present = BIT(VMSR_EFER);
        c->msr[VMSR_EFER] = 0xd01;
        c->activity = i ? ACTIVITY_HLT : ACTIVITY_ACTIVE;
    }
}

static void save_guest(uint32_t cpus, uint16_t version)
{
    static struct store st;
    static struct ckpt_layout layout;
    static struct ckpt_writer w;
    uint64_t id;
    layout = rig_layout();
    layout.cpu_count = 2;
    struct ckpt_meta meta = {"a guest", 1763784000, CKPT_FULL, CKPT_DISK_NONE, &layout, 0, 0};
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(ckpt_begin(&w, &st, &meta), E_OK);
    for (uint32_t i = 0; i < cpus; i++)
        ck_assert_int_eq(ckpt_put_section(&w, i ? "cpu1" : "cpu0", version, &cpu[i], sizeof cpu[i]), E_OK);
    ck_assert_int_eq(ckpt_put_section(&w, "thing", 3, "some state", 10), E_OK);
    ck_assert_int_eq(ckpt_put_ram(&w, rig_read_page, NULL, NULL), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
}

/* What builds on parent, whose memory was before. */
static void save_guest_on(uint64_t parent, uint8_t (*before)[PAGE_BYTES], bool from_the_end)
{
    static struct store st;
    static struct ckpt_layout layout;
    static struct ckpt_writer w;
    uint64_t id, unchanged = 0;
    layout = rig_layout();
    layout.cpu_count = 2;
    struct ckpt_meta meta = {"later", 1763784000, CKPT_INCREMENTAL, CKPT_DISK_NONE, &layout, parent, 0};
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(ckpt_begin(&w, &st, &meta), E_OK);
    for (uint32_t i = 0; i < 2; i++)
        ck_assert_int_eq(ckpt_put_section(&w, i ? "cpu1" : "cpu0", VCPU_STATE_VERSION, &cpu[i], sizeof cpu[i]), E_OK);
    for (uint32_t k = 0; k < RIG_RAM_PAGES; k++) {
        uint32_t i = from_the_end ? RIG_RAM_PAGES - 1 - k : k;
        if (rig_hidden(i))
            continue;
        bool same = !memcmp(before[i], rig_ram[i], PAGE_BYTES);
        unchanged += same;
        ck_assert_int_eq(same ? ckpt_skip_page(&w, rig_number(i)) : ckpt_put_page(&w, rig_number(i), rig_ram[i]), E_OK);
    }
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    ck_assert_uint_gt(unchanged, 100);
}

static int extract_one(const char *id, const char *more)
{
    char line[256];
    snprintf(line, sizeof line, "extract disk.img %s %s" OFFSET "%s", id, core_path, more);
    return run(line);
}

static int extract(const char *more)
{
    return extract_one("latest", more);
}

static void setup(void)
{
    rig_reset(256);
    open_fails = false;
    ck_assert_int_eq(run("format disk.img" OFFSET), 0);
    make_memory();
    make_cpus();
    strcpy(directory, "/tmp/sojstore-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(core_path, sizeof core_path, "%s/core", directory);
}

static void clean_up(void)
{
    unlink(core_path);
    rmdir(directory);
}

/* ---- an ELF reader of its own ---- */

static uint8_t *elf;
static uint64_t elf_bytes;

static const uint8_t *program_header(unsigned i)
{
    uint64_t at = load64(elf + 32) + 56ull * i;
    ck_assert_uint_le(at + 56, elf_bytes);
    return elf + at;
}

static unsigned header_count(void)
{
    return load16(elf + 56);
}

static void read_core(void)
{
    FILE *f = fopen(core_path, "rb");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    elf_bytes = (uint64_t)ftell(f);
    rewind(f);
    free(elf);
    elf = malloc(elf_bytes);
    ck_assert_uint_eq(fread(elf, 1, elf_bytes, f), elf_bytes);
    fclose(f);
    ck_assert_mem_eq(elf, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16);
    ck_assert_uint_eq(load16(elf + 16), 4);  /* core */
    ck_assert_uint_eq(load16(elf + 18), 62); /* x86-64 */
    ck_assert_uint_eq(load32(elf + 20), 1);
    ck_assert_uint_eq(load16(elf + 52), 64);
    ck_assert_uint_eq(load16(elf + 54), 56);
    ck_assert_uint_eq(load32(program_header(0)), 4); /* crash wants the notes first */
    for (unsigned i = 0; i < header_count(); i++) {
        const uint8_t *h = program_header(i);
        ck_assert_uint_le(load64(h + 8) + load64(h + 32), elf_bytes);
        if (i == 0)
            continue;
        ck_assert_uint_eq(load32(h), 1);      /* PT_LOAD */
        ck_assert_uint_eq(load64(h + 48), 0); /* crash wants this, too */
        ck_assert_uint_eq(load64(h + 32), load64(h + 40));
        ck_assert_uint_eq((load64(h + 8) | load64(h + 16) | load64(h + 24) | load64(h + 32)) % PAGE_BYTES, 0);
    }
}

/* The byte at an address; field: 16 for virtual ones, 24 for physical. NULL: in no segment. */
static const void *at_address(uint64_t address, unsigned field)
{
    for (unsigned i = 1; i < header_count(); i++) {
        const uint8_t *h = program_header(i);
        uint64_t start = load64(h + field);
        if (address >= start && address - start < load64(h + 32))
            return elf + load64(h + 8) + (address - start);
    }
    return NULL;
}

static const void *at_virtual(uint64_t address)
{
    return at_address(address, 16);
}

/* The number-th note of this name and type: its content; NULL: there is none. */
static const uint8_t *note(const char *name, uint32_t type, unsigned number, uint32_t *bytes)
{
    const uint8_t *h = program_header(0), *p = elf + load64(h + 8), *end = p + load64(h + 32);
    while (p < end) {
        uint32_t name_bytes = load32(p), content = load32(p + 4);
        const uint8_t *at = p + 12 + ((name_bytes + 3) & ~3u);
        if (load32(p + 8) == type && name_bytes == strlen(name) + 1 && !strcmp((const char *)p + 12, name) &&
            number-- == 0) {
            *bytes = content;
            return at;
        }
        p = at + ((content + 3) & ~3u);
    }
    ck_assert_ptr_eq(p, end);
    return NULL;
}

/* ---- tests ---- */

START_TEST(registers)
{
    /* user_regs_struct's order. */
    static const enum gpr order[] = {GPR_R15, GPR_R14, GPR_R13, GPR_R12, GPR_RBP, GPR_RBX, GPR_R11, GPR_R10,
                                     GPR_R9,  GPR_R8,  GPR_RAX, GPR_RCX, GPR_RDX, GPR_RSI, GPR_RDI};
    uint32_t bytes;
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_msg(extract("") == 0, "%s", err);
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, "checkpoint 1, 2 CPUs"));
    read_core();
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *s = note("CORE", 1, i, &bytes), *r = s + 112;
        ck_assert_ptr_nonnull(s);
        ck_assert_uint_eq(bytes, 336);
        ck_assert_uint_eq(load32(s + 32), i + 1);
        for (unsigned j = 0; j < ARRAY_LEN(order); j++)
            ck_assert_uint_eq(load64(r + 8 * j), cpu[i].gpr[order[j]]);
        ck_assert_uint_eq(load64(r + 8 * 15), UINT64_MAX);
        ck_assert_uint_eq(load64(r + 8 * 16), cpu[i].rip);
        ck_assert_uint_eq(load64(r + 8 * 17), cpu[i].seg[SREG_CS].selector);
        ck_assert_uint_eq(load64(r + 8 * 18), cpu[i].rflags);
        ck_assert_uint_eq(load64(r + 8 * 19), cpu[i].gpr[GPR_RSP]);
        ck_assert_uint_eq(load64(r + 8 * 20), cpu[i].seg[SREG_SS].selector);
        ck_assert_uint_eq(load64(r + 8 * 21), cpu[i].seg[SREG_FS].base);
        ck_assert_uint_eq(load64(r + 8 * 22), cpu[i].seg[SREG_GS].base);
        ck_assert_uint_eq(load64(r + 8 * 23), cpu[i].seg[SREG_DS].selector);
        ck_assert_uint_eq(load64(r + 8 * 24), cpu[i].seg[SREG_ES].selector);
        ck_assert_uint_eq(load64(r + 8 * 25), cpu[i].seg[SREG_FS].selector);
        ck_assert_uint_eq(load64(r + 8 * 26), cpu[i].seg[SREG_GS].selector);
    }
    ck_assert_ptr_null(note("CORE", 1, 2, &bytes));
    ck_assert_ptr_null(note("VMCOREINFO", 0, 0, &bytes));
}
END_TEST

static void check_kernel_addresses(void)
{
    static const struct {
        uint64_t vaddr, paddr, bytes;
    } want[] = {
        {0, 0, 32 * PAGE_BYTES},
        {RIG_HIGH_BASE, RIG_HIGH_BASE, 100 * PAGE_BYTES},
        {HIDDEN + HIDDEN_BYTES, HIDDEN + HIDDEN_BYTES, 52 * PAGE_BYTES},
        {V_DIRECT, 0, 32 * PAGE_BYTES},
        {V_DIRECT + RIG_HIGH_BASE, RIG_HIGH_BASE, 100 * PAGE_BYTES},
        {V_DIRECT + HIDDEN + HIDDEN_BYTES, HIDDEN + HIDDEN_BYTES, 52 * PAGE_BYTES},
        {V_FILLING, FILLING, PAGE_BYTES},
        {V_IDT, IDT, PAGE_BYTES},
        {V_TEXT, TEXT, 2 * PAGE_BYTES},
        {V_TEXT + 2 * PAGE_BYTES, DATA, PAGE_BYTES},
    };
    ck_assert_uint_eq(header_count(), ARRAY_LEN(want) + 1);
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        const uint8_t *h = program_header(i + 1);
        ck_assert_msg(load64(h + 16) == want[i].vaddr && load64(h + 24) == want[i].paddr &&
                          load64(h + 32) == want[i].bytes,
                      "segment %u: %lx shows %lx + %lx", i, load64(h + 16), load64(h + 24), load64(h + 32));
    }
    ck_assert_str_eq(at_virtual(V_TEXT + 0x123), "kernel text says hello");
    ck_assert_str_eq(at_virtual(V_DIRECT + TEXT + 0x123), "kernel text says hello");
    ck_assert_str_eq(at_virtual(V_TEXT + 2 * PAGE_BYTES), "data behind it");
    ck_assert_str_eq(at_virtual(V_IDT), "interrupts");
    ck_assert_ptr_null(at_virtual(V_TEXT + 3 * PAGE_BYTES));
    ck_assert_ptr_null(at_virtual(V_TEXT + 4 * PAGE_BYTES));
    ck_assert_ptr_null(at_virtual(V_TEXT + 5 * PAGE_BYTES));
}

static void check_memory(uint8_t (*want)[PAGE_BYTES])
{
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        uint64_t gpa = i < 32 ? i * PAGE_BYTES : RIG_HIGH_BASE + (i - 32) * PAGE_BYTES;
        const void *page = at_address(gpa, 24), *same = at_virtual(gpa);
        ck_assert_ptr_eq(page, same);
        if (rig_hidden(i))
            ck_assert_ptr_null(page);
        else
            ck_assert_mem_eq(page, want[i], PAGE_BYTES);
    }
}

START_TEST(memory)
{
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 0);
    read_core();
    check_kernel_addresses();
    check_memory(rig_ram);
    struct stat st;
    ck_assert_int_eq(stat(core_path, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_size, CORE_MEMORY_AT + RAM_BYTES);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_msg(st.st_blocks * 512 < 50 * 4096, "%ld bytes on the disk: zero pages are no holes", st.st_blocks * 512);
}
END_TEST

/* All of the memory, though most of it is in the checkpoints below; the registers are its own. */
START_TEST(incremental)
{
    static uint8_t first[RIG_RAM_PAGES][PAGE_BYTES], second[RIG_RAM_PAGES][PAGE_BYTES];
    uint32_t bytes;
    struct store s;
    save_guest(2, VCPU_STATE_VERSION);
    memcpy(first, rig_ram, sizeof first);
    strcpy((char *)ram(DATA), "data, changed once");
    memset(ram(FILLING), 0, PAGE_BYTES);
    put_vmcoreinfo(INFO, "6.1-test");
    save_guest_on(1, first, false);
    memcpy(second, rig_ram, sizeof second);
    strcpy((char *)ram(DATA), "data, changed twice");
    strcpy((char *)ram(OLD_INFO), "new in the third");
    memset(ram(RIG_HIGH_BASE + 159 * PAGE_BYTES), 0, PAGE_BYTES);
    cpu[0].rip = V_TEXT + 0x500;
    save_guest_on(2, second, true);

    ck_assert_msg(extract_one("3", "") == 0, "%s", err);
    read_core();
    check_memory(rig_ram);
    ck_assert_str_eq(at_virtual(V_TEXT + 2 * PAGE_BYTES), "data, changed twice");
    ck_assert_str_eq(at_virtual(V_TEXT + 0x123), "kernel text says hello"); /* by tables that are in the first */
    ck_assert_ptr_nonnull(note("VMCOREINFO", 0, 0, &bytes));
    ck_assert_uint_eq(load64(note("CORE", 1, 0, &bytes) + 112 + 8 * 16), V_TEXT + 0x500);
    ck_assert_int_eq(extract_one("2", " --force"), 0);
    read_core();
    check_memory(second);
    ck_assert_int_eq(extract_one("1", " --force"), 0);
    read_core();
    check_memory(first);
    check_kernel_addresses();

    ck_assert_int_eq(rig_open(&s), E_OK);
    const struct disk_entry *e = store_find(&s, 1);
    rig.bytes[RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES + e->stream_bytes - 300] ^= 1;
    ck_assert_int_eq(extract_one("3", " --force"), 1);
    ck_assert_ptr_nonnull(strstr(err, "checkpoint 3 builds on one that is damaged: "));
    ck_assert_int_eq(access(core_path, F_OK), -1);
}
END_TEST

START_TEST(five_levels_and_isolated_tables)
{
    cpu[0].cr4 |= BIT(12);
    cpu[1].cr4 |= BIT(12);
    cpu[0].cr3 = cpu[1].cr3 = ROOT5;
    set(ROOT, 0, 0); /* kernel half, too, below one more level */
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 0);
    read_core();
    check_kernel_addresses();

    /* Both CPUs in user mode, with the tables that show next to nothing: the kernel's lie beside them. */
    make_cpus();
    for (uint32_t i = 0; i < 2; i++) {
        cpu[i].cr3 = USER_ROOT;
        cpu[i].seg[SREG_SS].access_rights = 3u << AR_DPL_SHIFT;
    }
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    read_core();
    check_kernel_addresses();

    /* One of them in the kernel: its tables. */
    cpu[0].cr3 = 0x1f000;
    cpu[1].cr3 = ROOT;
    cpu[1].seg[SREG_SS].access_rights = 0;
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    read_core();
    check_kernel_addresses();

    /* What lies beside are no tables: another interrupt table, or none. */
    cpu[0].cr3 = cpu[1].cr3 = USER_ROOT;
    cpu[1].seg[SREG_SS].access_rights = 3u << AR_DPL_SHIFT;
    set(ROOT, 508, DIRECT_PUD | 3);
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    read_core();
    ck_assert_uint_eq(header_count(), 1 + 3 + 1);
    ck_assert_str_eq(at_virtual(V_IDT), "interrupts");
}
END_TEST

START_TEST(no_kernel_addresses)
{
    cpu[0].msr[VMSR_EFER] = cpu[1].msr[VMSR_EFER] = 0;
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 0);
    ck_assert_ptr_nonnull(strstr(err, "physical addresses only"));
    read_core();
    ck_assert_uint_eq(header_count(), 1 + 3);
    ck_assert_str_eq(at_virtual(TEXT + 0x123), "kernel text says hello");

    make_cpus();
    cpu[0].cr3 = cpu[1].cr3 = 0x7f000000; /* no RAM */
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    ck_assert_ptr_nonnull(strstr(err, "show no kernel"));
}
END_TEST

START_TEST(vmcoreinfo)
{
    uint32_t bytes;
    put_vmcoreinfo(OLD_INFO, "6.0-old"); /* of a kernel before the reset */
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 0);
    read_core();
    ck_assert_ptr_null(note("VMCOREINFO", 0, 0, &bytes));
    put_vmcoreinfo(INFO, "6.1-test");
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    read_core();
    const uint8_t *text = note("VMCOREINFO", 0, 0, &bytes);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(bytes, load32(ram(INFO) + 4));
    ck_assert_mem_eq(text, ram(INFO) + 24, bytes);
    ck_assert_ptr_null(note("VMCOREINFO", 0, 1, &bytes));
    memset(ram(INFO), 0, PAGE_BYTES);
    put_vmcoreinfo(HIDDEN - PAGE_BYTES, "6.1-test");
    store32(ram(HIDDEN - PAGE_BYTES) + 4, 5000); /* reaches into the hidden range */
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(" --force"), 0);
    read_core();
    ck_assert_ptr_null(note("VMCOREINFO", 0, 0, &bytes));
}
END_TEST

START_TEST(refusals)
{
    struct stat st;
    struct store s;
    ck_assert_int_eq(extract(""), 1);
    ck_assert_ptr_nonnull(strstr(err, "no checkpoint latest"));
    save_guest(1, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 1);
    ck_assert_ptr_nonnull(strstr(err, "no state of CPU 1"));
    save_guest(2, VCPU_STATE_VERSION + 1);
    ck_assert_int_eq(extract(""), 1);
    ck_assert_ptr_nonnull(strstr(err, "use the sojstore that belongs to it"));
    ck_assert_int_eq(stat(core_path, &st), -1); /* nothing is left of a failure */
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(extract(""), 0);
    ck_assert_int_eq(extract(""), 1);
    ck_assert_ptr_nonnull(strstr(err, "exists; --force"));
    ck_assert_int_eq(extract(" --force"), 0);
    ck_assert_int_eq(run("extract disk.img latest /dev/null --force" OFFSET), 1);
    ck_assert_ptr_nonnull(strstr(err, "not a plain file"));
    ck_assert_int_eq(run("extract disk.img latest /nowhere/core" OFFSET), 1);

    struct rlimit old, small = {1u << 20, 1u << 20};
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int status = extract(" --force");
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(status, 1);
    ck_assert_ptr_nonnull(strstr(err, "another file system"));

    ck_assert_int_eq(rig_open(&s), E_OK);
    const struct disk_entry *e = store_find(&s, STORE_LATEST);
    rig.bytes[RIG_FIRST * SECTOR + e->runs[0].first * STORE_BLOCK_BYTES + e->stream_bytes - 300] ^= 1;
    ck_assert_int_eq(extract(" --force"), 1);
    ck_assert_ptr_nonnull(strstr(err, "is damaged"));
    ck_assert_int_eq(stat(core_path, &st), -1);
}
END_TEST

/* The rig's RAM as a core image, without a store between. */
static struct core_image direct_image(void)
{
    static uint8_t bytes[RAM_BYTES];
    struct ckpt_layout layout = rig_layout();
    struct core_image image;
    core_plan(&image, &layout);
    ck_assert_uint_eq(image.bytes, RAM_BYTES);
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        uint64_t gpa = i < 32 ? i * PAGE_BYTES : RIG_HIGH_BASE + (i - 32) * PAGE_BYTES, at = core_offset(&image, gpa);
        ck_assert(rig_hidden(i) == (at == CORE_NOWHERE));
        if (at != CORE_NOWHERE)
            memcpy(bytes + at, rig_ram[i], PAGE_BYTES);
    }
    image.memory = bytes;
    return image;
}

/* One page, but at such an address that a bit for each page below it would fill this computer. */
START_TEST(memory_far_up)
{
    static struct store st;
    static struct ckpt_layout layout;
    static struct ckpt_writer w;
    static const uint64_t zero[PAGE_BYTES / 8];
    char line[128];
    uint64_t id;
    layout = (struct ckpt_layout){.ram_count = 1, .cpu_count = 1, .ram = {{BIT(50), PAGE_BYTES}}};
    struct ckpt_meta meta = {"far up", 1, CKPT_FULL, CKPT_DISK_NONE, &layout, 0, 0};
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(ckpt_begin(&w, &st, &meta), E_OK);
    ck_assert_int_eq(ckpt_put_section(&w, "cpu0", VCPU_STATE_VERSION, &cpu[0], sizeof cpu[0]), E_OK);
    ck_assert_int_eq(ckpt_put_page(&w, BIT(50) / PAGE_BYTES, zero), E_OK);
    ck_assert_int_eq(ckpt_commit(&w, &id), E_OK);
    snprintf(line, sizeof line, "extract disk.img latest %s" OFFSET, core_path);
    ck_assert_int_eq(run(line), 1);
    ck_assert_ptr_nonnull(strstr(err, "32 TiB"));
    ck_assert_int_ne(access(core_path, F_OK), 0);
}
END_TEST

START_TEST(more_runs_than_fit)
{
    struct core_load room[8];
    struct core_loads loads = {.load = room, .room = 8, .most = 4};
    struct core_image image = direct_image();
    core_walk(&image, core_find_tables(&image, cpu, 2), &loads);
    ck_assert_uint_eq(loads.count, 4);
    ck_assert_uint_eq(loads.dropped, 3);
    ck_assert(!loads.stopped);
    static const uint64_t longest[] = {V_DIRECT, V_DIRECT + RIG_HIGH_BASE, V_DIRECT + HIDDEN + HIDDEN_BYTES, V_TEXT};
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(room[i].vaddr, longest[i]);
    loads.most = 2;
    loads.room = 4;
    core_walk(&image, core_find_tables(&image, cpu, 2), &loads);
    ck_assert_uint_eq(loads.count, 2);
    ck_assert_uint_eq(loads.dropped, 5);
    ck_assert_uint_eq(room[0].vaddr, V_DIRECT + RIG_HIGH_BASE);
}
END_TEST

START_TEST(tables_without_end)
{
    static struct core_load room[256];
    struct core_loads loads = {.load = room, .room = 256, .most = 128};
    /* Two tables that are full of each other: 2^36 addresses. */
    for (unsigned i = 0; i < 512; i++) {
        set(ROOT, i, (i & 1 ? ROOT : USER_ROOT) | 3);
        set(USER_ROOT, i, (i & 1 ? USER_ROOT : ROOT) | 3);
    }
    struct core_image image = direct_image();
    core_walk(&image, core_find_tables(&image, cpu, 2), &loads);
    ck_assert(loads.stopped);
    ck_assert_uint_le(loads.count, 128);
    ck_assert_uint_gt(loads.dropped, 0);
    for (unsigned i = 0; i < loads.count; i++)
        ck_assert_uint_ne(core_offset(&image, room[i].paddr), CORE_NOWHERE);
}
END_TEST

START_TEST(headers_need_room)
{
    static uint8_t bytes[8192];
    struct core_loads loads = {0};
    struct core_image image = direct_image();
    struct core_content c = {.image = &image, .loads = &loads, .cpus = cpu, .cpu_count = 2};
    size_t n = core_headers(&c, bytes, sizeof bytes);
    ck_assert_uint_eq(n, 64 + 4 * 56 + 2 * (12 + 8 + 336));
    ck_assert_uint_eq(core_headers(&c, bytes, n), n);
    bytes[n - 1] = 77;
    ck_assert_uint_eq(core_headers(&c, bytes, n - 1), 0);
    ck_assert_uint_eq(bytes[n - 1], 77);
    loads.count = CORE_HEADERS_MAX;
    ck_assert_uint_eq(core_headers(&c, bytes, sizeof bytes), 0);
}
END_TEST

START_TEST(show_tells_of_cpus)
{
    cpu[1].seg[SREG_SS].access_rights = 3u << AR_DPL_SHIFT;
    cpu[1].seg[SREG_CS].access_rights = AR_P;
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(run("show disk.img 1" OFFSET), 0);
    ck_assert_ptr_nonnull(
        strstr(out, "cpu 0   rip 0xffffffff81000010, cr3 0x2005, 64-bit, paging on, privilege 0, active\n"));
    ck_assert_ptr_nonnull(
        strstr(out, "cpu 1   rip 0xffffffff81000011, cr3 0x2005, compatibility, paging on, privilege 3, halted\n"));
    ck_assert_ptr_nonnull(strstr(out, "section cpu1     version 1"));
    ck_assert_int_eq(run("show disk.img 1 --json" OFFSET), 0);
    ck_assert_ptr_nonnull(
        strstr(out, "\"cpu\":[{\"number\":0,\"rip\":\"0xffffffff81000010\",\"cr3\":\"0x2005\",\"mode\":\"64-bit\","
                    "\"paging\":true,\"privilege\":0,\"activity\":\"active\"},{\"number\":1,"));
    cpu[0].cr0 = 0;
    cpu[1].msr[VMSR_EFER] = 0;
    cpu[1].seg[SREG_CS].access_rights = AR_DB;
    save_guest(2, VCPU_STATE_VERSION);
    ck_assert_int_eq(run("show disk.img latest" OFFSET), 0);
    ck_assert_ptr_nonnull(strstr(out, "cr3 0x2005, real, paging off"));
    ck_assert_ptr_nonnull(strstr(out, "cr3 0x2005, 32-bit, paging on"));
}
END_TEST

static Suite *extract_suite(void)
{
    Suite *s = suite_create("sojstore_extract");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, clean_up);
    tcase_add_test(t, registers);
    tcase_add_test(t, memory);
    tcase_add_test(t, incremental);
    tcase_add_test(t, five_levels_and_isolated_tables);
    tcase_add_test(t, no_kernel_addresses);
    tcase_add_test(t, vmcoreinfo);
    tcase_add_test(t, refusals);
    tcase_add_test(t, memory_far_up);
    tcase_add_test(t, more_runs_than_fit);
    tcase_add_test(t, tables_without_end);
    tcase_add_test(t, headers_need_room);
    tcase_add_test(t, show_tells_of_cpus);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("sojstore_extract", extract_suite)
