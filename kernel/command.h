/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The console's grammar: one line of text becomes struct command, or an error that says what was expected.
   Command words may be abbreviated as long as they are unique; options are written in full, since some destroy. */
#ifndef SOJOURN_COMMAND_H
#define SOJOURN_COMMAND_H

#include "err.h"
#include "types.h"

#define COMMAND_LABEL_MAX 63
#define COMMAND_WHY_MAX 200
#define COMMAND_EVERY_MIN_S 1u
#define COMMAND_EVERY_MAX_S 31536000u
#define COMMAND_KEEP_MIN 2u  /* the newest may already hold the fault */
#define COMMAND_KEEP_MAX 48u /* and a chain more, and some of the operator's: a store holds 64 */

enum command_id {
    CMD_HELP,
    CMD_STATUS,
    CMD_ENTER,
    CMD_LEAVE,
    CMD_CHECKPOINT,
    CMD_LIST,
    CMD_SHOW,
    CMD_RESTORE,
    CMD_DELETE,
    CMD_PIN,
    CMD_VERIFY,
    CMD_AUTO,
    CMD_PROTECT,
    CMD_LOG,
    CMD_FORMAT,
    CMD_REBOOT,
    CMD_VERSION,
    CMD_BENCH,
    CMD_COUNT
};

/* Options, as bits of command.options. */
enum command_option {
    OPT_JSON = 1 << 0,
    OPT_LABEL = 1 << 1,
    OPT_FULL = 1 << 2,
    OPT_WAIT = 1 << 3,
    OPT_FORCE = 1 << 4,
    OPT_LAZY = 1 << 5,
    OPT_EAGER = 1 << 6,
    OPT_YES = 1 << 7,
};

/* What a command says besides options. */
enum command_arg { ARG_NONE, ARG_TOPIC, ARG_ID, ARG_LATEST, ARG_PREVIOUS, ARG_ON, ARG_OFF, ARG_EVERY };

struct command {
    enum command_id id;
    uint32_t options; /* enum command_option */
    enum command_arg arg;
    enum command_id topic;             /* ARG_TOPIC */
    uint64_t checkpoint;               /* ARG_ID; ARG_OFF of pin */
    uint64_t every_s, keep;            /* ARG_EVERY; keep 0: not given */
    char label[COMMAND_LABEL_MAX + 1]; /* OPT_LABEL */
};

/* How a command is written and what it does; console help and docs/console.md say the same. */
struct command_help {
    const char *name;
    const char *usage;
    const char *summary;
    const char *details; /* lines, each ended by \n; may be empty */
    const char *example;
};

extern const struct command_help command_helps[CMD_COUNT];

/* line: without its end. E_OK, E_UNKNOWN, E_AMBIGUOUS, E_USAGE, E_SYNTAX, E_CONFIRM; why: one sentence, set unless
   E_OK. An empty line is E_SYNTAX: the caller sorts those out before. */
enum err command_parse(const char *line, struct command *out, char *why, size_t why_len) MUST_USE;

#endif
