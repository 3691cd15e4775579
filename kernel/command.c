/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The console grammar as two tables: which options and which argument each command takes. Words are split at
   spaces; double quotes keep spaces, and inside them \" and \\ are a quote and a backslash. */
#include "kernel/command.h"

#include "str.h"

#include <string.h>

#define WORDS_MAX 16
#define TEXT_MAX 256

/* Which argument a command takes. Must: it may not be missing; these stand together for check(). */
enum shape {
    SHAPE_NONE,
    SHAPE_TOPIC,
    SHAPE_ID,
    SHAPE_MUST_ID,
    SHAPE_MUST_ID_OR_LATEST,
    SHAPE_MUST_ID_THEN_OFF,
    SHAPE_PREVIOUS,
    SHAPE_ON_OFF,
    SHAPE_AUTO
};

struct grammar {
    uint32_t options;
    enum shape shape;
};

static const struct grammar grammars[CMD_COUNT] = {
    [CMD_HELP] = {0, SHAPE_TOPIC},
    [CMD_STATUS] = {OPT_JSON, SHAPE_NONE},
    [CMD_ENTER] = {0, SHAPE_NONE},
    [CMD_LEAVE] = {0, SHAPE_NONE},
    [CMD_CHECKPOINT] = {OPT_LABEL | OPT_FULL | OPT_WAIT, SHAPE_NONE},
    [CMD_LIST] = {OPT_JSON, SHAPE_NONE},
    [CMD_SHOW] = {OPT_JSON, SHAPE_MUST_ID},
    [CMD_RESTORE] = {OPT_FORCE | OPT_LAZY | OPT_EAGER, SHAPE_MUST_ID_OR_LATEST},
    [CMD_DELETE] = {0, SHAPE_MUST_ID},
    [CMD_PIN] = {0, SHAPE_MUST_ID_THEN_OFF},
    [CMD_VERIFY] = {0, SHAPE_ID},
    [CMD_AUTO] = {0, SHAPE_AUTO},
    [CMD_PROTECT] = {0, SHAPE_ON_OFF},
    [CMD_LOG] = {0, SHAPE_PREVIOUS},
    [CMD_FORMAT] = {OPT_YES, SHAPE_NONE},
    [CMD_REBOOT] = {0, SHAPE_NONE},
    [CMD_VERSION] = {0, SHAPE_NONE},
    [CMD_BENCH] = {0, SHAPE_NONE},
};

static const struct {
    const char *name;
    enum command_option bit;
} options[] = {
    {"--json", OPT_JSON},   {"--label", OPT_LABEL}, {"--full", OPT_FULL},   {"--wait", OPT_WAIT},
    {"--force", OPT_FORCE}, {"--lazy", OPT_LAZY},   {"--eager", OPT_EAGER}, {"--yes", OPT_YES},
};

/* One parse under way: the words, and where the complaint goes. */
struct parse {
    char text[TEXT_MAX];
    const char *word[WORDS_MAX];
    bool quoted[WORDS_MAX]; /* a word that begins with a quote is text, never an option */
    uint32_t words;
    char *why;
    size_t why_len;
};

static SELDOM PRINTF_LIKE(3, 4) enum err fail(struct parse *p, enum err e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)str_vformat(p->why, p->why_len, fmt, args);
    va_end(args);
    return e;
}

static SELDOM enum err usage(struct parse *p, enum command_id id)
{
    return fail(p, E_USAGE, "expected: %s", command_helps[id].usage);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *text)
{
    while (blank(*text))
        text++;
    return text;
}

static enum err split(struct parse *p, const char *line)
{
    size_t used = 0;
    for (line = skip_blanks(line); *line; line = skip_blanks(line)) {
        if (p->words == WORDS_MAX)
            return fail(p, E_SYNTAX, "more than %d words", WORDS_MAX);
        p->word[p->words] = p->text + used;
        p->quoted[p->words] = false;
        bool quote = false;
        for (; *line && (quote || !blank(*line)); line++) {
            char c = *line;
            if (c == '"') {
                quote = !quote;
                p->quoted[p->words] |= p->word[p->words] == p->text + used;
                continue;
            }
            if (quote && c == '\\' && (line[1] == '"' || line[1] == '\\'))
                c = *++line;
            if (used + 2 > sizeof p->text)
                return fail(p, E_TOOLONG, "the line is longer than %d characters", TEXT_MAX - 1);
            p->text[used++] = c;
        }
        if (quote)
            return fail(p, E_SYNTAX, "the closing quote is missing");
        if (used + 2 > sizeof p->text)
            return fail(p, E_TOOLONG, "the line is longer than %d characters", TEXT_MAX - 1);
        p->text[used++] = 0;
        p->words++;
    }
    return E_OK;
}

/* How many characters of the name word is the beginning of; 0: of none. */
static size_t abbreviates(const char *word, const char *name)
{
    size_t n = 0;
    while (word[n] && word[n] == name[n])
        n++;
    return word[n] ? 0 : n;
}

/* The command that word names or abbreviates. */
static enum err find_command(struct parse *p, const char *word, enum command_id *out)
{
    uint32_t hits = 0;
    char candidates[TEXT_MAX];
    candidates[0] = 0;
    for (int i = 0; i < CMD_COUNT; i++) {
        const char *name = command_helps[i].name;
        size_t len = abbreviates(word, name);
        if (len == 0)
            continue;
        *out = (enum command_id)i;
        if (!name[len])
            return E_OK;
        size_t used = strlen(candidates);
        (void)str_format(candidates + used, sizeof candidates - used, " %s", name);
        hits++;
    }
    if (hits == 1)
        return E_OK;
    if (hits > 1)
        return fail(p, E_AMBIGUOUS, "\"%.20s\" could be%s", word, candidates);
    return fail(p, E_UNKNOWN, "no command \"%.40s\"; type help for the commands", word);
}

/* unit: what may stand behind it; 0: nothing. */
static bool whole_number(const char *text, char unit, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return p != text && (!*p || (*p == unit && !p[1]));
}

static enum err take_label(struct parse *p, struct command *out, const char *label)
{
    if (!label)
        return fail(p, E_USAGE, "--label needs a text, in quotes if it holds spaces");
    if (!*label || strlen(label) > COMMAND_LABEL_MAX)
        return fail(p, E_USAGE, "a label has 1 to %d characters", COMMAND_LABEL_MAX);
    (void)str_format(out->label, sizeof out->label, "%s", label);
    return E_OK;
}

/* The option at word *i; --label takes the next word, too. */
static SELDOM enum err take_option(struct parse *p, struct command *out, uint32_t *i)
{
    static const char label_is[] = "--label=";
    const char *word = p->word[*i];
    const char *label = strncmp(word, label_is, sizeof label_is - 1) == 0 ? word + sizeof label_is - 1 : NULL;
    size_t k = 0;
    while (k < ARRAY_LEN(options) && strcmp(label ? "--label" : word, options[k].name) != 0)
        k++;
    if (k == ARRAY_LEN(options) || !(grammars[out->id].options & options[k].bit))
        return fail(p, E_USAGE, "%s has no option %.40s; expected: %s", command_helps[out->id].name, word,
                    command_helps[out->id].usage);
    if (out->options & options[k].bit)
        return fail(p, E_USAGE, "option %s is given twice", options[k].name);
    out->options |= options[k].bit;
    if (options[k].bit != OPT_LABEL)
        return E_OK;
    if (!label && *i + 1 < p->words)
        label = p->word[++*i];
    return take_label(p, out, label);
}

static enum err take_id(struct parse *p, struct command *out, const char *word)
{
    if (!whole_number(word, 0, &out->checkpoint) || out->checkpoint == 0)
        return fail(p, E_USAGE, "\"%.40s\" is no checkpoint number; list shows them. Expected: %s", word,
                    command_helps[out->id].usage);
    out->arg = ARG_ID;
    return E_OK;
}

static enum err take_every(struct parse *p, struct command *out, const char *word)
{
    static const char every[] = "every=", keep[] = "keep=";
    uint64_t *where = NULL;
    uint64_t least = 0, most = 0;
    const char *number = word;
    if (strcmp(word, "off") == 0 && out->arg == ARG_NONE) {
        out->arg = ARG_OFF;
        return E_OK;
    }
    if (strncmp(word, every, sizeof every - 1) == 0) {
        where = &out->every_s;
        number = word + sizeof every - 1;
        least = COMMAND_EVERY_MIN_S;
        most = COMMAND_EVERY_MAX_S;
    } else if (strncmp(word, keep, sizeof keep - 1) == 0) {
        where = &out->keep;
        number = word + sizeof keep - 1;
        least = COMMAND_KEEP_MIN;
        most = COMMAND_KEEP_MAX;
    }
    if (!where || *where || out->arg == ARG_OFF)
        return usage(p, out->id);
    if (!whole_number(number, where == &out->every_s ? 's' : 0, where) || *where < least || *where > most)
        return fail(p, E_USAGE, "%.40s: expected a number from %llu to %llu", word, (unsigned long long)least,
                    (unsigned long long)most);
    out->arg = ARG_EVERY;
    return E_OK;
}

static SELDOM enum err take_arg(struct parse *p, struct command *out, const char *word)
{
    enum shape shape = grammars[out->id].shape;
    enum err e;
    if (shape == SHAPE_AUTO)
        return take_every(p, out, word);
    if (shape == SHAPE_MUST_ID_THEN_OFF && out->arg == ARG_ID && strcmp(word, "off") == 0) {
        out->arg = ARG_OFF;
        return E_OK;
    }
    if (out->arg != ARG_NONE || shape == SHAPE_NONE)
        return fail(p, E_USAGE, "\"%.40s\" is too much; expected: %s", word, command_helps[out->id].usage);
    switch (shape) {
    case SHAPE_TOPIC:
        e = find_command(p, word, &out->topic);
        if (e == E_OK)
            out->arg = ARG_TOPIC;
        return e;
    case SHAPE_MUST_ID_OR_LATEST:
        if (strcmp(word, "latest") != 0)
            return take_id(p, out, word);
        out->arg = ARG_LATEST;
        return E_OK;
    case SHAPE_PREVIOUS:
        if (strcmp(word, "previous") != 0)
            return usage(p, out->id);
        out->arg = ARG_PREVIOUS;
        return E_OK;
    case SHAPE_ON_OFF:
        if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
            return usage(p, out->id);
        out->arg = word[1] == 'n' ? ARG_ON : ARG_OFF;
        return E_OK;
    case SHAPE_ID:
    case SHAPE_MUST_ID:
    case SHAPE_MUST_ID_THEN_OFF:
    case SHAPE_NONE:
    case SHAPE_AUTO:
        break;
    }
    return take_id(p, out, word);
}

/* What only the whole line shows. */
static enum err check(struct parse *p, const struct command *c)
{
    enum shape shape = grammars[c->id].shape;
    if (shape >= SHAPE_MUST_ID && shape <= SHAPE_MUST_ID_THEN_OFF && c->arg == ARG_NONE)
        return usage(p, c->id);
    if (c->arg == ARG_EVERY && !c->every_s)
        return usage(p, c->id);
    if ((c->options & OPT_LAZY) && (c->options & OPT_EAGER))
        return fail(p, E_USAGE, "--lazy and --eager exclude each other");
    if (c->id == CMD_FORMAT && !(c->options & OPT_YES))
        return fail(p, E_CONFIRM, "this deletes every checkpoint in the store; type format --yes to do it");
    return E_OK;
}

enum err command_parse(const char *line, struct command *out, char *why, size_t why_len)
{
    struct parse p;
    p.words = 0;
    p.why = why;
    p.why_len = why_len;
    memset(out, 0, sizeof *out);
    if (why_len)
        why[0] = 0;
    enum err e = split(&p, line);
    if (e == E_OK && p.words == 0)
        e = fail(&p, E_SYNTAX, "the line is empty");
    if (e == E_OK)
        e = find_command(&p, p.word[0], &out->id);
    for (uint32_t i = 1; e == E_OK && i < p.words; i++) {
        if (!p.quoted[i] && p.word[i][0] == '-')
            e = take_option(&p, out, &i);
        else
            e = take_arg(&p, out, p.word[i]);
    }
    return e == E_OK ? check(&p, out) : e;
}
