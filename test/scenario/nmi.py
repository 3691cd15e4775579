# SPDX-License-Identifier: GPL-2.0-or-later
"""NMIs are counted: none lost, none twice, none on the wrong side (the guest: test/guest/nmi_main.c)."""
import os
import re
import time

import machine
import steps
from scenario import check, scenario

NMI = os.path.join(machine.TOP, "build/nmi/nmi.elf")
CPUS = {"qemu-svm": 4, "bochs-vmx": 2}
APART_S = 0.02  # from a console line: what comes right behind it can be taken for its own (docs/limits.md)
STORM_GAP = 10000
LATE = 1  # QEMU: an echo of the console's own when the emulator stood still for long


def start(m, cpus=1, plain=False):
    m.power_cut()
    if plain:
        m.start(m.image("--sojourn", "none", "--guest", f"{NMI}:nmi", name="plain.img"), mem_mib=32, cpus=cpus)
    else:
        steps.boot(m, "--guest", f"{NMI}:nmi", wait=False, store=(), mem_mib=80, cpus=cpus)
    m.guest.expect(f"nmi boot cpus={cpus} .*\r\nnmi ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")


def ask(m, line, answer):
    m.guest.drop()
    m.guest.send(line + "\r")
    return m.guest.expect(rf"nmi {answer}([^\r]*)\r\nnmi ready\r\n", 30 * m.slow, never="EXCEPTION[^\r]*").group(1)


def count(m):
    return [int(word) for word in ask(m, "count", "count").split()]


def numbers(text):
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text)}


def exact(m, line, sent):
    got = numbers(ask(m, line, re.escape(line)))
    check(got == {"sent": sent, "counted": sent, "lost": 0, "extra": 0, "nested": 0}, f"{line}: {got}")
    return sent


def all_kinds(m, cpus, rounds):
    """Each kind of NMI, and the grand total, which is where one from anywhere else would show."""
    time.sleep(APART_S * m.slow)
    before = count(m)
    on_first = exact(m, f"self {rounds}", rounds) + exact(m, f"burst {rounds}", 2 * rounds)
    if cpus > 1:
        exact(m, f"cross {rounds}", 2 * (cpus - 1) * rounds)
        on_first += (cpus - 1) * rounds
    if m.rig == "qemu-svm":
        for _ in range(rounds // 10):
            here = count(m)[0]
            m.nmi()
            machine.wait_until("the monitor's NMI is counted", 5, lambda: count(m)[0] != here, every=0.01)
        on_first += rounds // 10
    want, got = [before[0] + on_first] + [n + rounds for n in before[1:]], count(m)
    check(got == want, f"NMIs per CPU: {got} instead of {want}")


@scenario(timeout=60)
def nmi_plain(m):
    """Without Sojourn, on one CPU and on several: what is sent is counted, and one of two is kept while one is handled."""
    for cpus in (1, CPUS[m.rig]):
        start(m, cpus, plain=True)
        all_kinds(m, cpus, 100)


@scenario(timeout=60)
def nmi_exact(m):
    """Native and virtual, NMIs by the local APIC, by another CPU, by the monitor: the count is exact."""
    for cpus in (1, CPUS[m.rig]):
        start(m, cpus)
        for command in (None, "leave", "enter", "leave"):
            if command:
                m.sojourn.run(command, 15 * m.slow)
            all_kinds(m, cpus, 100)
        # Console lines alone: their NMIs are none of the guest's.
        before = count(m)
        for _ in range(3):
            for command in ("version", "enter", "status", "leave"):
                m.sojourn.run(command, 15 * m.slow)
        time.sleep(APART_S * m.slow)
        check(count(m) == before, f"the guest was given the console's NMIs: {before} -> {count(m)}")


@scenario(timeout=60)
def nmi_storm(m):
    """NMIs all the time while the host comes and goes. Two at once are one: at most as many are lost as bytes were typed."""
    for cpus in (1, CPUS[m.rig]):
        start(m, cpus)
        m.guest.send(f"storm {STORM_GAP}\r")
        m.guest.expect("nmi storm begins\r\n", 10 * m.slow)
        typed = refused = 0
        for number in range(60):
            line = ("leave", "enter")[number % 2]
            answer = m.sojourn.cmd(line, 15 * m.slow)
            # A leave waits two seconds for an instant without an NMI under way, and then says so.
            check(answer.ok or (line == "leave" and answer.code == "E_BLOCKED"), f"{line}: {answer!r}")
            refused += not answer.ok
            typed += len(line) + 1
            time.sleep(APART_S * m.slow / 2)
        time.sleep(0.5)
        m.guest.drop()
        m.guest.send("s")
        got = numbers(m.guest.expect(r"nmi storm \d+( sent=[^\r]*)\r\n", 10 * m.slow, never="EXCEPTION[^\r]*").group(1))
        check(got["sent"] > 40 and refused < 20, f"no storm: {got}, {refused} refused")
        check(got["nested"] == 0, f"{got['nested']} NMIs came inside the handler of another")
        check(got["lost"] <= typed and got["extra"] <= LATE, f"{typed} bytes were typed: {got}")
        all_kinds(m, cpus, 50)
