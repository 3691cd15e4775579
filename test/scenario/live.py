# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoints of a guest that goes on: chains, what it writes meanwhile, what happens to it meanwhile."""
import re
import time

import machine
import moments
import steps
from saving_tools import committed, sojstore
from scenario import check, scenario

MARKS = 6
MIB = 1 << 20


def last_checkpoint(m):
    """What the log says of the newest one."""
    lines = [line for line in m.sojourn.run("log", 20 * m.slow) if "ckpt: checkpoint: " in line]
    check(lines, "no checkpoint in the log")
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", lines[-1])}


def chain(m):
    """A checkpoint for each mark, from both modes; what is in them is told apart by a mark and a changed tree."""
    rows = []
    for number in range(MARKS):
        if number:
            want = "native" if number % 3 else "virtual"
            if steps.status(m)["mode"] != want:
                (steps.to_native if want == "native" else steps.to_virtual)(m)
        moments.mark(m, f"m{number}")
        m.guest.run("work dirty mib=1", 60 * m.slow)
        rows.append(steps.checkpoint(m, f"mark {number}"))
        log = last_checkpoint(m)
        check(log["parent"] == (rows[-2]["id"] if number else 0), f"checkpoint {number} builds on {log['parent']}")
        m.guest.work_check(60 * m.slow)
    return rows


@scenario(rigs=("qemu",), timeout=200)
def incremental(m):
    """A full checkpoint and some that build on it: small, each restored in place, the last one cold; pinned, deleted in any order."""
    image = steps.boot(m)
    m.guest.work_start("mib=12")
    rows = chain(m)
    check(rows[0]["kind"] == "full" and rows[0]["parent"] is None, f"the first one: {rows[0]}")
    for before, row in zip(rows, rows[1:]):
        check(row["kind"] == "incremental" and row["parent"] == before["id"], f"{row} does not build on {before['id']}")
        check(row["bytes"] < rows[0]["bytes"] / 3, f"{row['bytes']} bytes after {rows[0]['bytes']}")
    stops = steps.status(m)["stops_us"]
    for number in range(len(rows)):
        steps.restore(m, str(rows[number]["id"]))
        check(moments.marked(m) == f"m{number}", f"restore of {rows[number]['id']}: the guest is from {moments.marked(m)}")
        m.guest.work_check(60 * m.slow)
    # After a restore nothing is known about memory: the next one stands for itself.
    alone = steps.checkpoint(m, "alone")
    check(alone["kind"] == "full", f"after a restore: {alone}")
    m.sojourn.run(f"delete {alone['id']}", 20 * m.slow)
    # Out of the chain, the full one among them: what builds on it takes over what it needs.
    for number, mode in ((2, steps.to_native), (0, steps.to_virtual)):
        mode(m)
        m.sojourn.run(f"delete {rows[number]['id']}", 60 * m.slow)
        m.guest.work_check(60 * m.slow)
    left = [rows[number] for number in (1, 3, 4, 5)]
    now = steps.checkpoints(m)
    check([(row["id"], row["parent"]) for row in now] == [(b["id"], a) for a, b in zip([None] + [r["id"] for r in left], left)],
          f"after two were taken out: {now}")
    check(now[0]["kind"] == "full" and now[0]["bytes"] < 1.2 * rows[0]["bytes"], f"what the full one went into: {now[0]}")
    for number in (1, 3):
        steps.restore(m, str(rows[number]["id"]))
        check(moments.marked(m) == f"m{number}", f"restore of {rows[number]['id']}: the guest is from {moments.marked(m)}")
        m.guest.work_check(60 * m.slow)
    m.sojourn.run(f"pin {rows[-1]['id']}", 20 * m.slow)
    steps.refused(m, f"delete {rows[-1]['id']}", "E_PINNED")
    m.sojourn.run("verify", 60 * m.slow)
    check(0 < stops["last"] <= stops["max"], f"stops: {stops}")
    moments.cold(m, image, f"m{len(rows) - 1}")
    m.sojourn.run(f"pin {rows[-1]['id']} off", 20 * m.slow)
    m.sojourn.run(f"delete {rows[-1]['id']}", 20 * m.slow)
    steps.restore(m)
    check(moments.marked(m) == f"m{len(rows) - 2}", "the one before the newest is not what was restored")
    m.power_cut()
    check(committed(image) == [row["id"] for row in left[:-1]], f"the store has {committed(image)}")
    done = sojstore("verify", image)
    check(done.returncode == 0, f"sojstore verify: {done.stdout}")


@scenario(rigs=("qemu",), timeout=120)
def stored_once(m):
    """Identical pages take their place in a checkpoint once, full or incremental: copies of noise cost next to nothing, and come back."""
    steps.boot(m, store=("--store", "384", "--format"))
    m.guest.run("dd if=/dev/urandom of=/tmp/noise bs=1M count=8 2>/dev/null", 30 * m.slow)
    one = steps.checkpoint(m)
    m.guest.run("cp /tmp/noise /tmp/a && cp /tmp/noise /tmp/b", 30 * m.slow)
    m.sojourn.run("checkpoint --full", 60 * m.slow)
    three = steps.checkpoints(m)[-1]
    check(three["kind"] == "full" and three["pages"] > one["pages"] + 3000, f"pages: {one} {three}")
    check(three["bytes"] < one["bytes"] + 2 * MIB, f"16 MiB of copies took {three['bytes'] - one['bytes']} bytes")
    sums = m.guest.run("md5sum /tmp/noise /tmp/a /tmp/b", 30 * m.slow)
    check(len({line.split()[0] for line in sums.strip().splitlines()}) == 1, sums)
    m.guest.run("rm /tmp/noise /tmp/a /tmp/b", 30 * m.slow)
    steps.restore(m)
    check(m.guest.run("md5sum /tmp/noise /tmp/a /tmp/b", 30 * m.slow) == sums, "the files differ after the restore")
    for native in (False, True):
        if native:
            steps.to_native(m)
        steps.checkpoint(m)
        m.guest.run("dd if=/dev/urandom of=/tmp/c bs=1M count=8 2>/dev/null && cp /tmp/c /tmp/d && cp /tmp/c /tmp/e", 30 * m.slow)
        row = steps.checkpoint(m)
        check(row["kind"] == "incremental" and row["pages"] > 6000, f"24 MiB were written: {row}")
        check(row["bytes"] < 12 * MIB, f"native={native}: of 24 MiB, 16 are copies: {row}")
        sums = m.guest.run("md5sum /tmp/c /tmp/d /tmp/e", 30 * m.slow)
        m.guest.run("rm /tmp/c /tmp/d /tmp/e", 30 * m.slow)
        steps.restore(m)
        check(m.guest.run("md5sum /tmp/c /tmp/d /tmp/e", 30 * m.slow) == sums, f"native={native}: the files differ after the restore")


@scenario(rigs=("qemu",), timeout=120, alone=("qemu",))
def written_meanwhile(m):
    """The guest rewrites more memory than the pool holds while it is saved slowly (rate=): what is restored is the cut."""
    for cpus in (1, 4):
        m.power_cut()
        steps.boot(m, cpus=cpus, options=f"{steps.OPTIONS} rate=80")
        m.guest.work_start("mib=16")
        m.guest.run("head -c 16000000 /dev/urandom >/tmp/blob; (while :; do cat /tmp/blob >/tmp/churn; done & "
                    "echo $! >/tmp/rewrite.pid) 2>/dev/null; sleep 0.2", 60)
        moments.mark(m, "cut")
        begin = time.monotonic()
        steps.checkpoint(m)
        took = time.monotonic() - begin
        check(took > 2, f"256 MiB at 80 MiB a second took {took:.1f} s")
        log = last_checkpoint(m)
        check(log["copied"] > 700, f"not even as much was written meanwhile as the pool holds: {log}")
        m.guest.run("kill $(cat /tmp/rewrite.pid)", 20)
        moments.mark(m, "later")
        steps.restore(m)
        check(moments.marked(m) == "cut", f"the guest is from {moments.marked(m)}")
        m.guest.run("kill $(cat /tmp/rewrite.pid)", 20)
        m.guest.work_check()
        steps.to_native(m)
        steps.time_is_whole(m)


@scenario(rigs=("qemu",), timeout=120)
def asked_meanwhile(m):
    """Commands that come while a checkpoint is written are carried out after it; a guest that dies meanwhile harms it not."""
    image = steps.boot(m, options="console=com2 settle=never on-crash=hold", cmdline=steps.QUIET + " reboot=t")
    m.guest.work_start("mib=8")
    moments.mark(m, "cut")
    m.sojourn.drop()
    m.sojourn.send("checkpoint\r")
    m.sojourn.send("leave\rcheckpoint\renter\r")
    for what in ("checkpoint", "leave", "checkpoint", "enter"):
        m.sojourn.expect(r"(?m)^ok\r?\n", 30)
    now = steps.wait_mode(m, "virtual")
    # The second one was taken from a native guest: entered for it, and left again unless `enter` came first.
    check(now["transitions"]["leave"] in (1, 2) and len(steps.checkpoints(m)) == 2, f"not all was carried out: {now}")
    m.guest.work_check()
    # The cut is at once, the end a second later.
    moments.mark(m, "last")
    m.sojourn.drop()
    m.sojourn.send("checkpoint --full\r")
    time.sleep(0.2)
    m.guest.send("reboot -f\n")
    m.sojourn.expect(r"(?m)^ok\r?\n", 30)
    machine.wait_until("the guest is dead", 10, lambda: steps.status(m)["guest"] == "parked")
    check(len(steps.checkpoints(m)) == 3, "the checkpoint of a dying guest is not there")
    steps.restore(m)
    check(moments.marked(m) == "last", f"the guest is from {moments.marked(m)}")
    m.guest.work_check()
    m.power_cut()
    done = sojstore("verify", image)
    check(done.returncode == 0, f"sojstore verify: {done.stdout}")


def told(m, dirty):
    """A guest that stays virtual: what it writes between two checkpoints is known in the CPU's best way, and none is missed."""
    m.guest.work_start("mib=8", 60 * m.slow)
    check(steps.status(m)["dirty"] == dirty, f"what tells of writes is the {steps.status(m)['dirty']}, not the {dirty}")
    rows = []
    last = 3 if m.rig == "qemu-svm" else 2
    for number in range(last + 1):
        moments.mark(m, f"m{number}")
        before = steps.status(m)["exits"]
        m.guest.run("work dirty mib=6", 60 * m.slow)
        after = steps.status(m)["exits"]
        faults, logs = after["npf"] - before["npf"], after["dirty_log"] - before["dirty_log"]
        if number:  # 1,536 pages of content were written to
            check(faults > 1000 if dirty == "fault" else faults < 200, f"{faults} faults where the {dirty} tells")
            check(logs >= 3 if dirty == "log" else not logs, f"the log was full {logs} times")
        rows.append(steps.checkpoint(m))
    for before, row in zip(rows, rows[1:]):
        check(row["parent"] == before["id"] and row["pages"] > 1500, f"{row} after 6 MiB were written")
    for number in (last, 1, 2) if m.rig == "qemu-svm" else (last,):
        steps.restore(m, str(rows[number]["id"]))
        check(moments.marked(m) == f"m{number}", f"restore of {rows[number]['id']}: the guest is from {moments.marked(m)}")
        m.guest.work_check(60 * m.slow)


VIRTUAL = "console=com2 settle=never"


@scenario(timeout=120, long=("bochs",))
def told_by_bit(m):
    """Dirty bits: NPT's, or EPT's (Haswell)."""
    steps.boot(m, options=VIRTUAL, mem_mib=128)
    told(m, "bit")


@scenario(rigs=("bochs",), timeout=120, long=True)
def told_by_log(m):
    """Page-modification logging (Skylake)."""
    steps.boot(m, options=VIRTUAL, cpu="corei7_skylake_x", mem_mib=128)
    told(m, "log")


@scenario(rigs=("bochs",), timeout=120, long=True)
def told_by_fault(m):
    """No dirty bits (Sandy Bridge)."""
    steps.boot(m, options=VIRTUAL, cpu="corei7_sandy_bridge_2600k", mem_mib=128)
    told(m, "fault")


@scenario(rigs=("qemu",), timeout=180, long=True)
def much_memory(m):
    """8 GiB, with a hole of 2 GiB in it: the hidden range has room for all that is kept of each page, and no more than it may."""
    steps.boot(m, mem_mib=8192, store=("--store", "384", "--format"))
    now = steps.status(m)
    check(now["hidden_bytes"] <= 12 * MIB + 8192 * MIB * 15 // 1000, f"hidden: {now['hidden_bytes']}")
    steps.checkpoint(m)
    row = steps.checkpoint(m)
    check(row["kind"] == "incremental", f"not incremental: {row}")
    steps.to_native(m)
    m.guest.work_start("mib=16")
    row = steps.checkpoint(m)
    check(row["kind"] == "incremental", f"not incremental: {row}")
    steps.restore(m)
    m.guest.work_check()
