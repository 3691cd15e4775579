/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Takes a checkpoint out of the middle, or from the base, of a chain: the one that builds on it takes over what it
 * has not itself, and then builds on what that one built on. Both are changed in slices, each of them one commit:
 *
 *     parent <- victim [.......] <- heir [..]        parent <- rest [....] <- heir [..][.]        parent <- heir [..][.][..]
 *
 * A slice is appended to the heir and cut off from the front of the victim, so that never more than one slice is there
 * twice. From the first commit on the victim is no checkpoint any more; the heir can be restored at any moment, power cuts
 * included, and a merge that was interrupted goes on where it was. */
#ifndef SOJOURN_CKPT_STORE_MERGE_H
#define SOJOURN_CKPT_STORE_MERGE_H

#include "ckpt/store_read.h"

#define MERGE_SLICE_BYTES (32u << 20)

struct ckpt_merge {
    struct store *store;
    uint64_t victim, heir;     /* ids */
    uint8_t *seen;             /* a bit per page number: the heir has it */
    struct ckpt_walked walked; /* over the heir */
    struct ckpt_writer writer;
    uint64_t budget; /* bytes of the heir's stream at which the slice ends */
    bool done;
};

/* Read the heir through, and check it. seen: ckpt_seen_bytes() of the layout, else E_NOMEM. E_NOTFOUND; E_PINNED; E_BUSY:
   none or several build on it, one next to it is a rest, or a checkpoint is being written; E_CHECKSUM, E_TRUNCATED, E_IO, E_STOREVERSION: the heir
   is damaged. Nothing is changed. */
enum err ckpt_merge_begin(struct ckpt_merge *m, struct store *s, uint64_t victim, uint8_t *seen, size_t seen_bytes,
                          const struct ckpt_progress *progress) MUST_USE;
/* One slice of at most so many bytes; m->done after the last. E_FULL: no free run of 1 MiB, or the heir is in too many pieces;
   E_CHECKSUM ...: the victim is damaged, and with it the heir was; E_IO. After an error the store is as after the slice before, and *m is of no use any more. */
enum err ckpt_merge_step(struct ckpt_merge *m, uint64_t slice_bytes, const struct ckpt_progress *progress) MUST_USE;

#endif
