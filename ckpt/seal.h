/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. How a record of an encrypted store is sealed: ChaCha20-Poly1305 (RFC 8439 2.8 "AEAD Construction") by mbedtls.
   Sealed bytes are followed by nonce and tag. The key is somebody else's; nothing here writes it anywhere.

   One key must never seal twice under one nonce: who has both texts then has the difference of what is in them, and can
   forge. So nonces are not chosen here but asked for, one for each record. */
#ifndef SOJOURN_CKPT_SEAL_H
#define SOJOURN_CKPT_SEAL_H

#include "err.h"
#include "types.h"

#define SEAL_KEY_BYTES 32u
#define SEAL_NONCE_BYTES 12u
#define SEAL_TAG_BYTES 16u
#define SEAL_BYTES (SEAL_NONCE_BYTES + SEAL_TAG_BYTES)

struct seal_key {
    uint8_t bytes[SEAL_KEY_BYTES];
    /* Never the same one twice with this key, not by another run either. generation: of the store, which grows with each
       commit. */
    void (*nonce)(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t generation);
};

/* What a seal covers beside the bytes themselves. */
struct seal_binding {
    const void *data;
    size_t bytes;
};

/* Seal data in place, of which the first clear_bytes stay readable; nonce and tag go behind it, SEAL_BYTES.
   E_INTERNAL: the library refused, which it never does. */
enum err seal_close(const struct seal_key *key, uint64_t generation, struct seal_binding with, uint8_t *data,
                    size_t bytes, size_t clear_bytes) MUST_USE;
/* The reverse; seal: nonce and tag. E_CHECKSUM: another key, or not what was sealed; data is of no use then. */
enum err seal_open(const struct seal_key *key, struct seal_binding with, uint8_t *data, size_t bytes,
                   size_t clear_bytes, const uint8_t seal[SEAL_BYTES]) MUST_USE;

/* A nonce of a count and the seconds. Within a run *count grows, whatever is done to the TSC. A later run begins at a later
   second, or behind another commit; if the clock is dead and nothing was committed, at another TSC, which has counted since
   the reset. */
void seal_count_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t *count, uint64_t tsc, uint64_t unix_s,
                      uint64_t generation);

/* A key as people keep it: its 32 bytes, or 64 hexadecimal digits and no more than a line end. false: neither,
   or all of them the same, which nobody draws by chance. */
bool seal_read_key(const void *text, size_t bytes, uint8_t key[SEAL_KEY_BYTES]) MUST_USE;

#endif
