# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in 32-bit paged mode is left and entered: with PAE, with 4 KiB pages, with 4 MiB pages, on one CPU and on several. It
holds every register and compares (test/guest/narrow.h)."""
import os
import re
import time

import machine
import steps
from scenario import check, scenario

NARROW = os.path.join(machine.TOP, "build/narrow/narrow.elf")
MODES = ("PAE", "32-bit, 4 KiB pages", "32-bit, 4 MiB pages")
HOLDS = ("ring 3", "ring 0", "halted")
V86 = 3
CPUS = {"qemu-svm": 4, "bochs-vmx": 2}


def start(m, cpus=1, store=()):
    m.power_cut()
    steps.boot(m, "--guest", f"{NARROW}:cpus={cpus}", wait=False, store=store, mem_mib=80, cpus=cpus)
    m.guest.expect("narrow ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")


def mode(m, number, word="mode"):
    m.guest.send(f"{word} {number}\r")
    m.guest.expect("narrow mode\r\nnarrow ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")


def hold(m, kind, what, during, nmis=0, native=True, cpus=1):
    m.guest.drop()
    m.guest.send(f"hold {kind}\r")
    m.guest.expect("narrow holding\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")
    time.sleep(0.3)  # it has a few instructions to go until it holds
    during()
    m.guest.send("n" * nmis)
    m.guest.send("g")
    end = m.guest.expect(r"(?s)(.*?)narrow checks=(\w+) failed=(\w+) nmis=(\w+) entries=(\w+) gate=(\w+) cpus=(\w+)\r\nnarrow ready\r\n",
                         20 * m.slow, never="EXCEPTION[^\r]*")
    failures = re.findall(r"FAIL ([^\r]*)", end.group(1))
    checks, failed, seen, entries, gate, up = (int(x, 16) for x in end.groups()[1:])
    check(not failures and not failed, f"{what}: {failed} registers changed: {failures[:6]}")
    check(up == cpus and checks > 70 * cpus, f"{what}: {checks} checks on {up} CPUs")
    check(seen == nmis, f"{what}: {seen} NMIs reached the guest, not {nmis}")
    check((entries, gate) == ((2, 1) if native else (0, 0)), f"{what}: {entries} entries, gate {gate}")


def rounds(m, cpus, number, kinds=range(len(HOLDS))):
    for kind in kinds:
        what = f"{MODES[number]}, {HOLDS[kind]}, {cpus} CPUs"
        hold(m, kind, what, lambda: (steps.to_native(m), steps.to_virtual(m), steps.to_native(m)), nmis=1, cpus=cpus)
        hold(m, kind, what, lambda: (steps.cycle(m, 2), steps.to_virtual(m)), native=False, cpus=cpus)


@scenario(timeout=120)
def narrow_modes(m):
    """One CPU: in each mode, in ring 3, in ring 0 and halted, nothing changes; the guest's own NMIs reach it."""
    start(m)
    for number in range(len(MODES)):
        mode(m, number)
        rounds(m, 1, number)
    check(steps.status(m)["transitions"]["refused"] == 0, "something was refused")


@scenario(timeout=120)
def narrow_cpus(m):
    """Several CPUs; when they are not all in the same mode, none is left."""
    cpus, bochs = CPUS[m.rig], m.rig == "bochs-vmx"
    start(m, cpus)
    for number in (0,) if bochs else (0, 2):
        mode(m, number)
        rounds(m, cpus, number, (0, 1))
    mode(m, 1)
    mode(m, 0, "only")
    steps.refused(m, "leave", "E_MODE")
    check(steps.status(m)["mode"] == "virtual" and m.virtualization_on(), "refused, but not virtual")
    mode(m, 1, "only")
    rounds(m, cpus, 1, (1,))


@scenario(timeout=120)
def narrow_restore(m):
    """A checkpoint taken of a native guest, and of a virtual one, restored in place."""
    start(m, store=steps.STORE)
    for number in (0,) if m.rig == "bochs-vmx" else (0, 1):
        mode(m, number)
        for kind in (0, 1):
            what = f"{MODES[number]}, {HOLDS[kind]}, restored"
            hold(m, kind, what, lambda: (steps.to_native(m), steps.checkpoint(m), steps.restore(m), steps.to_native(m)))
            if m.rig == "bochs-vmx":
                break
            steps.to_virtual(m)
            hold(m, kind, what, lambda: (steps.checkpoint(m), steps.restore(m)), native=False)


@scenario(timeout=60)
def narrow_settles(m):
    """Left by itself once it rests, like any other guest, though it has not started the second CPU."""
    m.power_cut()
    steps.boot(m, "--guest", f"{NARROW}:cpus=1", wait=False, store=(), mem_mib=80, cpus=2, options="console=com2 settle=1")
    m.guest.expect("narrow ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")
    steps.settle(m)
    hold(m, 1, "settled", lambda: steps.to_virtual(m), native=False)


@scenario(timeout=60)
def narrow_v86(m):
    """While a process is in virtual-8086 mode: neither left nor entered, with the reason, unharmed; NMIs and the console work."""
    start(m)
    hold(m, V86, "virtual", lambda: steps.refused(m, "leave", "E_MODE"), native=False)
    steps.to_native(m)
    hold(m, V86, "native", lambda: (steps.status(m), steps.refused(m, "enter", "E_MODE")), nmis=1)
    steps.to_virtual(m)
    rounds(m, 1, 0, (0,))


def flip(m, pa):
    m.guest.drop()
    m.guest.send(f"flip {pa:x}\r")
    m.guest.expect("narrow ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")


@scenario(timeout=120)
def narrow_damaged(m):
    """Sojourn's code is changed while all CPUs are native: in each mode an enter is refused, and the guest goes on."""
    cpus = CPUS[m.rig]
    start(m, cpus)
    *places, way_out = [steps.physical(m, symbol) for symbol in ("state_capture_msrs", "bridge_sort_nmi", "ahci_begin", "visit_resume")]
    for number in range(len(MODES)):
        mode(m, number)
        steps.to_native(m)
        for place in places:
            flip(m, place)
            for _ in range(2):
                steps.refused(m, "enter", "E_DIGEST")
            flip(m, place)
        flip(m, way_out)  # put back by itself
        steps.refused(m, "enter", "E_DIGEST")
        check(not m.virtualization_on(), "damaged, but virtualization is on")
        hold(m, 1, f"{MODES[number]}, damaged before", lambda: steps.to_virtual(m), native=False, nmis=1, cpus=cpus)
