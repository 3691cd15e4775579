# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that cannot be left or entered: each reason is found and named, and the guest goes on (test/guest/odd_main.c)."""
import os
import re
import time

import machine
import steps
from scenario import check, scenario

ODD = os.path.join(machine.TOP, "build/odd/odd.elf")
# The guest's way into each, and why it is not left: with 32-bit paging of either kind only for want of a GDT for it.
BIOS = "calls of the BIOS"
MODES = (("paging off", "E_MODE"), ("PAE paging", "E_GDT"), ("32-bit paging", "E_GDT"), ("16-bit protected mode", "E_MODE"), ("real mode", "E_MODE"),
         (BIOS, "E_MODE"))
SILENCE_S = 1.5


def start(m, store=(), **machine_has):
    m.power_cut()
    image = steps.boot(m, "--guest", f"{ODD}:odd", wait=False, store=store, mem_mib=80, **machine_has)
    m.guest.expect("odd ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")
    return image


def do(m, line):
    """Let the guest do it (or undo it); returns how many NMIs its own handler took."""
    m.guest.drop()
    m.guest.send(line + "\r")
    return done(m, line)


def done(m, line):
    return int(m.guest.expect(rf"odd {line} nmis=(\d+)\r\nodd ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*").group(1))


def still_works(m):
    """Left, entered and left again, and no NMI of Sojourn's reached the guest."""
    if steps.status(m)["mode"] == "native":
        steps.to_virtual(m)
    steps.to_native(m)
    check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")


def native_refusal(m, lines, code):
    """Native, the guest does it: an enter is refused with the code, twice, and nothing changes; undone, it works."""
    for line in lines:
        do(m, line)
    before = steps.status(m)["transitions"]
    for _ in range(2):
        steps.refused(m, "enter", code)
        check(not m.virtualization_on(), f"{line}: refused, but virtualization is on")
        check(do(m, "count") == 0, f"{line}: the guest was given Sojourn's NMIs")
    after = steps.status(m)["transitions"]
    check(after["refused"] == before["refused"] + 2 and after["enter"] == before["enter"], f"{line}: {before} -> {after}")
    check(code in after["last_refusal"], f"{line}: last_refusal is {after['last_refusal']!r}")
    for line in reversed(lines):
        do(m, line)
    still_works(m)


@scenario(timeout=90)
def refused_modes(m):
    """Without paging, with 32-bit paging but without its task register in the GDT, in 16-bit protected and real mode, there with calls of the
    BIOS: not left, unharmed, left later."""
    start(m)
    for number, (mode, code) in enumerate(MODES):
        m.guest.drop()
        m.guest.send(f"mode {number}\r")
        m.guest.expect("odd away\r\n", 10 * m.slow)
        time.sleep(0.1)
        steps.refused(m, "leave", code)
        now = steps.status(m)
        check(now["mode"] == "virtual" and now["guest"] == "running", f"{mode}: {now['mode']}, guest {now['guest']}")
        if mode != BIOS:  # SeaBIOS clears EFER meanwhile, and the monitor shows the guest's
            check(m.virtualization_on(), f"{mode}: refused, but virtualization is off")
        m.guest.send("s")
        done(m, f"mode {number}")
        still_works(m)
        steps.to_virtual(m)


@scenario(timeout=60)
def refused_gateway(m):
    """The IDT, or the table that maps it, moved; the entries beside it gone: found at an enter. Another root is not a reason."""
    start(m)
    steps.to_native(m)
    do(m, "root")
    still_works(m)
    do(m, "root")
    for lines in (("idt",), ("tree",), ("tree", "slot")):
        native_refusal(m, lines, "E_GATEWAY")


@scenario(timeout=60)
def replaced_vector(m):
    """A guest with a new gate for NMIs has cut the rope: its handler gets them, Sojourn is silent until the gate is back."""
    start(m)
    steps.to_native(m)
    do(m, "vector")
    m.sojourn.drop()
    m.sojourn.send("version\r")
    time.sleep(SILENCE_S * max(1, m.slow / 2))
    check("ok" not in m.sojourn.seen()[m.sojourn.taken:], "the console answered without its gate")
    taken = do(m, "count")
    check(taken >= 1, "the guest's own handler saw no NMI")
    check(not m.virtualization_on(), "virtualization is on")
    do(m, "vector")
    m.guest.send("self\r")  # the UART's line is still up: the next NMI of any kind finds what has come in
    m.sojourn.wake(20 * m.slow)
    steps.to_virtual(m)
    steps.to_native(m)
    check(do(m, "count") - taken <= 1, "the guest was given Sojourn's NMIs")


@scenario(timeout=60)
def damaged_image(m):
    """A native guest that overwrites Sojourn's code: an enter is refused, or undone at once, and the guest goes on."""
    start(m)
    way_in, rest = steps.physical(m, "state_capture_msrs"), steps.physical(m, "ahci_begin")
    steps.to_native(m)
    before = steps.status(m)["transitions"]["enter"]
    do(m, f"flip {way_in}")
    for _ in range(2):
        steps.refused(m, "enter", "E_DIGEST")
        check(not m.virtualization_on(), "damaged, but virtualization is on")
        check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
    do(m, f"flip {way_in}")
    still_works(m)
    # What a way in does not need is checked at the guest's first exit: then it is left again.
    do(m, f"flip {rest}")
    steps.refused(m, "enter", "E_DIGEST")
    machine.wait_until("the guest is left again", 10 * m.slow, lambda: not m.virtualization_on())
    check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
    do(m, f"flip {rest}")
    still_works(m)
    # Nothing could take the place of what leaves it and goes back: refused all the same, and put back, so that the next goes well.
    for command in ("enter", "status"):
        for changed in ("transition_go_native", "visit_resume", "console_irq_refuse", "texts"):
            do(m, f"flip {steps.physical(m, changed)}")
            steps.refused(m, command, "E_DIGEST")
            check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
            steps.to_virtual(m)
            steps.to_native(m)
    check(not m.virtualization_on(), "left, but virtualization is on")
    # Refused for another reason, for which there is no log any more: the command that got that far ends, too.
    do(m, "idt")
    do(m, f"flip {rest}")
    for command in ("enter", "status", "enter"):
        steps.refused(m, command, "E_DIGEST")
    do(m, f"flip {rest}")
    do(m, "idt")
    still_works(m)
    now = steps.status(m)["transitions"]
    check(now["enter"] >= before + 2 and "E_DIGEST" in now["last_refusal"], f"transitions: {now}")


# ---- a CPU that is not the leading one -----------------------------------------------------------------------------

OTHER = 1
SEVERAL = {"qemu-svm": 4, "bochs-vmx": 2}


def refused_for_other(m, command, code, mode):
    """Refused for that CPU alone: named in the answer and in `status`; nothing was entered or left, and no NMI got lost."""
    before = steps.status(m)["transitions"]
    text = steps.refused(m, command, code)
    check(text.startswith(f"cpu {OTHER}: "), f"{command}: the answer does not name CPU {OTHER}: {text!r}")
    now = steps.status(m)
    after = now["transitions"]
    check(after["last_refusal"].startswith(f"{code}: cpu {OTHER}: "), f"{command}: last_refusal is {after['last_refusal']!r}")
    check((after["enter"], after["leave"], after["refused"]) == (before["enter"], before["leave"], before["refused"] + 1), f"{command}: {before} -> {after}")
    check((now["mode"], now["guest"]) == (mode, "running"), f"{command}: {now['mode']}, guest {now['guest']}")
    check(m.virtualization_on() == (mode == "virtual"), f"{command} refused, but the CPU is not {mode}")


@scenario(timeout=90)
def damaged_image_several(m):
    """The same with several CPUs: all of them are left again."""
    start(m, cpus=SEVERAL[m.rig])
    rest, way_out = (steps.physical(m, symbol) for symbol in ("ahci_begin", "transition_go_native"))
    steps.to_native(m)
    before = steps.status(m)["transitions"]["enter"]
    do(m, f"flip {rest}")
    for opened in (False, True): # off: such a CPU may be offline, and watching for its start takes code beyond the way in
        for _ in range(3):
            steps.refused(m, "enter", "E_DIGEST")
            machine.wait_until("every CPU is left again", 10 * m.slow, lambda: not m.virtualization_on())
            check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
        if not opened:
            for cpu in range(1, SEVERAL[m.rig]):
                do(m, f"cpu {cpu} open")
    do(m, f"flip {rest}")
    still_works(m)
    check(steps.status(m)["transitions"]["enter"] == before + 4, "not the three enters that were to be undone, and one more")
    do(m, f"flip {way_out}")
    steps.refused(m, "enter", "E_DIGEST")
    machine.wait_until("every CPU is left again", 10 * m.slow, lambda: not m.virtualization_on())
    check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
    still_works(m)


@scenario(timeout=60, long=("bochs",))
def refused_other_cpu_leave(m):
    """A second CPU without paging, with PAE paging, in real mode: no CPU is left, it is named, later all are. An IDT of its own is no reason."""
    start(m, cpus=SEVERAL[m.rig])
    for number in (0, 1, 4):
        m.guest.drop()
        m.guest.send(f"cpu {OTHER} mode {number}\r")
        m.guest.expect("odd away\r\n", 10 * m.slow)
        time.sleep(0.1)
        for _ in range(2):
            refused_for_other(m, "leave", MODES[number][1], "virtual")
        m.guest.send("s")
        check(done(m, f"cpu {OTHER} mode {number}") == 0, "the guest was given Sojourn's NMIs")
        still_works(m)
        steps.to_virtual(m)
    do(m, f"cpu {OTHER} idt")
    still_works(m)
    steps.to_virtual(m)
    do(m, f"cpu {OTHER} idt")
    still_works(m)


@scenario(timeout=60, long=("bochs",))
def refused_other_cpu_enter(m):
    """A second CPU whose IDT has moved, and then one with a gate of its own for NMIs: not entered, named, entered when it is as it was."""
    start(m, cpus=SEVERAL[m.rig])
    steps.to_native(m)
    do(m, f"cpu {OTHER} idt")
    for _ in range(2):
        refused_for_other(m, "enter", "E_GATEWAY", "native")
        check(do(m, "count") == 0, "the guest was given Sojourn's NMIs")
    do(m, "gate")  # of that IDT: the call does not get through to Sojourn any more
    refused_for_other(m, "enter", "E_CPU", "native")
    taken = do(m, "count")
    check(taken >= 1, "the other CPU's own handler saw no NMI")
    do(m, "gate")
    refused_for_other(m, "enter", "E_GATEWAY", "native")
    do(m, f"cpu {OTHER} idt")
    steps.to_virtual(m)
    steps.to_native(m)
    check(do(m, "count") == taken, "the guest was given Sojourn's NMIs")


# ---- the adjustment of the time-stamp counter ----------------------------------------------------------------------

PM_TURN_S = 4.7  # of its 24 bits
LATE_MAX = 5000  # cycles from one RDTSC to the next, with a WRMSR between them


def adjustment(m, cpu):
    """(IA32_TSC_ADJUST, the counter) as the guest reads them on that CPU."""
    m.guest.drop()
    line = f"cpu {cpu} clock" if cpu else "clock"
    m.guest.send(line + "\r")
    found = m.guest.expect(r"odd adjust=(\d+) tsc=(\d+)\r\n", 10 * m.slow)
    done(m, line)
    return int(found.group(1)), int(found.group(2))


def adjust(m, cpu, value):
    """Written, it reads so, and the counter has moved by the difference and no more."""
    m.guest.drop()
    line = f"cpu {cpu} adjust {value}" if cpu else f"adjust {value}"
    m.guest.send(line + "\r")
    late = int(m.guest.expect(r"odd late=(\d+)\r\n", 10 * m.slow).group(1))
    done(m, line)
    check(late < LATE_MAX, f"CPU {cpu}: the counter moved by {late} more than by the difference")
    check(adjustment(m, cpu)[0] == value, f"CPU {cpu}: written {value}, read {adjustment(m, cpu)[0]}")


def adjustments(m, cpus):
    return [adjustment(m, cpu)[0] for cpu in range(cpus)]


def change_mode(m, command, mode):
    """Without asking the emulator, whose debugger now and then does not answer with two CPUs that never rest."""
    m.sojourn.run(command, 20 * m.slow)
    steps.wait_mode(m, mode)


def goes_on_at_the_cut(m, cpus):
    """restore-clock=cut: longer after it than the PM timer can say, the guest has seen no more of that than the PM timer says."""
    hz = int(re.search(r"TSC: hz=(\d+)", "\n".join(m.sojourn.run("log", 20 * m.slow))).group(1))
    cut = [adjustment(m, cpu) for cpu in range(cpus)]
    m.sojourn.run("checkpoint", 60 * m.slow)
    machine.wait_until("time passes", 60 * m.slow, lambda: adjustment(m, 0)[1] > cut[0][1] + 2 * PM_TURN_S * hz)
    before = adjustment(m, 0)[1]
    steps.restore(m)
    now = [adjustment(m, cpu) for cpu in range(cpus)]
    check(now[1][0] - now[0][0] == cut[1][0] - cut[0][0], f"adjustments {now}, at the cut {cut}")
    check(all(0 <= a[1] - b[1] < (PM_TURN_S + 2) * hz for a, b in zip(now, cut)) and now[0][1] < before, f"counters {cut}, {before} -> {now}")


@scenario(rigs=("bochs",), timeout=150)
def tsc_adjust(m):
    """IA32_TSC_ADJUST of two CPUs: the guest's in both modes, as at the cut after a restore; after a cold one their difference is, and time goes on.
    With restore-clock=cut in place, too: no time has passed."""
    cpus, cut = 2, [7000000, 9000000]
    image = start(m, steps.STORE, cpus=cpus)
    for cpu in range(cpus):
        adjust(m, cpu, 3000000 + cpu)
    change_mode(m, "leave", "native")
    check(adjustments(m, cpus) == [3000000, 3000001], f"left: {adjustments(m, cpus)}")
    for cpu in range(cpus):
        adjust(m, cpu, cut[cpu])
    change_mode(m, "enter", "virtual")
    check(adjustments(m, cpus) == cut, f"entered: {adjustments(m, cpus)}")
    at_cut = [adjustment(m, cpu)[1] for cpu in range(cpus)]
    m.sojourn.run("checkpoint", 60 * m.slow)
    for native in (False, True):
        if native:
            change_mode(m, "leave", "native")
        adjust(m, 0, 1)
        adjust(m, 1, 500000000)
        steps.restore(m)
        check(adjustments(m, cpus) == cut, f"restored in place: {adjustments(m, cpus)}")
        now = [adjustment(m, cpu)[1] for cpu in range(cpus)]
        apart = (now[1] - now[0]) - (at_cut[1] - at_cut[0])  # 493000000 with what was set after the cut
        check(all(a <= b for a, b in zip(at_cut, now)) and abs(apart) < 200000000, f"counters: {at_cut} -> {now}")
    check(any("plan: run on" in line for line in m.sojourn.run("log", 20 * m.slow)), "the TSC was set in place")
    steps.again(m, image, "--options", "console=com2 settle=2 restore=latest restore-clock=cut", mem_mib=80, cpus=cpus)
    m.sojourn.wake(60 * m.slow)
    machine.wait_until("the checkpoint's guest runs", 20 * m.slow, lambda: steps.status(m)["guest"] == "running")
    now = [adjustment(m, cpu) for cpu in range(cpus)]
    check(now[1][0] - now[0][0] == cut[1] - cut[0], f"cold: {now}, at the cut {cut}")
    check(all(a <= b[1] for a, b in zip(at_cut, now)) and now[0][1] - at_cut[0] < 10**11, f"cold: counters {at_cut} -> {now}")
    goes_on_at_the_cut(m, cpus)
