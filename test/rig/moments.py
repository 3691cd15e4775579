# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling one moment of a guest from another, across a checkpoint and a restore of it."""
import time

import steps
from scenario import check


def mark(m, text):
    """Memory that tells which moment this guest is from: a file, and a variable of the running shell."""
    m.guest.run(f"echo {text} >/tmp/mark; MARK={text}", 20 * m.slow)


def marked(m):
    words = m.guest.run('echo "$(cat /tmp/mark) $MARK"', 20 * m.slow).split()
    check(len(words) == 2 and words[0] == words[1], f"file and shell are from different moments: {words}")
    return words[0]


def round_trip(m, number, saved_native, restored_native, crashed):
    """One checkpoint, much change, one restore."""
    if saved_native != (steps.status(m)["mode"] == "native"):
        (steps.to_native if saved_native else steps.to_virtual)(m)
    mark(m, f"round{number}")
    work = m.guest.work_check(60 * m.slow)
    before = steps.clocks(m)
    row = steps.checkpoint(m, f"round {number}")
    mark(m, "later")
    m.guest.run("work dirty mib=8", 60 * m.slow)
    if restored_native != (steps.status(m)["mode"] == "native"):
        (steps.to_native if restored_native else steps.to_virtual)(m)
    if crashed:
        steps.crash(m)
    steps.restore(m, "latest" if number % 2 else row["id"])
    check(marked(m) == f"round{number}", f"after the restore the guest is from {marked(m)!r}")
    again = m.guest.work_check(60 * m.slow)
    check(again["counter"] >= work["counter"], "the counter went back behind the checkpoint")
    after = steps.clocks(m)
    check(after[0] >= before[0] and after[1] >= before[1], f"clocks went back: {before} -> {after}")
    check(after[0] - before[0] < 120 * m.slow, f"uptime jumped from {before[0]} to {after[0]}")
    steps.timers_fire(m)
    check(steps.clocks(m)[1] > after[1], "the date stands still")
    m.sojourn.run(f"delete {row['id']}", 20 * m.slow)
    check(not any(c["id"] == row["id"] for c in steps.checkpoints(m)), "delete left the checkpoint in the list")


def cold(m, image, expect_mark, mem_mib=256, meanwhile=lambda: None, **start):
    """Power cut, then GRUB -> Sojourn -> the checkpoint's guest, native; meanwhile: before it is."""
    begin = time.monotonic()
    steps.again(m, image, "--options", "console=com2 settle=2 restore=latest", mem_mib=mem_mib, **start)
    m.sojourn.wake(60 * max(1, m.slow / 2))
    meanwhile()
    steps.settle(m)
    check("BOOTED-SHELL" not in m.guest.seen(), "the guest booted instead of going on")
    check(marked(m) == expect_mark, f"the guest is from {marked(m)!r}, not {expect_mark!r}")
    m.guest.work_check(60 * m.slow)
    return time.monotonic() - begin
