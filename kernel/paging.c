/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Host memory: where the image lies, the pool behind it, and the page tables over both.
 *
 * The image is linked at HOST_BASE + HOST_IMAGE_OFFSET. GRUB loads it low; boot/entry.asm maps HOST_BASE to where it is.
 * Once the memory map is known, the hidden range is chosen, new tables are built that map HOST_BASE to it, the image is
 * copied, and CR3 is switched: no pointer changes. Writable pages are never executable and the other way round, and the
 * hidden range has no second mapping in the physical map. */
#include "kernel/paging.h"

#include "kernel/gateway_data.h"

#include "bits.h"
#include "cpu.h"
#include "layout.h"
#include "log.h"

#include <string.h>

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS MASK(51, 12)
#define RIGHTS_DATA (PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX)
#define RIGHTS_TABLE (PTE_P | PTE_W | PTE_A)
#define ENTRIES 512u
#define GIB (1ull << 30)
#define FOUR_GIB (4ull << 30)

extern uint8_t image_start[], image_text_start[], image_text_end[], image_rodata_start[], image_rodata_end[],
    image_end[];
extern const uint64_t gateway_code[], image_gateway_end[], image_bridge_end[], image_way_out_start[],
    image_door_start[], image_door_end[];
extern const uint64_t image_door_vmx_end[], image_door_svm_end[], image_rest_start[], image_rest_end[];

void paging_copy_and_switch(void *dst, const void *src, uint64_t bytes, uint64_t cr3); /* relocate.asm */

struct hidden_range hidden;
struct hidden_range hidden_log;
static uint64_t host_phys = BOOT_PHYS; /* physical address behind HOST_BASE */
static uint64_t host_window;           /* bytes of physical memory reached through HOST_BASE; 0 before relocation */
static uint64_t pool_next;             /* physical */
static uint64_t pool_end;
static uint64_t host_cr3;
static uint64_t physmap_limit = FOUR_GIB;
static uint64_t rest_entry; /* physical: the directory entry for the rest of the image's code, and what is near it */
static uint64_t rest_tables[2];    /* what it holds: the table where that is no-execute, and where it is not */
static uint64_t gateway_tables[3]; /* physical: PDPT, PD, PT of the gateway's address */
static uint64_t gateway_va;
static unsigned gateway_count; /* pages there */

void *phys_to_virt(hpa_t pa)
{
    if (pa.v - host_phys < host_window)
        return (void *)(HOST_BASE + (pa.v - host_phys));
    return (void *)(PHYSMAP_BASE + pa.v);
}

hpa_t virt_to_phys(const void *p)
{
    uint64_t va = (uint64_t)p;
    if (va >= PHYSMAP_BASE)
        return (hpa_t){va - PHYSMAP_BASE};
    return (hpa_t){va - HOST_BASE + host_phys};
}

bool hidden_contains(uint64_t pa)
{
    return pa - hidden.base < hidden.bytes || pa - hidden_log.base < hidden_log.bytes;
}

uint64_t paging_image_bytes(void)
{
    return (uint64_t)(image_end - image_start);
}

struct image_range paging_image_part(enum image_part part)
{
    static const struct image_range ranges[IMAGE_PARTS] = {
        [IMAGE_GATEWAY] = {gateway_code, image_gateway_end},
        [IMAGE_BRIDGE] = {image_door_svm_end, image_bridge_end},
        [IMAGE_WAY_OUT] = {image_way_out_start, image_door_start},
        [IMAGE_DOOR] = {image_door_start, image_door_end},
        [IMAGE_DOOR_VMX] = {image_door_end, image_door_vmx_end},
        [IMAGE_DOOR_SVM] = {image_door_vmx_end, image_door_svm_end},
        [IMAGE_REST] = {image_rest_start, image_rest_end},
        [IMAGE_CONSTANTS] = {(const uint64_t *)image_rodata_start, (const uint64_t *)image_rodata_end},
    };
    return ranges[part];
}

SELDOM void paging_place(uint64_t base, uint64_t bytes)
{
    hidden.base = base;
    hidden.bytes = bytes;
    pool_next = base + HOST_IMAGE_OFFSET + paging_image_bytes();
    pool_end = base + bytes;
}

uint64_t paging_pool_left(void)
{
    return (pool_end - pool_next) / PAGE_BYTES;
}

uint64_t paging_cr3(void)
{
    return host_cr3;
}

/* A zeroed table page, as a physical address; 0 when the pool is empty. Before relocation the pool is reached through
   the physical map, afterwards through HOST_BASE: phys_to_virt knows. */
static SELDOM uint64_t take_page(void)
{
    if (pool_next + PAGE_BYTES > pool_end)
        return 0;
    uint64_t pa = pool_next;
    pool_next += PAGE_BYTES;
    memset(phys_to_virt((hpa_t){pa}), 0, PAGE_BYTES);
    return pa;
}

void *pool_alloc_pages(size_t count)
{
    if (count == 0 || count > paging_pool_left())
        return NULL;
    void *p = phys_to_virt((hpa_t){pool_next});
    pool_next += (uint64_t)count * PAGE_BYTES;
    memset(p, 0, count * PAGE_BYTES);
    return p;
}

static unsigned slot_at(uint64_t va, unsigned level)
{
    return (unsigned)(va >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1);
}

/* Two tables for the same addresses, so that one store changes the rights of all of the rest. */
static bool make_rest_tables(uint64_t cr3)
{
    uint64_t va = (uint64_t)image_rest_start, end = align_up((uint64_t)image_rest_end, PAGE_BYTES), table = cr3;
    for (unsigned l = 4; l > 1; l--) {
        rest_entry = table + slot_at(va, l) * sizeof(uint64_t);
        table = *(const uint64_t *)phys_to_virt((hpa_t){rest_entry}) & PTE_ADDRESS;
    }
    uint64_t closed = take_page();
    if (!closed)
        return false;
    uint64_t *pte = phys_to_virt((hpa_t){closed});
    memcpy(pte, phys_to_virt((hpa_t){table}), PAGE_BYTES);
    for (; va < end; va += PAGE_BYTES)
        pte[slot_at(va, 1)] |= PTE_NX;
    rest_tables[0] = closed | RIGHTS_TABLE;
    rest_tables[1] = table | RIGHTS_TABLE;
    return true;
}

/* Set the entry for va at the given level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB), making tables on the way. */
static SELDOM bool map_one(uint64_t cr3, uint64_t va, unsigned level, uint64_t entry)
{
    uint64_t table = cr3;
    for (unsigned l = 4; l > level; l--) {
        uint64_t *e = (uint64_t *)phys_to_virt((hpa_t){table}) + slot_at(va, l);
        if (!(*e & PTE_P)) {
            uint64_t page = take_page();
            if (!page)
                return false;
            *e = page | RIGHTS_TABLE;
        }
        table = *e & PTE_ADDRESS;
    }
    ((uint64_t *)phys_to_virt((hpa_t){table}))[slot_at(va, level)] = entry;
    return true;
}

static uint64_t image_rights(uint64_t va)
{
    if (va >= (uint64_t)image_text_start && va < (uint64_t)image_text_end)
        return PTE_P | PTE_A;
    if (va >= (uint64_t)image_rodata_start && va < (uint64_t)image_rodata_end)
        return PTE_P | PTE_A | PTE_NX;
    return RIGHTS_DATA;
}

SELDOM uint64_t paging_build_tables(uint64_t phys_limit)
{
    uint64_t cr3 = take_page();
    if (!cr3)
        return 0;
    for (uint64_t off = 0; off < hidden.bytes; off += PAGE_BYTES) {
        uint64_t va = HOST_BASE + off;
        bool image = va >= (uint64_t)image_start && va < (uint64_t)image_end;
        if (!map_one(cr3, va, 1, (hidden.base + off) | (image ? image_rights(va) : RIGHTS_DATA)))
            return 0;
    }
    if (!make_rest_tables(cr3))
        return 0;
    physmap_limit = max_u64(align_up(phys_limit, LARGE_PAGE_BYTES), FOUR_GIB);
    const uint64_t rights = PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX | PTE_PS;
    bool gib_pages = cpu_cpuid(0x80000001, 0).edx & BIT32(26);
    for (uint64_t pa = 0; pa < physmap_limit;) {
        if (pa >= hidden.base && pa < hidden.base + hidden.bytes) {
            pa += LARGE_PAGE_BYTES;
            continue;
        }
        bool holds_hidden = pa / GIB == hidden.base / GIB || pa / GIB == (hidden.base + hidden.bytes - 1) / GIB;
        bool big = gib_pages && !(pa & (GIB - 1)) && !holds_hidden && pa + GIB <= physmap_limit;
        if (!map_one(cr3, PHYSMAP_BASE + pa, big ? 3 : 2, pa | rights))
            return 0;
        pa += big ? GIB : LARGE_PAGE_BYTES;
    }
    for (unsigned i = 0; i < 3; i++)
        if (!(gateway_tables[i] = take_page()))
            return 0;
    return cr3;
}

SELDOM void paging_relocate(uint64_t cr3)
{
    uint64_t target = PHYSMAP_BASE + hidden.base + HOST_IMAGE_OFFSET;
    host_phys = hidden.base;
    host_window = hidden.bytes;
    host_cr3 = cr3;
    paging_copy_and_switch((void *)target, image_start, paging_image_bytes(), cr3);
}

enum err paging_map_mmio(uint64_t pa, uint64_t bytes)
{
    uint64_t end = align_up(pa + bytes, LARGE_PAGE_BYTES);
    for (pa = align_down(pa, LARGE_PAGE_BYTES); pa < end; pa += LARGE_PAGE_BYTES) {
        if (pa < physmap_limit)
            continue;
        if (pa >= PHYSMAP_PML4_SLOTS * 512 * GIB)
            return E_NOMEM;
        const uint64_t uncached = BIT(3) | BIT(4); /* PWT, PCD: PAT entry 3, UC at reset and in every common system */
        if (!map_one(host_cr3, PHYSMAP_BASE + pa, 2, pa | PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX | PTE_PS | uncached))
            return E_NOMEM;
    }
    return E_OK;
}

SELDOM enum err paging_map_pool(uint64_t va, uint64_t bytes)
{
    for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
        uint64_t page = take_page();
        if (!page || !map_one(host_cr3, va + off, 1, page | RIGHTS_DATA))
            return E_NOMEM;
    }
    return E_OK;
}

SELDOM uint64_t paging_startup_tables(uint64_t page_pa)
{
    uint64_t cr3 = take_page();
    if (!cr3 || cr3 + PAGE_BYTES > FOUR_GIB)
        return 0;
    memcpy(phys_to_virt((hpa_t){cr3}), phys_to_virt((hpa_t){host_cr3}), PAGE_BYTES);
    ((uint64_t *)phys_to_virt((hpa_t){cr3}))[slot_at(page_pa, 4)] = 0; /* not the host's own tables there */
    return map_one(cr3, page_pa, 1, page_pa | PTE_P | PTE_A) ? cr3 : 0;
}

static void unmap_gateway(void)
{
    if (!gateway_va)
        return;
    /* These tables hold nothing else. */
    uint64_t *pt = phys_to_virt((hpa_t){gateway_tables[2]});
    for (unsigned i = 0; i < gateway_count; i++)
        pt[slot_at(gateway_va, 1) + i] = 0;
    ((uint64_t *)phys_to_virt((hpa_t){gateway_tables[1]}))[slot_at(gateway_va, 2)] = 0;
    ((uint64_t *)phys_to_virt((hpa_t){gateway_tables[0]}))[slot_at(gateway_va, 3)] = 0;
    ((uint64_t *)phys_to_virt((hpa_t){host_cr3}))[slot_at(gateway_va, 4)] = 0;
    gateway_va = 0;
}

/* The gateway's address needs one path of tables; it never shares a PML4 slot with the host's own windows. */
bool paging_map_gateway(uint64_t va, const uint64_t pa[], unsigned count)
{
    if (va == gateway_va)
        return true; /* the pages are always the same */
    unsigned top = slot_at(va, 4);
    if (top == HOST_PML4_SLOT || (top >= PHYSMAP_PML4_SLOT && top < PHYSMAP_PML4_SLOT + PHYSMAP_PML4_SLOTS))
        return false;
    unmap_gateway();
    uint64_t *pml4 = phys_to_virt((hpa_t){host_cr3});
    uint64_t *pdpt = phys_to_virt((hpa_t){gateway_tables[0]});
    uint64_t *pd = phys_to_virt((hpa_t){gateway_tables[1]});
    uint64_t *pt = phys_to_virt((hpa_t){gateway_tables[2]});
    if (slot_at(va, 1) + count > ENTRIES)
        return false; /* all pages are in one table page, as in the guest's */
    for (unsigned i = 0; i < count; i++)
        pt[slot_at(va, 1) + i] = pa[i] | (i == 0 ? PTE_P | PTE_A : RIGHTS_DATA);
    pd[slot_at(va, 2)] = gateway_tables[2] | RIGHTS_TABLE;
    pdpt[slot_at(va, 3)] = gateway_tables[1] | RIGHTS_TABLE;
    pml4[top] = gateway_tables[0] | RIGHTS_TABLE;
    gateway_va = va;
    gateway_count = count;
    return true;
}

void paging_rest_executable(bool yes)
{
    *(uint64_t *)phys_to_virt((hpa_t){rest_entry}) = rest_tables[yes];
    if (yes)
        cpu_write_cr3(cpu_read_cr3());
}
