/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Starting the guest: from the loader's modules to a CPU state. plan decides and touches no guest memory,
   apply moves and writes. Between the two nothing may move: the plan keeps pointers to its inputs.
   1. guest_clear: modules out of the future hidden range, before the host goes there.
   2. guest_plan with the edited map.    3. guest_apply.    4. guest_entry_state, or the plain numbers for native. */
#ifndef SOJOURN_BOOT_GUEST_H
#define SOJOURN_BOOT_GUEST_H

#include "boot/linux.h"
#include "boot/mb1.h"
#include "boot/memmap.h"
#include "boot/multiboot2.h"
#include "boot/place.h"
#include "err.h"
#include "types.h"
#include "vcpu_state.h"

enum guest_kind { GUEST_LINUX, GUEST_MB1 };

/* The 32-bit entry: protected mode, paging off, flat segments, interrupts off. */
struct guest_entry {
    uint32_t eip, eax, ebx, esi;
    uint32_t gdt_base; /* guest-physical; written by apply */
    uint16_t gdt_limit, cs, ds;
};

struct guest_plan {
    enum guest_kind kind;
    const struct boot_info *bi;
    const struct memmap *map;
    struct memmap guest_map; /* what the guest is told */
    struct place_piece piece[PLACE_PIECES_MAX];
    uint32_t piece_count;
    struct place_ops ops;
    uint32_t low; /* guest-physical: GDT page, then boot_params or information structure, then the rest */
    uint32_t low_bytes;
    union {
        struct linux_kernel bzimage;
        struct mb1_kernel multiboot;
    };
    struct linux_start linux_start;
    struct mb1_start mb1_start;
    uint32_t rsdp_copy; /* guest-physical page for the loader's RSDP; 0: not needed */
    const char *cmdline;
    struct guest_entry entry;
    char note[120]; /* something the user should know although it works; "" for nothing */
};

/* Move modules out of [base, end) to other free memory and update bi. The loader's structure at bi->info_start and
   bi->keep are left alone. E_NOMEM. */
enum err guest_clear(struct boot_info *bi, const struct memmap *map, uint64_t base, uint64_t end, char *why,
                     size_t why_bytes) MUST_USE;
/* edited: the map with the hidden range reserved (or, for a native start without one, as it is, with the host's
   place in bi->keep). E_NOMODULE, E_BADMODULE, E_BADKERNEL, E_NOMEM, E_OVERLAP with why. */
enum err guest_plan(const struct boot_info *bi, const struct memmap *edited, struct guest_plan *out, char *why,
                    size_t why_bytes) MUST_USE;
void guest_apply(const struct guest_plan *plan);
/* Set what the entry defines in s; MSRs other than EFER and everything else stay as captured (or zero). */
void guest_entry_state(const struct guest_entry *entry, struct vcpu_state *s);
const char *guest_kind_name(enum guest_kind kind);

#endif
