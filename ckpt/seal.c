/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See seal.h. The library's steps and not its two whole operations: what is bound lies in two places. */
#include "ckpt/seal.h"

#include "bits.h"

#include <mbedtls/chachapoly.h>
#include <string.h>

/* The library refuses nothing that is asked for here: its results are about its own state and about more than 256 GiB. */
static enum err run(const struct seal_key *key, mbedtls_chachapoly_mode_t mode, struct seal_binding with, uint8_t *data,
                    size_t bytes, size_t clear_bytes, const uint8_t *nonce, uint8_t tag[SEAL_TAG_BYTES])
{
    mbedtls_chachapoly_context c;
    mbedtls_chachapoly_init(&c);
    bool failed = mbedtls_chachapoly_setkey(&c, key->bytes) || mbedtls_chachapoly_starts(&c, nonce, mode) ||
                  mbedtls_chachapoly_update_aad(&c, with.data, with.bytes) ||
                  mbedtls_chachapoly_update_aad(&c, data, clear_bytes) ||
                  mbedtls_chachapoly_update(&c, bytes - clear_bytes, data + clear_bytes, data + clear_bytes) ||
                  mbedtls_chachapoly_finish(&c, tag);
    mbedtls_chachapoly_free(&c);
    return failed ? E_INTERNAL : E_OK;
}

enum err seal_close(const struct seal_key *key, uint64_t generation, struct seal_binding with, uint8_t *data,
                    size_t bytes, size_t clear_bytes)
{
    uint8_t *seal = data + bytes;
    key->nonce(seal, generation);
    return run(key, MBEDTLS_CHACHAPOLY_ENCRYPT, with, data, bytes, clear_bytes, seal, seal + SEAL_NONCE_BYTES);
}

enum err seal_open(const struct seal_key *key, struct seal_binding with, uint8_t *data, size_t bytes,
                   size_t clear_bytes, const uint8_t seal[SEAL_BYTES])
{
    uint8_t tag[SEAL_TAG_BYTES] = {0}, other = 0;
    enum err e = run(key, MBEDTLS_CHACHAPOLY_DECRYPT, with, data, bytes, clear_bytes, seal, tag);
    for (size_t i = 0; i < sizeof tag; i++) /* all of them, whatever the first ones are */
        other |= tag[i] ^ seal[SEAL_NONCE_BYTES + i];
    return other ? E_CHECKSUM : e;
}

void seal_count_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t *count, uint64_t tsc, uint64_t unix_s,
                      uint64_t generation)
{
    uint32_t when = (uint32_t)(unix_s + generation);
    _Static_assert(sizeof when + sizeof *count == SEAL_NONCE_BYTES, "all of it is used");
    *count = max_u64(*count + 1, tsc);
    memcpy(nonce, &when, sizeof when);
    memcpy(nonce + sizeof when, count, sizeof *count);
}

static unsigned digit(uint8_t c)
{
    unsigned number = c - (unsigned)'0', letter = (c | 0x20u) - 'a';
    return number < 10 ? number : letter < 6 ? letter + 10 : 16;
}

static bool all_the_same(const uint8_t key[SEAL_KEY_BYTES])
{
    return !memcmp(key, key + 1, SEAL_KEY_BYTES - 1);
}

bool seal_read_key(const void *text, size_t bytes, uint8_t key[SEAL_KEY_BYTES])
{
    const uint8_t *p = text;
    if (bytes == SEAL_KEY_BYTES) {
        memcpy(key, p, bytes);
        return !all_the_same(key);
    }
    while (bytes > 2 * SEAL_KEY_BYTES && (p[bytes - 1] == '\n' || p[bytes - 1] == '\r'))
        bytes--;
    unsigned bad = bytes != 2 * SEAL_KEY_BYTES;
    for (size_t i = 0; !bad && i < SEAL_KEY_BYTES; i++) {
        unsigned high = digit(p[2 * i]), low = digit(p[2 * i + 1]);
        bad = (high | low) & 16;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return !bad && !all_the_same(key);
}
