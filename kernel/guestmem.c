/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Guest page walks: SDM 3A chapter 4 "Paging", APM vol. 2 chapter 5 "Page Translation and Protection". One loop
   serves PAE, four and five levels, because they differ only in where they start; 32-bit paging has a walk of its own.
   Accessed and dirty bits are left as they are: the walk looks, the guest must not see that it did. */
#include "kernel/guestmem.h"

#include "bits.h"
#include "msr.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS MASK(51, 12)
#define CR3_PAE_ADDRESS MASK(31, 5)
#define CR3_LEGACY_ADDRESS MASK(31, 12)

#define LEVEL_BITS 9
#define LEVEL_PAE 3
#define LEVEL_LONG 4
#define LEVEL_LA57 5
#define LEVEL_1G 3

#define PDE_4M_BYTES BIT(22)
#define PDE_4M_LOW MASK(31, 22)
/* PSE-36: bits 20:13 of the entry are address bits 39:32. */
#define PDE_4M_HIGH_HI 20
#define PDE_4M_HIGH_LO 13
#define PDE_4M_HIGH_SHIFT 32

static bool read_entry(const struct guest_phys *phys, uint64_t gpa, void *entry, size_t bytes)
{
    return phys->read(phys->ctx, (gpa_t){gpa}, entry, bytes);
}

static enum walk_result walk_legacy(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear,
                                    struct guest_page *page)
{
    uint32_t pde, pte;
    uint64_t pde_at = (paging->cr3 & CR3_LEGACY_ADDRESS) + bits_get(linear, 31, 22) * sizeof pde;
    if (!read_entry(phys, pde_at, &pde, sizeof pde))
        return WALK_NO_MEMORY;
    if (!(pde & PTE_P))
        return WALK_NOT_PRESENT;
    page->writable = pde & PTE_W;
    page->user = pde & PTE_U;
    page->executable = true;
    if ((pde & PTE_PS) && (paging->cr4 & CR4_PSE)) {
        uint64_t high = bits_get(pde, PDE_4M_HIGH_HI, PDE_4M_HIGH_LO) << PDE_4M_HIGH_SHIFT;
        page->page_bytes = PDE_4M_BYTES;
        page->gpa.v = high | (pde & PDE_4M_LOW) | (linear & (PDE_4M_BYTES - 1));
        return WALK_OK;
    }
    uint64_t pte_at = (pde & CR3_LEGACY_ADDRESS) + bits_get(linear, 21, 12) * sizeof pte;
    if (!read_entry(phys, pte_at, &pte, sizeof pte))
        return WALK_NO_MEMORY;
    if (!(pte & PTE_P))
        return WALK_NOT_PRESENT;
    page->writable = page->writable && (pte & PTE_W);
    page->user = page->user && (pte & PTE_U);
    page->page_bytes = PAGE_BYTES;
    page->gpa.v = (pte & CR3_LEGACY_ADDRESS) | (linear & (PAGE_BYTES - 1));
    return WALK_OK;
}

static enum walk_result walk_64(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t table,
                                unsigned level, uint64_t linear, struct guest_page *page)
{
    bool pae = level == LEVEL_PAE;
    page->writable = page->user = page->executable = true;
    for (; level > 0; level--) {
        unsigned shift = PAGE_SHIFT + (level - 1) * LEVEL_BITS;
        uint64_t entry;
        uint64_t index = linear >> shift & MASK(LEVEL_BITS - 1, 0);
        if (!read_entry(phys, table + index * sizeof entry, &entry, sizeof entry))
            return WALK_NO_MEMORY;
        if (!(entry & PTE_P))
            return WALK_NOT_PRESENT;
        if (pae && level == LEVEL_PAE) {
            /* A PDPTE of PAE paging has no rights, and no page size. */
            table = entry & PTE_ADDRESS;
            continue;
        }
        if ((entry & PTE_NX) && !(paging->efer & EFER_NXE))
            return WALK_RESERVED;
        page->writable = page->writable && (entry & PTE_W);
        page->user = page->user && (entry & PTE_U);
        page->executable = page->executable && !(entry & PTE_NX);
        if (level > 1 && !(entry & PTE_PS)) {
            table = entry & PTE_ADDRESS;
            continue;
        }
        if (level > LEVEL_1G)
            return WALK_RESERVED;
        page->page_bytes = BIT(shift);
        page->gpa.v = (entry & PTE_ADDRESS & ~(page->page_bytes - 1)) | (linear & (page->page_bytes - 1));
        return WALK_OK;
    }
    return WALK_RESERVED;
}

static bool canonical(uint64_t linear, unsigned levels)
{
    unsigned top = PAGE_SHIFT + levels * LEVEL_BITS - 1;
    uint64_t high = linear >> top;
    return high == 0 || high == MASK(63, top) >> top;
}

enum walk_result guestmem_translate(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear,
                                    struct guest_page *page)
{
    *page = (struct guest_page){0};
    if (paging->efer & EFER_LMA) {
        unsigned levels = paging->cr4 & CR4_LA57 ? LEVEL_LA57 : LEVEL_LONG;
        if (!canonical(linear, levels))
            return WALK_NONCANONICAL;
        return walk_64(paging, phys, paging->cr3 & PTE_ADDRESS, levels, linear, page);
    }
    linear = (uint32_t)linear;
    if (!(paging->cr0 & CR0_PG)) {
        *page = (struct guest_page){{linear}, PAGE_BYTES, true, true, true};
        return WALK_OK;
    }
    if (!(paging->cr4 & CR4_PAE))
        return walk_legacy(paging, phys, linear, page);
    return walk_64(paging, phys, paging->cr3 & CR3_PAE_ADDRESS, LEVEL_PAE, linear, page);
}

/* The bytes from linear to the end of its 4 KiB page, at most len. */
static size_t piece_bytes(uint64_t linear, size_t len)
{
    size_t left = PAGE_BYTES - (size_t)(linear & (PAGE_BYTES - 1));
    return left < len ? left : len;
}

size_t guestmem_read(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear, void *buf,
                     size_t len)
{
    size_t done = 0;
    while (done < len) {
        struct guest_page page;
        size_t piece = piece_bytes(linear + done, len - done);
        if (guestmem_translate(paging, phys, linear + done, &page) != WALK_OK)
            break;
        if (!phys->read(phys->ctx, page.gpa, (uint8_t *)buf + done, piece))
            break;
        done += piece;
    }
    return done;
}

bool guestmem_write(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear, const void *buf,
                    size_t len)
{
    if (!phys->write)
        return false;
    for (size_t done = 0; done < len; done += piece_bytes(linear + done, len - done)) {
        struct guest_page page;
        if (guestmem_translate(paging, phys, linear + done, &page) != WALK_OK || !page.writable)
            return false;
    }
    for (size_t done = 0; done < len;) {
        struct guest_page page;
        size_t piece = piece_bytes(linear + done, len - done);
        if (guestmem_translate(paging, phys, linear + done, &page) != WALK_OK)
            return false;
        if (!phys->write(phys->ctx, page.gpa, (const uint8_t *)buf + done, piece))
            return false;
        done += piece;
    }
    return true;
}
