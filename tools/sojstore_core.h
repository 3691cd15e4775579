/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A checkpoint as an ELF core file: where each page of the guest's memory lies in it, which kernel addresses
   show it, and the bytes of its headers and notes. */
#ifndef SOJOURN_TOOLS_SOJSTORE_CORE_H
#define SOJOURN_TOOLS_SOJSTORE_CORE_H

#include "ckpt/format.h"
#include "vcpu_state.h"

#define CORE_NOWHERE UINT64_MAX
#define CORE_RAM_MAX (CKPT_RANGES_MAX + 1u) /* the hidden range may cut one in two */
/* e_phnum has 16 bits and 0xffff means "look elsewhere" (PN_XNUM), which not every tool does. */
#define CORE_HEADERS_MAX 0xfffeu
#define CORE_LOADS_MAX (CORE_HEADERS_MAX - 1u - CORE_RAM_MAX)
/* Memory begins here: the headers' number is known only when memory has been read, so that their place is reserved.
   What is not used of it is a hole. */
#define CORE_MEMORY_AT (4u << 20)

/* One piece of the guest's RAM; at: where its copy begins, in bytes from the start of memory in the file. */
struct core_ram {
    uint64_t base, bytes, at;
};

struct core_image {
    struct core_ram ram[CORE_RAM_MAX]; /* ascending, without the hidden range */
    uint32_t ram_count;
    uint64_t bytes;        /* of all of them */
    const uint8_t *memory; /* the bytes, once they are there */
};

/* Addresses [vaddr, vaddr + bytes) show guest-physical [paddr, paddr + bytes), which is RAM without a gap. */
struct core_load {
    uint64_t vaddr, paddr, bytes;
};

struct core_loads {
    struct core_load *load;     /* room of them, caller's */
    uint32_t count, room, most; /* room: at least twice most */
    uint64_t dropped;           /* runs left out because there were more than most; the shortest ones */
    bool stopped;               /* the page tables were longer than any real ones: not all of them was read */
};

struct core_tables {
    uint64_t root;   /* guest-physical address of the top-level table */
    unsigned levels; /* 4 or 5; 0: no 64-bit paging, no kernel addresses */
};

/* Lay out the memory of a checkpoint of a (checked) layout; memory is NULL afterwards. */
void core_plan(struct core_image *image, const struct ckpt_layout *layout);
/* Offset of a guest-physical address in memory; CORE_NOWHERE: the checkpoint does not have it. */
uint64_t core_offset(const struct core_image *image, uint64_t gpa);

/* The page tables that show the kernel best: those of the first CPU in the kernel, else CPU 0's, and there the kernel's
   own where it has separate ones for user mode. */
struct core_tables core_find_tables(const struct core_image *image, const struct vcpu_state *cpus, uint32_t count);
/* Guest-physical address of a virtual one, CORE_NOWHERE: not mapped. */
uint64_t core_translate(const struct core_image *image, struct core_tables tables, uint64_t vaddr);
/* All kernel-half addresses that show RAM of the checkpoint, ascending, neighbours merged. */
void core_walk(const struct core_image *image, struct core_tables tables, struct core_loads *loads);

/* Does Linux's VMCOREINFO note begin at this page? bytes: how many of them are there. */
bool core_page_is_vmcoreinfo(const void *page);
/* The text of the VMCOREINFO note at gpa, if it is that of the running kernel: the release it names is what the
   kernel's init_uts_ns, found by the address it gives, names too. RAM may keep the note of a kernel before a reset.
   NULL: it is not. */
const char *core_vmcoreinfo(const struct core_image *image, struct core_tables tables, uint64_t gpa, size_t *bytes);

struct core_content {
    const struct core_image *image;
    const struct core_loads *loads; /* at most CORE_LOADS_MAX */
    const struct vcpu_state *cpus;
    uint32_t cpu_count;
    const char *vmcoreinfo; /* NULL: none */
    size_t vmcoreinfo_bytes;
};

/* ELF header, program headers and notes, for the start of the file. Returns their bytes; 0: more than room, which is
   at most CORE_MEMORY_AT. */
size_t core_headers(const struct core_content *content, uint8_t *out, size_t room);

#endif
