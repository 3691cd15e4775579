# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoints by the clock, without the guest's help: native and virtual, idle, with interrupts off, hung, dead."""
import os
import time

import guest_tools
import machine
import moments
import steps
from scenario import check, scenario

NMI = os.path.join(machine.TOP, "build/nmi/nmi.elf")
KEEP = 3


def state(m):
    return steps.status(m)["auto"]


def begin(m, every, keep=KEEP):
    text = m.sojourn.run(f"auto every={every}s keep={keep}", 20 * m.slow)
    check(text and text[0].startswith(f"every {every} s, keep {keep}, next in "), f"auto answers {text}")


def wait_taken(m, count, every):
    """Until so many more are there; what auto says then. A save of a busy machine may take longer than the period."""
    first = state(m)["taken"]

    def there():
        now = state(m)
        check(now["failed"] == 0 and not now["last_error"], f"refused: {now}")
        return now if now["taken"] >= first + count else None

    return machine.wait_until(f"{count} checkpoints", (count * (every + 4) + 10) * max(1, m.slow / 2), there, every=0.5 * max(1, m.slow / 4))


def kept(m, keep=KEEP):
    """Those that are there: of the chain `keep`, of one before it (after a restore) less; not counted what is pinned, and what that builds on."""
    rows = steps.checkpoints(m)
    stay = {row["id"] for row in rows if row["pinned"]}
    for row in reversed(rows):
        if row["id"] in stay:
            stay.add(row["parent"])
    own = [row for row in rows if row["label"] == "auto" and row["id"] not in stay]
    check(len(own) <= 2 * keep - 1, f"keep={keep}, and there are {len(own)}: {rows}")
    check(all(row["kind"] == "full" or row["parent"] in [r["id"] for r in rows] for row in own), f"a parent is missing: {rows}")
    return own


def off(m):
    check(m.sojourn.run("auto off", 20 * m.slow) == ["auto off"], "auto off answers something else")
    last = steps.checkpoints(m)
    time.sleep(3 * max(1, m.slow / 3))
    now = steps.checkpoints(m)
    check(now == last and state(m)["every_s"] == 0, f"auto is off and went on: {last} -> {now}")
    check(m.sojourn.run("auto", 20 * m.slow) == ["auto off"], "auto does not say off")


@scenario(rigs=("qemu",), timeout=300)
def auto_i386(m):
    """A native 32-bit guest, idle, under auto."""
    steps.boot(m, *guest_tools.debian("686", "initrd-686.img"))
    steps.to_native(m)
    begin(m, 2)
    wait_taken(m, 2, 2)
    check(steps.status(m)["mode"] == "native", "auto left the guest virtual")
    kept(m)
    off(m)
    steps.restore(m)
    m.guest.run("true", 20)


@scenario(rigs=("qemu",), timeout=120, alone=("qemu",))
def auto_linux(m):
    """Debian idle, busy, virtual and dead under auto: about one each period, as many as allowed, unharmed; one is restored."""
    steps.boot(m, mem_mib=128)
    m.guest.work_start("mib=6")
    hand = steps.checkpoint(m, "by hand")
    steps.to_native(m)
    moments.mark(m, "auto")
    nmis = steps.interrupt_count(m, "NMI")
    begin(m, 2)
    start = time.monotonic()
    now = wait_taken(m, 3, 2)
    took = time.monotonic() - start
    check(now["taken"] * 2 <= took + 4, f"{now['taken']} in {took:.1f} s, every 2 s")
    check(steps.status(m)["mode"] == "native" or steps.wait_mode(m, "native"), "not left again")
    check(steps.interrupt_count(m, "NMI") == nmis, "the guest was given the timer's NMIs")
    m.guest.work_check()
    steps.to_virtual(m)
    wait_taken(m, 2, 2)
    check(steps.status(m)["mode"] == "virtual", "a virtual guest was left")
    m.guest.work_check()
    own = kept(m)
    check(len(own) == KEEP, f"{state(m)['taken']} were taken, and of one chain {len(own)} are there: {own}")
    check(hand["id"] in [row["id"] for row in steps.checkpoints(m)], "the one by hand is gone")
    steps.to_native(m)
    # What came before the crash is kept from what comes after it by the operator, as in life.
    m.sojourn.run(f"pin {own[-1]['id']}", 20)
    steps.crash(m)
    wait_taken(m, 2, 2)
    steps.restore(m, str(own[-1]["id"]))
    check(moments.marked(m) == "auto", f"the guest is from {moments.marked(m)}")
    m.guest.work_check()
    wait_taken(m, 1, 2)
    off(m)
    kept(m)
    steps.to_native(m)
    m.guest.work_check()
    steps.time_is_whole(m)


def start_nmi(m, cpus=1):
    steps.boot(m, "--guest", f"{NMI}:nmi", wait=False, mem_mib=80, cpus=cpus)
    m.guest.expect(f"nmi boot cpus={cpus} .*\r\nnmi ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")


def ask(m, line):
    m.guest.drop()
    m.guest.send(line + "\r")
    return m.guest.expect(rf"nmi ({line.split()[0]}[^\r]*)\r\nnmi ready\r\n", 60 * m.slow, never="EXCEPTION[^\r]*").group(1)


@scenario(timeout=240, alone=("qemu",))
def auto_hung(m):
    """A guest that polls with interrupts off, and then halts for good: checkpoints go on, and its own NMIs are exact meanwhile."""
    every = 1 if m.slow == 1 else 4
    start_nmi(m)
    steps.refused(m, "auto every=1 keep=3", "E_NOTIMER")  # nobody has switched the HPET on
    ask(m, "hpet")
    steps.to_native(m)
    before = int(ask(m, "count").split()[1])
    begin(m, every)
    sent = 0
    start = time.monotonic()
    while state(m)["taken"] < 3:
        check(time.monotonic() - start < 40 * max(1, m.slow / 2), f"three did not come: {state(m)}")
        time.sleep(0.05 * m.slow)  # away from the console's line (docs/limits.md)
        got = ask(m, "self 40")
        check(got.endswith("extra=0 nested=0"), f"its own NMIs: {got}")
        sent += 40
    m.sojourn.run("auto off", 20 * m.slow)
    time.sleep(0.05 * m.slow)
    lost = before + sent - int(ask(m, "count").split()[1])
    # Two at once are one: one that hits the host while it comes in for a checkpoint.
    check(0 <= lost <= 3, f"of {sent} NMIs of the guest's, {lost} were lost")
    begin(m, every)
    m.guest.send("hang\r")
    m.guest.expect("nmi hangs\r\n", 20 * m.slow)
    wait_taken(m, 3, every)
    own = kept(m)
    steps.wait_mode(m, "native")
    off(m)
    steps.restore(m, str(own[0]["id"]))
    if "hangs" not in m.guest.seen()[-40:]:
        ask(m, "count")


@scenario(rigs=("qemu",), timeout=60, alone=("qemu",))
def auto_taken(m):
    """The guest takes the timer while native: auto goes off and says so; the guest's setting stays."""
    start_nmi(m, cpus=2)
    ask(m, "hpet")
    steps.to_native(m)
    begin(m, 2)
    wait_taken(m, 1, 2)
    steps.wait_mode(m, "native")
    m.sojourn.drop()
    taken = ask(m, "take")
    m.sojourn.send("\r")
    m.sojourn.expect(r"\* auto: E_NOTIMER: [^\r\n]*; auto is off now\r?\n", 10)
    check(state(m)["every_s"] == 0 and state(m)["failed"] == 1, f"{state(m)}")
    check(ask(m, "take 1").split()[1:] == taken.split()[1:], "the guest's setting was changed")
