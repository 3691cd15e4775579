/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header; the way out of long mode is boot/native.asm. That code and its page tables are still where
 * GRUB put them, so the guest's pieces are kept away from there (native_start_keep). */
#include "kernel/native_start.h"

#include "hostmem.h"
#include "kernel/paging.h"
#include "layout.h"

/* As boot/native.asm reads it. */
struct native_entry {
    uint32_t eip, eax, ebx, esi;
    uint16_t gdt_limit;
    uint16_t gdt_base[2]; /* low, high: the six-byte operand of LGDT */
    uint16_t pad;
    uint16_t ds, cs;
    uint32_t far_offset;
    uint16_t far_selector, pad2;
};
_Static_assert(offsetof(struct native_entry, gdt_limit) == 16, "boot/native.asm");
_Static_assert(offsetof(struct native_entry, ds) == 24, "boot/native.asm");
_Static_assert(offsetof(struct native_entry, far_offset) == 28, "boot/native.asm");
_Static_assert(offsetof(struct native_entry, far_selector) == 32, "boot/native.asm");

_Noreturn void paging_jump_low(uint64_t start, uint64_t argument); /* relocate.asm */

extern uint8_t boot_native_entry[], boot_native_start[];

void native_start_keep(struct boot_info *bi)
{
    bi->keep[bi->keep_count].base = BOOT_PHYS;
    bi->keep[bi->keep_count].end = BOOT_PHYS + HOST_IMAGE_OFFSET + paging_image_bytes();
    bi->keep_count++;
}

_Noreturn void native_start(const struct guest_entry *entry)
{
    /* Linked at physical addresses; the constants pass through an empty asm so that the compiler does not try to reach
       them relative to the image. */
    uint64_t where, start;
    __asm__("movabs $boot_native_entry, %0" : "=r"(where));
    __asm__("movabs $boot_native_start, %0" : "=r"(start));
    struct native_entry *e = phys_to_virt((hpa_t){where});
    *e = (struct native_entry){
        .eip = entry->eip,
        .eax = entry->eax,
        .ebx = entry->ebx,
        .esi = entry->esi,
        .gdt_limit = entry->gdt_limit,
        .gdt_base = {(uint16_t)entry->gdt_base, (uint16_t)(entry->gdt_base >> 16)},
        .ds = entry->ds,
        .cs = entry->cs,
    };
    paging_jump_low(start, where);
}
