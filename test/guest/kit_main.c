/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kit's own start on CPU 0: what the loader tells, tables, local APIC; and interrupts. */
#include "cpu.h"
#include "kit.h"

#define MB1_MAGIC 0x2badb002u
#define MB1_HAS_CMDLINE BIT32(2)
#define MB1_HAS_MMAP BIT32(6)
#define MB1_CMDLINE 16u
#define MB1_MMAP_LENGTH 44u
#define MB1_MMAP_ADDRESS 48u
#define MMAP_RAM 1u
#define PIC1 0x20u
#define PIC2 0xa0u
#define PIC_EOI 0x20u
#define PIC_ALL 0xffu
#define PIC_LINES 16u

void kit_main(uint32_t magic, uint32_t info);
void kit_interrupt(struct kit_frame *f);

char kit_cmdline[256];
struct kit_range kit_ram[KIT_RANGES_MAX];
unsigned kit_ram_count;

struct fixup {
    uint64_t at, go_on;
};
extern const struct fixup fixups_start[], fixups_end[];

static _Noreturn void stop(void)
{
    for (;;)
        cpu_cli_hlt();
}

static void read_loader(const uint8_t *mbi)
{
    uint32_t flags = load32(mbi);
    if (flags & MB1_HAS_CMDLINE) {
        const char *from = (const char *)(uint64_t)load32(mbi + MB1_CMDLINE);
        for (size_t i = 0; i < sizeof kit_cmdline - 1 && from[i]; i++)
            kit_cmdline[i] = from[i];
    }
    if (!(flags & MB1_HAS_MMAP)) {
        say("kit: no memory map\n");
        stop();
    }
    uint64_t at = load32(mbi + MB1_MMAP_ADDRESS), end = at + load32(mbi + MB1_MMAP_LENGTH);
    for (; at < end && kit_ram_count < KIT_RANGES_MAX; at += load32((void *)at) + 4) {
        uint64_t base = align_up(load64((void *)(at + 4)), PAGE_BYTES);
        uint64_t limit = align_down(load64((void *)(at + 4)) + load64((void *)(at + 12)), PAGE_BYTES);
        if (load32((void *)(at + 20)) == MMAP_RAM && base < limit && limit <= BIT(32))
            kit_ram[kit_ram_count++] = (struct kit_range){base, limit};
    }
}

void kit_main(uint32_t magic, uint32_t info)
{
    kit_uart_init();
    if (magic != MB1_MAGIC) {
        say("kit: not started by a Multiboot 1 loader\n");
        stop();
    }
    read_loader((const uint8_t *)(uint64_t)info);
    kit_pic_init(PIC_ALL, PIC_ALL); /* the firmware's timer would come in as vector 8 */
    kit_x2apic = option(kit_cmdline, "x2apic") && kit_has_x2apic();
    kit_build_tables();
    guest_setup();
    kit_load_tables(&kit_cpus[0]);
    kit_apic_defaults(&kit_cpus[0]);
    kit_start_others();
    guest_main();
}

static void fatal(const struct kit_frame *f)
{
    say_field("kit: EXCEPTION vector", f->vector, 10);
    say_field(" cpu", f->cpu->number, 10);
    say_field(" error", f->error, 16);
    say_field(" cs", f->cs, 16);
    say_field(" rip", f->rip, 16);
    say_field(" rsp", f->rsp, 16);
    say_field(" rflags", f->rflags, 16);
    say_field(" cr2", cpu_read_cr2(), 16);
    say("\n");
    stop();
}

void kit_interrupt(struct kit_frame *f)
{
    if (f->vector < KIT_VECTOR_PIC) {
        for (const struct fixup *x = fixups_start; x < fixups_end; x++)
            if (x->at == f->rip) {
                f->cpu->fault_vector = (uint32_t)f->vector;
                f->cpu->fault_address = cpu_read_cr2();
                f->rip = x->go_on;
                return;
            }
        if (!guest_interrupt(f))
            fatal(f);
        return;
    }
    bool taken = guest_interrupt(f);
    if (f->vector < KIT_VECTOR_PIC + PIC_LINES) {
        if (f->vector >= KIT_VECTOR_PIC + PIC_LINES / 2)
            out8(PIC2, PIC_EOI);
        out8(PIC1, PIC_EOI);
    } else if (!taken && f->vector != KIT_VECTOR_SPURIOUS) {
        fatal(f);
    }
}
