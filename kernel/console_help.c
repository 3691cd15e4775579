/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The text of the console's help: every command's usage, meaning, details and example, and the two ways of
   showing them. docs/console.md explains the same commands at length. */
#include "kernel/console_help.h"

#define USAGE_COLUMN 48

const struct command_help command_helps[CMD_COUNT] = {
    [CMD_HELP] = {"help", "help [COMMAND]", "list the commands, or explain one",
                  "Commands may be abbreviated as long as they are unique: che for checkpoint.\n", "help restore"},
    [CMD_STATUS] = {"status", "status [--json]", "mode, activity, guest, store and counters",
                    "If the guest cannot be left, or a transition was refused, the reason is here.\n", "status"},
    [CMD_ENTER] = {"enter", "enter", "slide under the running guest: native -> virtual",
                   "The guest stays virtual until leave. Fails with E_ALREADY if it is virtual.\n", "enter"},
    [CMD_LEAVE] = {"leave", "leave", "get out from under the guest: virtual -> native",
                   "A guest that cannot be left stays virtual, unharmed; the answer says why.\n", "leave"},
    [CMD_CHECKPOINT] = {"checkpoint", "checkpoint [--label TEXT] [--full] [--wait]", "save the machine's state",
                        "--label TEXT  a name for list; quotes keep spaces: --label \"before upgrade\"\n"
                        "--full        all memory, not only what changed\n"
                        "--wait        answer when the checkpoint is committed\n",
                        "checkpoint --label \"before upgrade\" --wait"},
    [CMD_LIST] = {"list", "list [--json]", "the checkpoints in the store", "", "list --json"},
    [CMD_SHOW] = {"show", "show ID [--json]", "everything about one checkpoint",
                  "Also says which device states were normalised, and whether it can be restored here.\n", "show 3"},
    [CMD_RESTORE] = {"restore", "restore ID|latest [--force] [--lazy|--eager]", "put the machine back to a checkpoint",
                     "What the guest did since the checkpoint is lost. Everything is checked first; ok\n"
                     "means that the checks passed and the restore begins, lines with * tell the rest.\n"
                     "--force       although the guest's disks may have changed since: may destroy its files\n"
                     "--eager       read everything, then resume\n"
                     "--lazy        resume at once, read on demand\n",
                     "restore latest"},
    [CMD_DELETE] = {"delete", "delete ID", "remove a checkpoint from the store", "", "delete 3"},
    [CMD_PIN] = {"pin", "pin ID [off]", "keep a checkpoint from being deleted; off: no longer", "", "pin 3"},
    [CMD_VERIFY] = {"verify", "verify [ID]", "read checkpoints back and check every checksum",
                    "Without ID: the whole store.\n", "verify"},
    [CMD_AUTO] = {"auto", "auto [every=SECONDS keep=N | off]", "checkpoints by the clock",
                  "Without words: what is set. keep is 2 to 48; older ones go, but none made by hand.\n",
                  "auto every=30s keep=10"},
    [CMD_PROTECT] = {"protect", "protect [on|off]", "keep guest disk contents restorable at all times",
                     "Without words: what is set. on keeps the guest virtual.\n", "protect on"},
    [CMD_LOG] = {"log", "log [previous]", "Sojourn's log; previous: the one before the last reset", "", "log previous"},
    [CMD_FORMAT] = {"format", "format --yes", "make an empty store; deletes every checkpoint", "", "format --yes"},
    [CMD_REBOOT] = {"reboot", "reboot", "reset the machine now, without asking the guest", "", "reboot"},
    [CMD_VERSION] = {"version", "version", "Sojourn's version", "", "version"},
    [CMD_BENCH] = {"bench", "bench", "measure how fast the store's disk is written",
                   "Writes up to 64 MiB, only into free blocks of the store; the guest is stopped meanwhile.\n",
                   "bench"},
};

void console_help_all(const struct sink *out)
{
    for (int i = 0; i < CMD_COUNT; i++)
        sink_format(out, "%-*s%s\n", USAGE_COLUMN, command_helps[i].usage, command_helps[i].summary);
    sink_text(out, "Each answer ends in ok or error CODE: text. help COMMAND tells more.\n");
}

void console_help_one(const struct sink *out, enum command_id id)
{
    const struct command_help *h = &command_helps[id];
    sink_format(out, "%s\n", h->usage);
    sink_format(out, "  %s\n", h->summary);
    for (const char *line = h->details; *line;) {
        const char *end = __builtin_strchr(line, '\n');
        sink_format(out, "  %.*s\n", (int)(end - line), line);
        line = end + 1;
    }
    sink_format(out, "example: %s\n", h->example);
}
