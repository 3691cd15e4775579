/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. One table of options, each with the function that reads its value. GRUB quotes a word that holds a space and
   escapes quotes and backslashes with a backslash; both are undone here. */
#include "kernel/options.h"

#include "err.h"
#include "str.h"

#include <string.h>

#define WORD_MAX 128

struct port_choice {
    const char *name;
    uint16_t port;
    uint32_t gsi;
};

/* The PC's fixed serial ports and their ISA interrupts; GSI = IRQ unless the MADT overrides it. */
static const struct port_choice ports[] = {
    {"com1", 0x3f8, 4},
    {"com2", 0x2f8, 3},
    {"com3", 0x3e8, 4},
    {"com4", 0x2e8, 3},
};

#define PORT_MIN 0x100u /* below lie the mainboard's own devices */
#define PORT_MAX 0xfff8u
#define GSI_MAX 255u

static bool equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static PRINTF_LIKE(2, 3) void warn(struct options *o, const char *fmt, ...)
{
    if (o->warnings == OPTIONS_WARNING_COUNT) {
        o->warnings_hidden++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)str_vformat(o->warning[o->warnings++], OPTIONS_WARNING_MAX, fmt, args);
    va_end(args);
}

/* Digits of the base up to the end character or the end of text, without overflow. NULL: no number; else where it
   ended. */
static const char *read_number(const char *text, unsigned base, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p; p++) {
        unsigned digit;
        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (base == 16 && *p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else if (base == 16 && *p >= 'A' && *p <= 'F')
            digit = (unsigned)(*p - 'A') + 10;
        else
            break;
        if (value > (max - digit) / base)
            return NULL;
        value = value * base + digit;
    }
    *out = value;
    return p == text ? NULL : p;
}

static bool whole_number(const char *text, uint64_t max, uint64_t *out)
{
    const char *end = read_number(text, 10, max, out);
    return end && !*end;
}

static void set_port(struct options *o, const char *name, uint16_t port, uint32_t gsi)
{
    o->console = true;
    o->console_port = port;
    o->console_gsi = gsi;
    (void)str_format(o->console_name, sizeof o->console_name, "%s", name);
}

static bool read_console(struct options *o, const char *value)
{
    if (equal(value, "none")) {
        o->console = false;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        if (equal(value, ports[i].name)) {
            set_port(o, ports[i].name, ports[i].port, ports[i].gsi);
            return true;
        }
    }
    if (value[0] != '0' || (value[1] != 'x' && value[1] != 'X'))
        return false;
    uint64_t port, gsi = OPTIONS_GSI_UNKNOWN;
    const char *end = read_number(value + 2, 16, PORT_MAX, &port);
    if (!end || port < PORT_MIN)
        return false;
    if (*end == ',' && !whole_number(end + 1, GSI_MAX, &gsi))
        return false;
    if (*end && *end != ',')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ports) && !*end; i++)
        if (ports[i].port == port)
            gsi = ports[i].gsi;
    set_port(o, value, (uint16_t)port, (uint32_t)gsi);
    return true;
}

static bool read_settle(struct options *o, const char *value)
{
    uint64_t seconds;
    o->settle_never = equal(value, "never");
    if (o->settle_never)
        return true;
    if (!whole_number(value, OPTIONS_SETTLE_MAX_S, &seconds))
        return false;
    o->settle_s = (uint32_t)seconds;
    return true;
}

static bool read_store(struct options *o, const char *value)
{
    static const char prefix[] = "gpt:";
    size_t len = sizeof prefix - 1;
    if (equal(value, "auto")) {
        o->store = STORE_CHOICE_AUTO;
    } else if (equal(value, "none")) {
        o->store = STORE_CHOICE_NONE;
    } else if (strncmp(value, prefix, len) == 0 && value[len] && strlen(value + len) <= OPTIONS_LABEL_MAX) {
        o->store = STORE_CHOICE_GPT;
        (void)str_format(o->store_label, sizeof o->store_label, "%s", value + len);
    } else {
        return false;
    }
    return true;
}

static bool read_restore(struct options *o, const char *value)
{
    if (equal(value, "never")) {
        o->restore = RESTORE_CHOICE_NEVER;
    } else if (equal(value, "latest")) {
        o->restore = RESTORE_CHOICE_LATEST;
    } else if (equal(value, "ask")) {
        o->restore = RESTORE_CHOICE_ASK;
    } else {
        uint64_t id;
        if (!whole_number(value, UINT64_MAX, &id) || id == 0)
            return false;
        o->restore = RESTORE_CHOICE_ID;
        o->restore_id = id;
    }
    return true;
}

/* hd0  hd0,msdos1  hd0,gpt2, as GRUB names disks; boot: whatever GRUB booted from. */
static bool read_guest(struct options *o, const char *value)
{
    uint64_t disk, partition = 0;
    if (equal(value, "boot")) {
        o->guest = GUEST_CHOICE_DEFAULT;
        return true;
    }
    if (strncmp(value, "hd", 2) != 0)
        return false;
    const char *p = read_number(value + 2, 10, 127, &disk);
    if (!p)
        return false;
    enum option_guest kind = GUEST_CHOICE_DISK;
    if (*p == ',') {
        bool gpt = strncmp(p + 1, "gpt", 3) == 0;
        if (!gpt && strncmp(p + 1, "msdos", 5) != 0)
            return false;
        if (!whole_number(p + (gpt ? 4 : 6), 255, &partition) || partition == 0)
            return false;
        kind = gpt ? GUEST_CHOICE_GPT : GUEST_CHOICE_MSDOS;
    } else if (*p) {
        return false;
    }
    o->guest = kind;
    o->guest_disk = (uint32_t)disk;
    o->guest_partition = (uint32_t)partition;
    return true;
}

static bool read_rate(struct options *o, const char *value)
{
    return whole_number(value, UINT32_MAX, &o->rate_mib_s);
}

static bool read_key(struct options *o, const char *value)
{
    uint8_t key[SEAL_KEY_BYTES];
    memset(o->key, 0, sizeof o->key);
    if (equal(value, "none"))
        return true;
    if (strlen(value) != sizeof o->key - 1 || !seal_read_key(value, sizeof o->key - 1, key))
        return false;
    memcpy(o->key, value, sizeof o->key);
    return true;
}

struct option {
    const char *name;
    bool (*read)(struct options *o, const char *value); /* false: not understood. NULL: a word of values, see choice */
    const char *values;                                 /* what would be, in words */
    const char *fallback;                               /* the default: a value that is understood */
    size_t choice;                                      /* without read: where the word's number goes */
};

#define CHOICE(field, words, fallback) NULL, words, fallback, offsetof(struct options, field)

static const struct option table[] = {
    {"console", read_console, "com1 com2 com3 com4 0xPORT[,GSI] none", "com2", 0},
    {"settle", read_settle, "seconds (at most 86400) or never", "5", 0},
    {"store", read_store, "auto gpt:LABEL none", "auto", 0},
    {"restore", read_restore, "never latest ask, or a checkpoint's number", "never", 0},
    {"restore-clock", CHOICE(restore_clock, "run cut", "run")},
    {"start", CHOICE(start, "virtual native", "virtual")},
    {"on-crash", CHOICE(on_crash, "boot restore hold", "boot")},
    {"protect", CHOICE(protect, "off on", "off")},
    {"unknown-dma", CHOICE(unknown_dma, "warn refuse", "warn")},
    {"backend", CHOICE(backend, "auto vmx svm", "auto")},
    {"visible", CHOICE(visible, "0 1", "0")},
    {"guest", read_guest, "boot hdN hdN,msdosM hdN,gptM", "boot", 0},
    {"rate", read_rate, "MiB per second, 0 for no limit", "0", 0},
    {"key", read_key, "64 hexadecimal digits", "none", 0},
};

/* The number of the word that value is. */
static bool choose(const char *words, const char *value, uint8_t *number)
{
    size_t length = strlen(value);
    for (uint8_t i = 0; *words; i++) {
        size_t n = strcspn(words, " ");
        if (n == length && memcmp(words, value, n) == 0) {
            *number = i;
            return true;
        }
        words += n;
        words += *words == ' ';
    }
    return false;
}

static bool read_value(const struct option *option, struct options *o, const char *value)
{
    return option->read ? option->read(o, value) : choose(option->values, value, (uint8_t *)o + option->choice);
}

static void apply(struct options *o, char *word)
{
    char *value = strchr(word, '=');
    if (value)
        *value++ = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!equal(word, table[i].name))
            continue;
        bool given = value && *value;
        if (given && read_value(&table[i], o, value))
            return;
        (void)read_value(&table[i], o, table[i].fallback);
        if (!given)
            warn(o, "option %s= needs a value (%s); using %s", table[i].name, table[i].values, table[i].fallback);
        else
            warn(o, "option %s=%.40s: expected %s; using %s", table[i].name, table[i].read == read_key ? "..." : value,
                 table[i].values, table[i].fallback);
        return;
    }
    warn(o, "option %.60s is not known and ignored", word);
}

/* Take the next word off the line. False: no more. */
static bool next_word(const char **line, char *word, bool *cut)
{
    const char *p = *line;
    size_t n = 0;
    char quote = 0;
    *cut = false;
    while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        p++;
    if (!*p)
        return false;
    for (; *p; p++) {
        char c = *p;
        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            continue;
        }
        if (!quote && (c == ' ' || (c >= '\t' && c <= '\r')))
            break;
        if (c == '\\' && p[1])
            c = *++p;
        if (n + 1 < WORD_MAX)
            word[n++] = c >= ' ' && c <= '~' ? c : '?';
        else
            *cut = true;
    }
    word[n] = 0;
    *line = p;
    return true;
}

void options_parse(const char *line, struct options *out)
{
    char word[WORD_MAX];
    bool cut;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        (void)read_value(&table[i], out, table[i].fallback);
    for (bool first = true; line && next_word(&line, word, &cut); first = false) {
        /* Some loaders pass their own file name as the first word. */
        if (first && (word[0] == '/' || word[0] == '(') && !strchr(word, '='))
            continue;
        if (cut)
            word[strcspn(word, "=")] = 0; /* what is behind it may be a key */
        if (cut)
            warn(out, "option %.40s... is too long and ignored", word);
        else if (word[0])
            apply(out, word);
    }
}
