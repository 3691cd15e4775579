/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The store's on-disk layout, and the checks that a block read from a disk passes before anyone believes it.
   docs/store-format.md says the same byte by byte. Little endian; all fields naturally aligned; reserved fields are
   written as 0 and ignored when read. Grow by feature bits: a reader refuses what it does not know.

     block 0          superblock A   \  slot A: 128 blocks
     block 1..8       table A        /
     block 128        superblock B   \  slot B: 128 blocks
     block 129..136   table B        /
     block 256..      data: runs of blocks, each owned by one checkpoint or free */
#ifndef SOJOURN_CKPT_FORMAT_H
#define SOJOURN_CKPT_FORMAT_H

#include "bits.h"
#include "ckpt/seal.h"
#include "err.h"
#include "types.h"

#define STORE_VERSION 1
#define STORE_BLOCK_BYTES 4096u
#define STORE_BLOCK_SECTORS 8u
#define STORE_SLOTS 2u
#define STORE_SLOT_BLOCKS 128u
#define STORE_DATA_FIRST 256u
#define STORE_MIN_BLOCKS 1024u /* 4 MiB */
#define STORE_TABLE_MAX 64u    /* checkpoints */
#define STORE_RUNS_MAX 16u     /* pieces of one checkpoint */
#define STORE_LABEL_BYTES 64u  /* with the terminating 0 */

#define STORE_MAGIC 0x45524f54534a4f53ull /* "SOJSTORE" */

#define STORE_CHAIN_MAX 16u /* a full checkpoint and what builds on it, one on the other: how many a restore reads */

/* Required feature bits of the superblock: a reader that does not know one refuses the store with E_STOREVERSION. */
#define STORE_FEATURE_SEALED BIT(0) /* every record of every checkpoint is sealed; a store is so from its format on */
#define STORE_FEATURES_REQUIRED STORE_FEATURE_SEALED
/* Write feature bits: a program that does not know one may read the store but not change it. */
#define STORE_FEATURES_WRITE 0ull
/* Required feature bits of one checkpoint. A table with an unknown one is refused with E_STOREVERSION. */
#define ENTRY_FEATURE_ANY_ORDER BIT(0) /* pages ascend within an extent only */
#define ENTRY_FEATURE_PARENT BIT(1)    /* incremental: what it does not have is in the parent */
#define ENTRY_FEATURE_MERGED BIT(2)    /* several segments; what its meta record says of kind and parent is of before */
#define ENTRY_FEATURE_REST BIT(3)      /* no checkpoint any more: what its one child has not taken over yet */
#define ENTRY_FEATURE_SEALED BIT(4)    /* exactly when the store is */
#define ENTRY_FEATURE_MIXED BIT(5)     /* with ANY_ORDER: not within an extent, either */
#define ENTRY_FEATURES_REQUIRED                                                                                        \
    (ENTRY_FEATURE_ANY_ORDER | ENTRY_FEATURE_PARENT | ENTRY_FEATURE_MERGED | ENTRY_FEATURE_REST |                      \
     ENTRY_FEATURE_SEALED | ENTRY_FEATURE_MIXED)
/* Bits of disk_entry.flags; unknown ones are kept as they were found. */
#define ENTRY_FLAG_PINNED BIT(0)    /* not to be deleted */
#define ENTRY_FLAG_AUTOMATIC BIT(1) /* taken by the clock: may make room for younger ones */

struct disk_super {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* 4096 */
    uint64_t checksum;     /* of the bytes before and behind it; same place and rule in every version */
    uint64_t generation;   /* the valid copy with the higher one counts */
    uint64_t features_required;
    uint64_t features_write;
    uint64_t features_optional;
    uint8_t uuid[16];
    uint64_t total_blocks;
    uint64_t data_first; /* block */
    uint32_t block_bytes;
    uint32_t table_entry_bytes;
    uint32_t table_count;
    uint32_t reserved0;
    uint64_t table_hash_low, table_hash_high; /* hash128 of table_count entries */
    uint64_t next_id;
    int64_t created;               /* seconds since 1970 UTC */
    uint8_t key_check[SEAL_BYTES]; /* STORE_FEATURE_SEALED: nothing, sealed with the store's uuid; else 0 */
    uint8_t reserved[3932];
};

struct disk_run {
    uint64_t first, count; /* blocks */
};

enum ckpt_kind { CKPT_FULL = 1, CKPT_INCREMENTAL = 2 };

/* What is known about the guest's disks: of one instant with the memory; not covered; the guest has none. */
enum ckpt_disk { CKPT_DISK_NONE = 0, CKPT_DISK_MEMORY_ONLY = 1, CKPT_DISK_CONSISTENT = 2 };

struct disk_entry {
    uint64_t id;                /* from 1, never used twice */
    uint64_t parent;            /* an older checkpoint of the table exactly when the kind is incremental; else 0 */
    uint32_t kind;              /* enum ckpt_kind */
    uint32_t disk;              /* enum ckpt_disk */
    uint64_t features_required; /* ENTRY_FEATURE_* */
    int64_t time;               /* of the cut, seconds since 1970 UTC */
    uint64_t seed;              /* of every hash in this checkpoint: a stale record of another attempt never fits */
    uint64_t stream_bytes;
    uint64_t pages;      /* stored */
    uint64_t zero_pages; /* left out because they are zero */
    uint64_t flags;      /* ENTRY_FLAG_* */
    uint32_t run_count;
    uint32_t reserved0;
    char label[STORE_LABEL_BYTES]; /* printable ASCII, zero padded */
    uint32_t rest_offset;          /* a rest: where in its first block a record begins; else 0 */
    uint32_t rest_sequence;        /* a rest: that record's; else 0 */
    uint8_t reserved[96];
    struct disk_run runs[STORE_RUNS_MAX];
};

/* ---- a checkpoint's stream: records, each header + payload + zero padding to 8 bytes ---- */

#define RECORD_MAGIC 0x434a4f53u /* "SOJC" */

enum record_type {
    RECORD_META = 1,    /* first: struct disk_meta */
    RECORD_SECTION = 2, /* a named piece of CPU or device state */
    RECORD_PAGES = 3,   /* struct disk_page_run[runs], then the pages, LZ4 or raw; with RECORD_FLAG_ZERO runs alone */
    RECORD_END = 4,     /* last: struct disk_end */
};

#define RECORD_FLAG_LZ4 1u
#define RECORD_FLAG_ZERO 2u /* incremental: these pages are zero now; runs of any length, no content */
#define RECORD_ALIGN 8u
#define RECORD_NAME_BYTES 8u

#define EXTENT_PAGES_MAX 64u
#define EXTENT_RAW_MAX (EXTENT_PAGES_MAX * PAGE_BYTES)
#define SECTION_BYTES_MAX EXTENT_RAW_MAX
#define RECORD_PAYLOAD_MAX (EXTENT_RAW_MAX + EXTENT_PAGES_MAX * 16u)

struct disk_record {
    uint32_t magic;
    uint16_t type;    /* enum record_type */
    uint16_t version; /* section: its own version; else 1 */
    uint64_t checkpoint;
    uint32_t sequence;            /* 0, 1, 2 ... within the checkpoint */
    uint32_t payload_bytes;       /* on the disk: of a sealed one nonce and tag included */
    char name[RECORD_NAME_BYTES]; /* section: zero padded; else zeros */
    uint32_t pages;               /* pages whose content is in this extent; else 0 */
    uint32_t runs;                /* struct disk_page_run at the start of the payload; else 0 */
    uint32_t flags;
    uint32_t reserved;
    uint64_t payload_hash; /* hash64 of the payload as it is on the disk, seeded with the entry's seed */
    uint64_t header_hash;  /* hash64 of the 56 bytes before, same seed */
};

struct disk_page_run {
    uint64_t first; /* guest-physical page number */
    uint32_t count;
    uint32_t reserved;
};

struct ckpt_range {
    uint64_t base, bytes; /* guest-physical */
};

#define CKPT_RANGES_MAX 32u
#define CKPT_FEATURE_WORDS 16u

/* What must be equal for a checkpoint to run here. Zero what is not used: it is compared and stored as it is. */
struct ckpt_layout {
    struct ckpt_range ram[CKPT_RANGES_MAX]; /* page aligned, ascending, disjoint */
    uint32_t ram_count;
    uint32_t cpu_count;
    struct ckpt_range hidden; /* may lie inside a RAM range: its pages are left out */
    char cpu_vendor[16];      /* CPUID.0 EBX EDX ECX as text */
    uint32_t cpu_signature;   /* CPUID.1 EAX: family, model, stepping */
    uint32_t reserved0;
    uint32_t cpu_features[CKPT_FEATURE_WORDS]; /* bits that do not depend on CR4, APIC id or topology */
    char backend[8];                           /* "vmx", "svm" */
    uint64_t device_hash;                      /* of the list of PCI functions */
    uint64_t reserved1;
};

struct disk_meta {
    uint32_t version; /* STORE_VERSION */
    uint32_t kind;
    uint64_t id, parent;
    int64_t time;
    uint32_t disk;
    uint32_t reserved0;
    char label[STORE_LABEL_BYTES];
    struct ckpt_layout layout;
};

struct disk_end {
    uint64_t pages, zero_pages;
    uint32_t sections, extents;
    uint64_t raw_bytes; /* of the pages, before compression */
    uint64_t
        unchanged; /* pages that are as in the parent; only an incremental checkpoint has this member on the disk */
};
#define END_BYTES_FULL offsetof(struct disk_end, unchanged)

_Static_assert(sizeof(struct disk_super) == STORE_BLOCK_BYTES, "superblock fills one block");
_Static_assert(offsetof(struct disk_super, checksum) == 16, "same place in every version");
_Static_assert(offsetof(struct disk_super, uuid) == 56 && offsetof(struct disk_super, total_blocks) == 72, "layout");
_Static_assert(offsetof(struct disk_super, table_hash_low) == 104 && offsetof(struct disk_super, created) == 128,
               "layout");
_Static_assert(offsetof(struct disk_super, key_check) == 136, "layout");
_Static_assert(sizeof(struct disk_entry) == 512 && offsetof(struct disk_entry, label) == 88, "table entry");
_Static_assert(offsetof(struct disk_entry, runs) == 256, "table entry");
_Static_assert(sizeof(struct disk_record) == 64 && offsetof(struct disk_record, payload_hash) == 48 &&
                   offsetof(struct disk_record, header_hash) == 56,
               "record header");
_Static_assert(sizeof(struct disk_page_run) == 16 && sizeof(struct disk_end) == 40, "layout");
_Static_assert(END_BYTES_FULL == 32, "what programs that know no parents expect");
_Static_assert(sizeof(struct ckpt_layout) == 648 && offsetof(struct ckpt_layout, cpu_vendor) == 536, "layout");
_Static_assert(sizeof(struct disk_meta) == 104 + 648, "layout");
_Static_assert(STORE_TABLE_MAX * sizeof(struct disk_entry) + STORE_BLOCK_BYTES <= STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES,
               "superblock and table fit their slot");

/* Blocks that a table of count entries takes on disk. */
uint32_t format_table_blocks(uint32_t count);

/* Fill in hash and checksum of a superblock whose other members are set. table: table_count entries. */
void format_seal_super(struct disk_super *super, const struct disk_entry *table);

/* Is this block a superblock? E_OK; E_NOSTORE: no magic; E_BADSTORE: checksum or a value is wrong; E_STOREVERSION;
   E_TRUNCATED: it describes more than the part_blocks there are. May point why to a static text. */
enum err format_check_super(const struct disk_super *super, uint64_t part_blocks, const char **why) MUST_USE;

/* Does the table belong to this (checked) superblock, and does it make sense? E_OK, E_BADSTORE, E_STOREVERSION. */
enum err format_check_table(const struct disk_super *super, const struct disk_entry *table, const char **why) MUST_USE;

static inline bool format_is_sealed(const struct disk_entry *e)
{
    return (e->features_required & ENTRY_FEATURE_SEALED) != 0;
}

static inline bool format_is_rest(const struct disk_entry *e)
{
    return (e->features_required & ENTRY_FEATURE_REST) != 0;
}

/* What a sealed record is bound to, so that it is good nowhere else. */
struct record_binding {
    uint8_t header[offsetof(struct disk_record, payload_hash)];
    uint64_t seed;
    uint8_t uuid[16];
};
struct record_binding format_bind_record(const struct disk_record *record, uint64_t seed, const uint8_t uuid[16]);

/* Fill in both hashes of a record whose other members are set. */
void format_seal_record(struct disk_record *record, const void *payload, uint64_t seed);

/* Is this header the one expected at this place? E_OK or E_CHECKSUM; the payload is checked by format_check_payload. */
enum err format_check_record(const struct disk_record *record, const struct disk_entry *entry,
                             uint32_t sequence) MUST_USE;
enum err format_check_payload(const struct disk_record *record, const void *payload, uint64_t seed) MUST_USE;

/* The whole pages of [base, end), which is above all before. E_NOMEM: there are CKPT_RANGES_MAX already. */
enum err format_add_ram(struct ckpt_layout *layout, uint64_t base, uint64_t end) MUST_USE;
/* Ranges page aligned, not empty, ascending, disjoint, and not more than there can be: E_OK or E_LAYOUT. */
enum err format_check_layout(const struct ckpt_layout *layout) MUST_USE;
/* RAM pages outside the hidden range. */
uint64_t format_layout_pages(const struct ckpt_layout *layout);
/* Is this page in the hidden range? */
bool format_page_hidden(const struct ckpt_layout *layout, uint64_t page);
/* Does a checkpoint have this page: in RAM, and not hidden? */
bool format_page_saved(const struct ckpt_layout *layout, uint64_t page);

#endif
