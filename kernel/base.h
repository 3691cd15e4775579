/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What the next checkpoint may build on: the newest one of this run, as long as a keyed hash of every page of it is
 * known. A guest that was native in between may have written anywhere without anybody seeing it: the hash tells what
 * changed. Two different pages with one 128-bit hash under a random key do not happen. */
#ifndef SOJOURN_KERNEL_BASE_H
#define SOJOURN_KERNEL_BASE_H

#include "ckpt/hash.h"
#include "ckpt/store.h"

/* Boot: room for the hashes. E_NOMEM: every checkpoint is a full one. */
enum err base_init(const struct ckpt_layout *layout) MUST_USE;
/* The checkpoint to build on; 0: none (the next is a full one). Leaves the chain short enough for one more. */
uint64_t base_find(const struct store *s);
/* A checkpoint is about to be written, on that parent or 0: from here on nothing can be built on until base_is(). */
void base_begin(uint64_t parent);
/* Each page of it that may have changed, with its content: true if it is as in the parent. */
bool base_unchanged(uint64_t page, const void *content);
/* A number that stands for the page with this content, or with that which base_unchanged() saw last (NULL). 0 if no hashes
   are kept. */
uint64_t base_stamp(uint64_t page, const void *content);
struct hash128 base_hash(const void *content);
/* Before the first page: each one that may have changed, in ascending order, with the hash of its content as it will be
   taken; base_unchanged() asks for no other then. last false: it may still change, so the hash is only for finding twins;
   not on a parent. scratch: until all have been looked at. */
void base_survey_begin(bool last, void *scratch, size_t bytes);
void base_survey(uint64_t page, struct hash128 now);
/* What was found of the page, if it has been looked at and cannot have changed since: so it need not be read again. */
enum base_known { BASE_UNKNOWN, BASE_UNCHANGED, BASE_ZEROS };
enum base_known base_known(uint64_t page);
/* Another page that may be the same (ckpt/twins.h); 0: none. */
uint64_t base_twin(uint64_t page);
/* It is committed under this id. */
void base_is(const struct store *s, uint64_t id);
/* Memory is something else now: a restore. */
void base_forget(void);

#endif
