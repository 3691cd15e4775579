# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoint and restore: in place, after a crash, after a power cut, from a cut in the middle of a checkpoint."""
import json
import random
import time

import moments
import steps
from console import RigError
from saving_tools import committed, sojstore
from scenario import check, scenario

OLD_S = 12  # of uptime: about so long does a restored guest have to wait


@scenario(rigs=("qemu",), timeout=200)
def restore_rounds(m):
    """Ten times checkpoint, change memory or crash, restore in place, from native and from virtual: content by checksum."""
    steps.boot(m)
    m.guest.work_start("mib=24", 60)
    for number in range(10):
        moments.round_trip(m, number, number % 2 == 0, number % 4 < 2, number % 3 == 2)
    if steps.status(m)["mode"] == "virtual":
        steps.to_native(m)
    steps.time_is_whole(m)
    m.guest.work_check()
    stops = steps.status(m)["stops_us"]
    check(0 < stops["last"] <= stops["max"], f"stop times: {stops}")


@scenario(rigs=("bochs",), timeout=500, long=True)
def restore_rounds_bochs(m):
    """Ten rounds under VMX, IDE."""
    steps.boot(m, mem_mib=128)
    m.guest.work_start("mib=16", 60 * m.slow)
    for number in range(10):
        moments.round_trip(m, number, number % 2 == 0, number % 4 < 2, number % 3 == 2)
    steps.time_is_whole(m)


def chain_begun(m):
    """VMX: a full checkpoint, and one that builds on it by dirty tracking; the next will, by hashes."""
    rows = []
    for text in ("full", "tracked"):
        moments.mark(m, text)
        rows.append(steps.checkpoint(m, text))
    return rows


def chain_is_whole(m, rows):
    """It has the kinds it should have, and in place it leads back to its middle."""
    check([row["kind"] for row in rows] == ["full", "incremental", "incremental"], f"kinds: {rows}")
    check(rows[1]["bytes"] < rows[0]["bytes"] / 8 and rows[2]["bytes"] < rows[0]["bytes"] / 3, f"sizes: {rows}")
    steps.crash(m)
    steps.restore(m, str(rows[1]["id"]))
    check(moments.marked(m) == "tracked", f"the guest is from {moments.marked(m)}")
    m.guest.work_check(60 * m.slow)


def held(m):
    """QEMU's TSC cannot be set: before a guest that was restored cold is left, it is held until the TSC has caught up. The console works
    meanwhile, `enter` lets the guest go on, a checkpoint is taken, and after each it is held for the rest only."""
    def holds():
        ms = int(m.sojourn.expect(r"\* this CPU's time-stamp counter cannot be set: holding the guest (\d+) ms", 60).group(1))
        before, told = time.monotonic(), steps.status(m)
        check(time.monotonic() - before < ms / 2000, f"held for {ms} ms, and status took {time.monotonic() - before} s")
        check(told["mode"] == "virtual" and "held" in told["reason"], f"status while it is held: {told}")
        return ms

    first = holds()
    check(first > OLD_S * 500, f"only {first} ms: too few for this test")
    m.sojourn.run("enter")
    m.guest.work_check()
    m.sojourn.drop()
    m.sojourn.send("leave\r")
    second = holds()
    check(second < first, f"first {first}, then {second} ms")
    m.sojourn.drop()
    m.sojourn.send("checkpoint\r")
    m.sojourn.expect(r"(?m)^ok\r?\n", 60)
    check(holds() < second, "what was waited for before the checkpoint did not count")


@scenario(timeout=250, alone=("qemu",))
def cold_restore(m):
    """Checkpoint, power cut, cold start: the guest goes on where it was and ends native. Then a reset, and the old log."""
    mem = 256 if m.rig == "qemu-svm" else 128
    image = steps.boot(m, mem_mib=mem, cmdline=steps.QUIET if m.rig == "qemu-svm" else steps.FREED_IS_ZERO)
    m.guest.work_start("mib=16" if m.rig == "qemu-svm" else "mib=6", 60 * m.slow)
    rows = [] if m.rig == "qemu-svm" else chain_begun(m)
    if steps.status(m)["mode"] == "virtual":
        steps.to_native(m)
    before = steps.clocks(m)
    moments.mark(m, "cut")
    if m.rig == "qemu-svm":
        time.sleep(max(0.0, OLD_S - before[0]))
    rows.append(steps.checkpoint(m, "before the cut"))
    moments.mark(m, "lost")
    moments.cold(m, image, "cut", mem, meanwhile=(lambda: held(m)) if m.rig == "qemu-svm" else lambda: None)
    steps.time_is_whole(m)
    after = steps.clocks(m)
    check(after[0] >= before[0] and after[1] >= before[1], f"clocks went back: {before} -> {after}")
    steps.timers_fire(m)
    check(steps.clocks(m)[1] > after[1], "the date stands still")
    listed = [c["id"] for c in steps.checkpoints(m)]
    check(listed[:len(rows)] == [row["id"] for row in rows], f"list after the cold start: {listed}")
    m.sojourn.run("verify", 60 * m.slow)
    # The restored guest can do everything again.
    steps.to_virtual(m)
    steps.to_native(m)
    m.guest.work_check(60 * m.slow)
    if m.rig != "qemu-svm":
        chain_is_whole(m, rows)
        return
    moments.mark(m, "again")
    steps.checkpoint(m, "from a restored guest")
    m.reset()
    m.sojourn.wake(60)
    steps.settle(m)
    check(moments.marked(m) == "again", f"after the reset the guest is from {moments.marked(m)!r}")
    m.guest.work_check()


@scenario(rigs=("qemu",), timeout=90)
def log_previous(m):
    """After a reset, `log previous` shows the log of before it."""
    steps.boot(m)
    steps.to_native(m)
    steps.refused(m, "restore 7777", "E_NOTFOUND")
    steps.checkpoint(m, "in the log")
    own = "\n".join(m.sojourn.run("log"))
    check("checkpoint: id=1" in own, f"the log does not tell of the checkpoint: {own[-300:]!r}")
    m.reset()
    steps.shell(m)
    previous = "\n".join(m.sojourn.run("log previous", 20))
    check("checkpoint: id=1" in previous, f"`log previous` does not show the log of before: {previous[-300:]!r}")


def power_cuts(m, rounds, seed, mem_mib=256):
    """Kill the machine at random moments of a checkpoint; see what the store says and what comes up."""
    random_moment = random.Random(seed)
    image = steps.boot(m, mem_mib=mem_mib)
    m.guest.work_start("mib=16", 60 * m.slow)
    moments.mark(m, "c0")
    # The first cut finds an empty store: afterwards the guest boots.
    begin = time.monotonic()
    first = steps.checkpoint(m)
    took = time.monotonic() - begin
    m.sojourn.run(f"delete {first['id']}", 20 * m.slow)
    m.sojourn.send("checkpoint\r")
    time.sleep(took * 0.4)
    m.power_cut()
    check(not committed(image), "a checkpoint that was cut off is in the list")
    steps.again(m, image, "--options", "console=com2 settle=never restore=latest", mem_mib=mem_mib)
    steps.shell(m)
    m.guest.work_start("mib=16", 60 * m.slow)
    moments.mark(m, "c1")
    good, newest = [steps.checkpoint(m)["id"]], {}
    newest[good[0]] = "c1"
    cuts = 0
    for number in range(rounds):
        for old in reversed(good[:-1]):  # all but the newest and what it builds on
            answer = m.sojourn.cmd(f"delete {old}", 20 * m.slow)
            check(answer.ok or answer.code == "E_BUSY", f"delete: {answer!r}")
            if answer.ok:
                good.remove(old)
        text = f"r{number}"
        moments.mark(m, text)
        moment = random_moment.uniform(0.0, took * 1.1)
        before = len(m.sojourn.seen())
        m.sojourn.send("checkpoint\r")
        time.sleep(moment)
        answered = "ok" in m.sojourn.seen(before).split()
        m.power_cut()
        done = sojstore("verify", image)
        check(done.returncode == 0, f"round {number}, cut after {moment:.3f} s: sojstore verify: {done.stdout}")
        ids = committed(image)
        new = [i for i in ids if i not in good]
        check([i for i in ids if i in good] == good and len(new) <= 1, f"round {number}: {good} became {ids}")
        check(new or not answered, f"round {number}: answered ok, but the checkpoint is not in the store")
        cuts += not new
        for i in new:
            newest[i] = text
            good.append(i)
        m.start(image, mem_mib=mem_mib)
        m.sojourn.wake(60 * max(1, m.slow / 2))
        steps.wait_mode(m, "virtual", 30)
        check(moments.marked(m) == newest[good[-1]], f"round {number}: restored {moments.marked(m)}, not {newest[good[-1]]}")
        m.guest.work_check(60 * m.slow)
    check(cuts, "not one checkpoint was cut off: the moments are wrong")


@scenario(rigs=("qemu",), timeout=120)
def power_cut_few(m):
    """Six power cuts during a checkpoint: the store opens, the last committed checkpoint restores."""
    power_cuts(m, 6, seed=2)


@scenario(rigs=("qemu",), timeout=900, long=True)
def power_cut_50(m):
    """Fifty power cuts during a checkpoint."""
    power_cuts(m, 50, seed=50)


@scenario(rigs=("bochs",), timeout=700, long=True)
def power_cut_bochs(m):
    """Five power cuts during a checkpoint on an IDE disk."""
    power_cuts(m, 5, seed=5, mem_mib=128)


@scenario(rigs=("qemu",), timeout=200)
def power_cut_merging(m):
    """Power cuts while the full checkpoint of a chain is taken out of it: what builds on it comes up, and it is gone on with."""
    random_moment = random.Random(7)
    image = steps.boot(m, options="console=com2 settle=never restore=latest")
    m.guest.work_start("mib=16")
    m.guest.run("head -c 60000000 /dev/urandom >/tmp/noise", 60)  # several slices of what LZ4 does not make smaller
    for number in range(4):
        moments.mark(m, f"m{number}")
        m.guest.run("work dirty mib=2", 60)
        steps.checkpoint(m)
    ids, states = [1, 2, 3, 4], set()

    def look():
        done = sojstore("list", image, "--json")
        for line in done.stdout.splitlines():  # a commit that is seen half done is told in another one
            if line.startswith("["):
                states.update(row["state"] for row in json.loads(line))

    for number in range(4):
        before = len(m.sojourn.seen())
        if number == 3:  # to the end
            answer = m.sojourn.cmd("delete 1", 60)
            check(answer.ok or answer.code == "E_NOTFOUND", f"delete: {answer!r}")
        else:
            m.sojourn.send("delete 1\r")
            while number == 0 and "merging" not in states and "ok" not in m.sojourn.seen(before).split():
                look()
            time.sleep(random_moment.uniform(0, 0.3 if number else 0.1))
        m.power_cut()
        done = sojstore("verify", image)
        check(done.returncode == 0, f"round {number}: sojstore verify: {done.stdout}")
        look()
        ids = committed(image)
        check(ids in ([1, 2, 3, 4], [2, 3, 4]), f"round {number}: the store has {ids}")
        m.start(image)
        m.sojourn.wake(60)
        steps.wait_mode(m, "virtual", 30)
        check(moments.marked(m) == "m3", f"round {number}: restored {moments.marked(m)}")
        m.guest.work_check()
    check(ids == [2, 3, 4] and "merging" in states, f"no merge was cut off, or it did not end: {states}")
    rows = steps.checkpoints(m)
    check([(row["id"], row["kind"], row["parent"]) for row in rows] == [(2, "full", None), (3, "incremental", 2), (4, "incremental", 3)],
          f"the chain: {rows}")
    for number in (1, 2):
        steps.restore(m, str(number + 1))
        check(moments.marked(m) == f"m{number}", f"restored {moments.marked(m)}")
        m.guest.work_check()


def triple_fault(m):
    m.guest.drop()
    m.guest.send("reboot -f\n")


@scenario(rigs=("qemu",), timeout=150)
def on_crash(m):
    """A triple fault of the virtual guest: on-crash=restore, hold and boot do what they say."""
    options = "console=com2 settle=never on-crash="
    image = steps.boot(m, options=options + "restore", cmdline=steps.QUIET + " reboot=t")
    m.guest.work_start("mib=8")
    moments.mark(m, "good")
    steps.checkpoint(m)
    moments.mark(m, "bad")
    triple_fault(m)
    m.sojourn.expect(r"\* restored the newest checkpoint", 30)
    m.guest.drop()
    check(moments.marked(m) == "good", "on-crash=restore: not the checkpoint's guest")
    m.guest.work_check()

    steps.again(m, image, "--options", options + "hold")
    steps.shell(m)
    triple_fault(m)
    m.sojourn.expect(r"\* guest died: triple fault", 30)
    now = steps.status(m)
    check(now["guest"] == "parked" and "triple fault" in now["reason"], f"on-crash=hold: {now['guest']} {now['reason']}")
    for command in ("leave", "enter", "checkpoint"):
        steps.refused(m, command, "E_PARKED")
    for _ in range(3):
        steps.restore(m)
        check(moments.marked(m) == "good", "restore from a parked guest: not the checkpoint's guest")
        m.guest.work_check()
        triple_fault(m)
        m.sojourn.expect(r"\* guest parked", 30)

    steps.again(m, image, "--options", options + "boot")
    steps.shell(m)
    triple_fault(m)
    m.sojourn.expect(r"\* guest died: triple fault", 30)
    steps.shell(m)
    steps.to_native(m)


@scenario(rigs=("qemu",), timeout=90)
def store_commands(m):
    """list, show, verify, delete, full store: errors say what is expected, programs get JSON."""
    steps.boot(m, store=("--store", "96", "--format"))
    m.guest.work_start("mib=16")
    check(steps.checkpoints(m) == [], "a new store has checkpoints")
    for command in ("restore latest", "show 1", "delete 1", "restore 7"):
        steps.refused(m, command, "E_NOTFOUND")
    for command, code in (("restore", "E_USAGE"), ("format", "E_CONFIRM"), ("xyzzy", "E_UNKNOWN"), ("re", "E_AMBIGUOUS"),
                          ("show x", "E_USAGE"), ("checkpoint --label", "E_USAGE"), ('checkpoint --label "a', "E_SYNTAX")):
        steps.refused(m, command, code)
    row = steps.checkpoint(m, "one two")
    shown = json.loads("".join(m.sojourn.run(f"show {row['id']} --json")))
    check(shown["label"] == "one two" and shown["restorable"] is True, f"show --json: {shown}")
    check(row["bytes"] > 16 << 20 and row["kind"] == "full" and row["parent"] is None, f"list --json: {row}")
    used = steps.status(m)["store"]["used"]
    answer = m.sojourn.cmd("checkpoint", 60)
    for _ in range(4):
        if not answer.ok:
            break
        answer = m.sojourn.cmd("checkpoint --full", 60)
    check(answer.code == "E_FULL", f"a full store: {answer!r}")
    m.guest.work_check()
    kept = steps.checkpoints(m)
    check(row["id"] in [c["id"] for c in kept], "the full store lost a checkpoint")
    m.sojourn.run("verify", 60)
    check("verified" in "".join(m.sojourn.run("verify", 60)), "verify says nothing")
    for c in kept[1:]:
        m.sojourn.run(f"delete {c['id']}")
    check(steps.status(m)["store"]["used"] == used, "delete did not give the space back")
    m.sojourn.run("format --yes")
    check(steps.checkpoints(m) == [], "format left checkpoints")
    steps.checkpoint(m)
    try:
        m.sojourn.run("restore 1")
    except RigError as e:
        check("E_NOTFOUND" not in str(e), f"ids begin again after format: {e}")
    m.guest.drop()
    m.guest.work_check()
