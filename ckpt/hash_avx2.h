/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. hash_fold() in the CPU's vector registers; ckpt/hash_avx2.asm tells what it needs of its callers: AVX2, and the
   components of the XSAVE area that it may have to put back. One CPU at a time. */
#ifndef SOJOURN_CKPT_HASH_AVX2_H
#define SOJOURN_CKPT_HASH_AVX2_H

#include "ckpt/hash.h"

extern uint32_t hash_avx2_components;
hash_fold_fn hash_fold_avx2;

#endif
