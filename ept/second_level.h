/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The second-level translation: one four-level tree from guest-physical to host-physical addresses, in the entry
   format of either vendor (struct sl_codec). The tree decides page sizes, splits and what is owed a TLB flush; it
   touches memory through phys_to_virt only and never the CPU. SDM 3C 29.3 "The Extended Page Table Mechanism (EPT)",
   APM 2 15.25 "Nested Paging". */
#ifndef SOJOURN_SECOND_LEVEL_H
#define SOJOURN_SECOND_LEVEL_H

#include "err.h"
#include "types.h"
#include "vcpu_state.h"

#define SL_READ 1u
#define SL_WRITE 2u
#define SL_EXEC 4u
#define SL_RWX (SL_READ | SL_WRITE | SL_EXEC)

/* The memory types as MTRRs and EPT entries encode them: SDM 3A "Memory Types That Can Be Encoded in MTRRs". */
enum mem_type { MEM_UC = 0, MEM_WC = 1, MEM_WT = 4, MEM_WP = 5, MEM_WB = 6, MEM_MIXED = 0xff };

/* Software bit of every entry in use, whatever its rights: ignored by the CPU in both formats. */
#define SL_MAPPED (1ull << 52)

/* One vendor's entry format. level: 1 (4 KiB) .. 4 (root). Entries never depend on anything but their arguments. */
struct sl_codec {
    const char *name;
    uint64_t (*leaf)(hpa_t hpa, unsigned level, unsigned rights, enum mem_type type);
    uint64_t (*table)(hpa_t hpa);
    bool (*is_leaf)(uint64_t entry, unsigned level); /* of an entry that is mapped */
    unsigned (*rights)(uint64_t leaf);
    enum mem_type (*type)(uint64_t leaf); /* MEM_WB where the format has none */
    uint64_t accessed, dirty;             /* the bits, 0 if the format has none */
    uint64_t write;                       /* the bit that allows writing, in leaves and tables */
};

extern const struct sl_codec codec_ept;
extern const struct sl_codec codec_npt;

struct second_level {
    const struct sl_codec *codec;
    uint64_t *root;
    void *(*alloc_page)(void); /* one zeroed page, or NULL */
    bool pages_1g;             /* the CPU has 1 GiB leaves */
    uint64_t table_pages;      /* taken so far, root included */
    /* Raised when a right, an address or a type was taken from a page that a CPU may have cached. backend.run() flushes
       first when this differs from its CPU's vcpu.flush_seen (virt_env.second_level), so it cannot be forgotten. */
    volatile uint32_t flush_epoch;
};

struct sl_mapping {
    hpa_t hpa;           /* of the very gpa asked for */
    uint64_t page_bytes; /* size of the leaf */
    unsigned rights;     /* may be 0: mapped once, every right withdrawn, address kept */
    enum mem_type type;
    bool accessed, dirty;
};

/* alloc_page is called now (root) and by every function below that returns E_NOMEM; after E_NOMEM the tree translates
   exactly as before. */
enum err sl_init(struct second_level *sl, const struct sl_codec *codec, void *(*alloc_page)(void),
                 bool pages_1g) MUST_USE;

/* Map [gpa, gpa+bytes) to hpa, with the largest pages both addresses allow, over whatever was there. All 4 KiB aligned
   and below 2^48, else E_BOUNDS. */
enum err sl_map_range(struct second_level *sl, gpa_t gpa, hpa_t hpa, uint64_t bytes, unsigned rights,
                      enum mem_type type) MUST_USE;

/* Map one 4 KiB page, splitting a larger leaf. Keeps the memory type of what was there, MEM_WB if nothing. */
enum err sl_set_page(struct second_level *sl, gpa_t gpa, hpa_t hpa, unsigned rights) MUST_USE;

/* Take rights from (or give them to) every page mapped in the range; addresses and types stay. Larger leaves that
   stick out are split. */
enum err sl_withdraw(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights) MUST_USE;
enum err sl_grant(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights) MUST_USE;

/* Forget the range: not mapped at all afterwards. */
enum err sl_unmap(struct second_level *sl, gpa_t gpa, uint64_t bytes) MUST_USE;

/* False: nothing mapped there. */
bool sl_lookup(const struct second_level *sl, gpa_t gpa, struct sl_mapping *out);

/* Identity-map the range, each page with its MTRR type (mtrrs NULL: all MEM_WB, for NPT). Boot time: after E_NOMEM part
 * of the range may be mapped. */
enum err sl_map_identity(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights,
                         const struct vcpu_state *mtrrs) MUST_USE;

hpa_t sl_root(const struct second_level *sl);

/* The memory type of the whole range by the MTRRs, or MEM_MIXED if it may not be uniform. bytes is a power of two and
   gpa a multiple of it; 4 KiB are never mixed. ept/mtrr.c. */
enum mem_type mtrr_type(const struct vcpu_state *mtrrs, gpa_t gpa, uint64_t bytes);

#endif
