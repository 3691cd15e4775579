/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The digest by AES instructions; kernel/digest_aes.asm tells how, and what it needs of its callers. */
#ifndef SOJOURN_KERNEL_DIGEST_AES_H
#define SOJOURN_KERNEL_DIGEST_AES_H

#include "kernel/paging.h"
#include "types.h"

#define DIGEST_CHUNK_BYTES 256u

struct digest_value {
    uint64_t word[2];
};

_Static_assert(sizeof(struct image_range) == 16 && offsetof(struct image_range, end) == 8, "the assembly reads it");
_Static_assert(sizeof(struct digest_value) == 16, "the assembly writes it");

/* At least one range; each a multiple of DIGEST_CHUNK_BYTES, 0 too, and aligned to it. */
void digest_aes(const struct image_range *ranges, uint64_t count, uint64_t key, struct digest_value *out);

#endif
