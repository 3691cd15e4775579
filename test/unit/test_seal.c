/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encrypted stores: the cipher against its standard, that nothing of the memory shows on the disk, that no record is good
   anywhere but in its place, what a store does without its key, and that no nonce comes twice. */
/* UNITS: ckpt/load.c ckpt/save.c ckpt/store.c ckpt/store_write.c ckpt/store_read.c ckpt/store_load.c ckpt/store_text.c */
/* UNITS: ckpt/store_merge.c ckpt/pages.c ckpt/format.c ckpt/hash.c ckpt/seal.c drivers/block.c */
/* LIBS: -llz4 -lmbedcrypto */
#include "chain_rig.h"
#include "ckpt/store_merge.h"

static void setup_key(void)
{
    rig_key = &test_key;
    setup();
}

static void no_key(void)
{
    rig_key = NULL;
}

/* ---- the cipher ---- */

static void rfc_nonce(uint8_t nonce[SEAL_NONCE_BYTES], uint64_t generation)
{
    (void)generation;
    memcpy(nonce, "\x07\0\0\0\x40\x41\x42\x43\x44\x45\x46\x47", SEAL_NONCE_BYTES);
}

/* RFC 8439 2.8.2 "Example and Test Vector for AEAD_CHACHA20_POLY1305". */
static const char rfc_text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                               "future, sunscreen would be it.";
static const uint8_t rfc_bound[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const uint8_t rfc_sealed_begins[] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb};
static const uint8_t rfc_tag[SEAL_TAG_BYTES] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                                0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};

START_TEST(the_standards_example)
{
    struct seal_key key = {.nonce = rfc_nonce};
    struct seal_binding with = {rfc_bound, sizeof rfc_bound};
    uint8_t data[sizeof rfc_text - 1 + SEAL_BYTES];
    const size_t n = sizeof rfc_text - 1;
    for (uint8_t i = 0; i < SEAL_KEY_BYTES; i++)
        key.bytes[i] = (uint8_t)(0x80 + i);
    memcpy(data, rfc_text, n);
    ck_assert_int_eq(seal_close(&key, 0, with, data, n, 0), E_OK);
    ck_assert_mem_eq(data, rfc_sealed_begins, sizeof rfc_sealed_begins);
    ck_assert_mem_eq(data + n + SEAL_NONCE_BYTES, rfc_tag, SEAL_TAG_BYTES);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) { /* no bit of text, nonce or tag can differ */
        uint8_t copy[sizeof data];
        memcpy(copy, data, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(seal_open(&key, with, copy, n, 0, copy + n), E_CHECKSUM);
    }
    ck_assert_int_eq(seal_open(&key, (struct seal_binding){rfc_bound, 11}, data, n, 0, data + n), E_CHECKSUM);
    ck_assert_int_eq(seal_close(&key, 0, with, (memcpy(data, rfc_text, n), data), n, 0), E_OK);
    ck_assert_int_eq(seal_open(&key, with, data, n, 0, data + n), E_OK);
    ck_assert_mem_eq(data, rfc_text, n);
}
END_TEST

START_TEST(what_stays_readable_is_covered)
{
    uint8_t data[20 + SEAL_BYTES] = "readable and sealed";
    struct seal_binding with = {NULL, 0};
    ck_assert_int_eq(seal_close(&test_key, 0, with, data, 20, 9), E_OK);
    ck_assert_mem_eq(data, "readable ", 9);
    ck_assert_mem_ne(data + 9, "and sealed", 10);
    data[3] ^= 1;
    ck_assert_int_eq(seal_open(&test_key, with, data, 20, 9, data + 20), E_CHECKSUM);
}
END_TEST

START_TEST(keys_as_text)
{
    static const char digits[] = "000102030405060708090a0B0c0d0e0f101112131415161718191A1b1c1d1e1f";
    char text[80];
    uint8_t key[SEAL_KEY_BYTES], raw[SEAL_KEY_BYTES];
    for (uint8_t i = 0; i < sizeof raw; i++)
        raw[i] = i;
    ck_assert(seal_read_key(raw, 32, key) && !memcmp(key, raw, 32));
    ck_assert(seal_read_key(digits, 64, key) && !memcmp(key, raw, 32));
    snprintf(text, sizeof text, "%s\r\n", digits);
    memset(key, 0, sizeof key);
    ck_assert(seal_read_key(text, 66, key) && !memcmp(key, raw, 32));
    for (size_t bytes = 0; bytes < 64; bytes++)
        ck_assert(bytes == 32 || !seal_read_key(digits, bytes, key));
    text[64] = 'a';
    ck_assert(!seal_read_key(text, 65, key));
    for (const char *bad = "/:@G`g\n "; *bad; bad++) {
        text[17] = *bad;
        ck_assert_msg(!seal_read_key(text, 64, key), "%c", *bad);
    }
    memset(text, 'f', 64);
    ck_assert(!seal_read_key(text, 64, key)); /* nobody's */
    ck_assert(!seal_read_key((memset(raw, 0, 32), raw), 32, key));
}
END_TEST

START_TEST(no_nonce_comes_twice)
{
    uint8_t last[SEAL_NONCE_BYTES], nonce[SEAL_NONCE_BYTES];
    uint64_t count = 0;
    const uint64_t tsc[] = {5, 5, 100, 3, 3, 0, 102, UINT64_MAX / 2, 7}; /* set back by a restore, and stopped */
    seal_count_nonce(last, &count, 4, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(tsc); i++) {
        seal_count_nonce(nonce, &count, tsc[i], 0, 0);
        ck_assert_uint_gt(load64(nonce + 4), load64(last + 4));
        memcpy(last, nonce, sizeof last);
    }
    /* Another run with the same TSC: another second, or another generation. */
    for (uint64_t s = 0; s < 2; s++)
        for (uint64_t g = 0; g < 2; g++) {
            count = 0;
            seal_count_nonce(nonce, &count, 5, 1000 + s, 7 + g);
            ck_assert((s | g) == (memcmp(nonce, "\xef\x03\0\0\5\0\0\0\0\0\0\0", sizeof nonce) != 0));
        }
}
END_TEST

/* ---- records on the disk ---- */

/* Every record of a checkpoint, where it lies on the disk. */
struct found {
    uint8_t *at;
    struct disk_record r;
};
static struct found record[512];
static uint32_t records;

static uint8_t *store_bytes(void)
{
    return rig.bytes + RIG_FIRST * SECTOR;
}

static void find_records(uint64_t id)
{
    const struct disk_entry *e = store_find(&st, id);
    ck_assert_uint_eq(e->run_count, 1);
    uint8_t *base = store_bytes() + e->runs[0].first * STORE_BLOCK_BYTES;
    records = 0;
    for (uint64_t at = 0; at < e->stream_bytes;) {
        ck_assert_uint_lt(records, ARRAY_LEN(record));
        struct found *f = &record[records++];
        f->at = base + at;
        memcpy(&f->r, f->at, sizeof f->r);
        ck_assert_uint_eq(f->r.magic, RECORD_MAGIC);
        at += sizeof f->r + align_up(f->r.payload_bytes, RECORD_ALIGN);
    }
}

/* What a forger without the key can do: both hashes are right. */
static void rehash(const struct found *f, uint64_t id)
{
    struct disk_record r;
    memcpy(&r, f->at, sizeof r);
    format_seal_record(&r, f->at + sizeof r, store_find(&st, id)->seed);
    memcpy(f->at, &r, sizeof r);
}

static void refused_untouched(uint64_t id)
{
    bool touched;
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_CHECKSUM);
    ck_assert_int_eq(load(id, &touched), E_CHECKSUM);
    ck_assert(!touched && !asked_total);
}

static uint64_t save_one(uint64_t seed)
{
    uint64_t id = 0;
    rig_fill_ram(seed);
    ck_assert_int_eq(rig_save(&st, "a label", &id), E_OK);
    memcpy(model[id % POINTS], rig_ram, sizeof rig_ram);
    return id;
}

static const uint8_t *find(const void *what, size_t bytes)
{
    const uint8_t *at = rig.bytes, *end = rig.bytes + RIG_DISK_SECTORS * SECTOR - bytes;
    for (; at <= end && (at = memchr(at, *(const uint8_t *)what, (size_t)(end - at) + 1)) != NULL; at++)
        if (!memcmp(at, what, bytes))
            return at;
    return NULL;
}

START_TEST(nothing_of_the_memory_shows)
{
    static uint8_t noise[PAGE_BYTES];
    for (int sealed = 0; sealed < 2; sealed++) {
        rig_key = sealed ? &test_key : NULL;
        setup();
        rig_fill_ram(5);
        for (uint32_t i = 0; i < PAGE_BYTES; i++)
            noise[i] = rig_ram[7][i] = (uint8_t)(i * 197 + (i >> 3) * 31 + (i >> 7));
        uint64_t id = 0;
        ck_assert_int_eq(rig_save(&st, "a label", &id), E_OK);
        ck_assert((find("some state", 10) == NULL) == sealed);
        ck_assert((find(noise, 16) == NULL) == sealed);
        ck_assert((find("a checkpoint of text", 20) == NULL) == sealed);
        ck_assert(find("a label", 7));
        ck_assert(!find(test_key.bytes, 12));
        ck_assert_int_eq(rig_open(&st), E_OK);
        restores_to(id, rig_ram);
    }
}
END_TEST

START_TEST(each_record_forged)
{
    uint64_t id = save_one(4);
    find_records(id);
    ck_assert_uint_ge(records, 5);
    for (uint32_t i = 0; i < records; i++)
        for (uint32_t k = 0; k < 5; k++) { /* the header's end, text, nonce, tag */
            uint32_t n = record[i].r.payload_bytes;
            const uint32_t at[] = {sizeof(struct disk_record), sizeof(struct disk_record) + (n - SEAL_BYTES) / 2,
                                   sizeof(struct disk_record) + n - SEAL_BYTES, sizeof(struct disk_record) + n - 1,
                                   offsetof(struct disk_record, reserved)};
            struct disk_record before = record[i].r;
            record[i].at[at[k]] ^= 0x20;
            rehash(&record[i], id);
            refused_untouched(id);
            memcpy(record[i].at, &before, sizeof before);
            if (at[k] >= sizeof before)
                record[i].at[at[k]] ^= 0x20;
        }
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
}
END_TEST

/* Put the payload of one record into another's place, header and hashes made right for it. */
static void replace(const struct found *to, uint64_t id, const uint8_t *payload)
{
    memcpy(to->at + sizeof to->r, payload, to->r.payload_bytes);
    rehash(to, id);
}

START_TEST(records_of_other_places)
{
    static uint8_t saved[8][RECORD_PAYLOAD_MAX + SEAL_BYTES];
    uint64_t a = save_one(4), b = save_one(4);
    find_records(a);
    uint32_t first = 0, count = 0;
    for (uint32_t i = 0; i < records && count < 8; i++)
        if (record[i].r.type == RECORD_PAGES) {
            first = count ? first : i;
            memcpy(saved[count++], record[i].at + sizeof record[i].r, record[i].r.payload_bytes);
        }
    ck_assert_uint_gt(count, 1);
    /* The same memory in the other checkpoint: the same lengths, and yet no use for them. */
    find_records(b);
    for (uint32_t i = 0; i < count; i++) {
        static uint8_t own[RECORD_PAYLOAD_MAX + SEAL_BYTES];
        const struct found *f = &record[first + i];
        memcpy(own, f->at + sizeof f->r, f->r.payload_bytes);
        replace(f, b, saved[i]);
        refused_untouched(b);
        replace(f, b, own);
        ck_assert_int_eq(ckpt_verify(&st, b, NULL), E_OK);
    }
    /* In the same one, in another's place. */
    if (record[first].r.payload_bytes == record[first + 1].r.payload_bytes)
        replace(&record[first], b, record[first + 1].at + sizeof record[first].r);
    else
        record[first].at[offsetof(struct disk_record, sequence)] ^= 1, rehash(&record[first], b);
    refused_untouched(b);
}
END_TEST

START_TEST(another_stores_records)
{
    uint64_t id = save_one(4);
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    st.uuid[3] ^= 1; /* all of it is as in the other store, seeds and ids included */
    refused_untouched(id);
    st.uuid[3] ^= 1;
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    /* Nor does a superblock get by with another uuid. */
    st.uuid[3] ^= 1;
    ck_assert_int_eq(store_pin(&st, id, true), E_OK);
    ck_assert_int_eq(rig_open(&st), E_KEY);
}
END_TEST

/* What an attempt with the same id left, and both hashes made right for this one. */
START_TEST(another_attempts_records)
{
    uint64_t id = save_one(4);
    find_records(id);
    for (int turn = 0; turn < 2; turn++) {
        st.table[0].seed ^= 1;
        for (uint32_t i = 0; i < records; i++)
            rehash(&record[i], id);
        if (!turn)
            refused_untouched(id);
    }
    ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
}
END_TEST

START_TEST(without_the_key)
{
    struct disk_meta meta;
    uint64_t id = save_one(4), more;
    bool touched;
    for (int wrong = 0; wrong < 2; wrong++) {
        rig_key = NULL;
        ck_assert_int_eq(rig_open(&st), E_OK);
        ck_assert_int_eq(store_unlock(&st, wrong ? &other_key : NULL), E_KEY);
        ck_assert(store_locked(&st));
        rig.recording = true;
        ck_assert_uint_eq(store_count(&st), 1);
        ck_assert_int_eq(ckpt_read_meta(&st, id, &meta), E_OK);
        ck_assert_str_eq(meta.label, "a label");
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_KEY);
        ck_assert_int_eq(load(id, &touched), E_KEY);
        ck_assert(!touched && !asked_total);
        ck_assert_int_eq(rig_save(&st, "", &more), E_KEY);
        ck_assert_uint_eq(rig.ops, 0); /* nothing is changed */
        rig.recording = false;
        find_records(id); /* damage is told from the missing key */
        record[records / 2].at[sizeof(struct disk_record) + 5] ^= 1;
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_CHECKSUM);
        record[records / 2].at[sizeof(struct disk_record) + 5] ^= 1;
        ck_assert_int_eq(store_unlock(&st, &test_key), E_OK);
        ck_assert_int_eq(ckpt_verify(&st, id, NULL), E_OK);
    }
    ck_assert_int_eq(store_unlock(&st, &other_key), E_KEY);
    ck_assert_int_eq(store_delete(&st, id), E_OK); /* takes none */
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_uint_eq(store_count(&st), 0);
    ck_assert(store_locked(&st));
}
END_TEST

START_TEST(a_merge_takes_the_key)
{
    static struct ckpt_merge m;
    make_chain(3, ASCENDING);
    rig_key = NULL;
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert_int_eq(ckpt_merge_begin(&m, &st, 2, rig_seen, sizeof rig_seen, NULL), E_KEY);
    ck_assert(!st.writing);
}
END_TEST

START_TEST(a_plain_store_takes_any_key)
{
    rig_key = NULL;
    setup();
    uint64_t id = save_one(4);
    rig_key = &test_key;
    ck_assert_int_eq(rig_open(&st), E_OK);
    ck_assert(!store_locked(&st) && !st.sealed && !st.key);
    restores_to(id, model[id]);
    ck_assert_uint_eq(store_find(&st, id)->features_required, 0);
    ck_assert(find("some state", 10));
}
END_TEST

START_TEST(entries_are_as_their_store)
{
    static struct disk_super super;
    const char *why;
    (void)save_one(4);
    memcpy(&super, store_bytes() + st.slot * STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES, sizeof super);
    ck_assert_uint_eq(super.features_required, STORE_FEATURE_SEALED);
    format_seal_super(&super, st.table);
    ck_assert_int_eq(format_check_table(&super, st.table, &why), E_OK);
    st.table[0].features_required ^= ENTRY_FEATURE_SEALED;
    format_seal_super(&super, st.table);
    ck_assert_int_eq(format_check_table(&super, st.table, &why), E_BADSTORE);
}
END_TEST

/* All that was ever written, attempts that were given up and disks that failed included. */
START_TEST(no_nonce_is_on_the_disk_twice)
{
    static uint8_t seen[4096][SEAL_NONCE_BYTES];
    uint32_t count = 0, aborted = 0;
    rig.recording = true;
    for (uint64_t at = 0; at < 24; at++) {
        uint64_t id;
        rig.requests = 0;
        rig.fail_at = at;
        rig.fail_for = 1;
        aborted += rig_save(&st, "", &id) != E_OK;
        rig.fail_at = UINT64_MAX;
        if (store_count(&st) > 1)
            ck_assert_int_eq(store_delete(&st, store_entry(&st, 0)->id), E_OK);
        ck_assert_int_eq(rig_open(&st), E_OK);
    }
    ck_assert_uint_gt(aborted, 3);
    for (uint32_t i = 0; i < rig.ops; i++)
        for (uint64_t at = 0; rig.op[i].op == BLOCK_WRITE && at + 64 <= rig.op[i].count * SECTOR; at += 8) {
            struct disk_record r;
            memcpy(&r, rig.op[i].data + at, sizeof r);
            uint64_t nonce = at + sizeof r + r.payload_bytes - SEAL_BYTES;
            if (r.magic != RECORD_MAGIC || r.payload_bytes < SEAL_BYTES || nonce + 12 > rig.op[i].count * SECTOR)
                continue;
            ck_assert_uint_lt(count, ARRAY_LEN(seen));
            memcpy(seen[count++], rig.op[i].data + nonce, SEAL_NONCE_BYTES);
        }
    ck_assert_uint_gt(count, 40);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            ck_assert(memcmp(seen[i], seen[j], SEAL_NONCE_BYTES));
}
END_TEST

static Suite *seal_suite(void)
{
    Suite *s = suite_create("seal");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup_key, no_key);
    tcase_add_test(t, the_standards_example);
    tcase_add_test(t, what_stays_readable_is_covered);
    tcase_add_test(t, keys_as_text);
    tcase_add_test(t, no_nonce_comes_twice);
    tcase_add_test(t, nothing_of_the_memory_shows);
    tcase_add_test(t, each_record_forged);
    tcase_add_test(t, records_of_other_places);
    tcase_add_test(t, another_stores_records);
    tcase_add_test(t, another_attempts_records);
    tcase_add_test(t, without_the_key);
    tcase_add_test(t, a_merge_takes_the_key);
    tcase_add_test(t, a_plain_store_takes_any_key);
    tcase_add_test(t, entries_are_as_their_store);
    tcase_add_test(t, no_nonce_is_on_the_disk_twice);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("seal", seal_suite)
