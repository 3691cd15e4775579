# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot, leave, enter, NMIs: the guest does not notice."""
import json
import re
import time

import machine
import steps
from scenario import check, scenario

PTE_A = 1 << 5
STORE_CONTROLLER = {"qemu-svm": "0000:00:1f.2", "bochs-vmx": "0000:00:01.1"}
# What depends on the hour of the day or the speed of the emulator, not on who is underneath.
VOLATILE = ("MHz", "bogomips")
# The kernel's calibration gives up when the emulator itself was not scheduled for a while; it then says so and tries another
# timer. (A TSC it later calls unstable is another matter and is not forgiven.)
CALIBRATION = re.compile(r"tsc: (Unable to calibrate against PIT|.*calibration (failed|deviates))")


def e820(messages):
    found = set()
    for line in messages:
        hit = re.match(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (.*)", line)
        if hit:
            found.add((int(hit.group(1), 16), int(hit.group(2), 16) + 1, hit.group(3)))
    return found


def usable_pages(ranges):
    return {page for base, end, kind in ranges if kind == "usable" for page in range(base >> 12, end >> 12)}


def warnings(m):
    """Kernel messages of level warning or worse, with their numbers taken out."""
    lines = m.guest.run("dmesg -r", 60 * m.slow).splitlines()
    found = set()
    for line in lines:
        hit = re.match(r"<(\d+)>\[ *[\d.]+\] (.*)", line)
        if hit and int(hit.group(1)) & 7 <= 4 and not CALIBRATION.match(hit.group(2)):
            found.add(re.sub(r"0x[0-9a-f]+|\d+", "N", hit.group(2)))
    return found


def cpuinfo(m):
    """/proc/cpuinfo of CPU 0 as a dict; flags as a set."""
    table = {}
    for line in m.guest.run("cat /proc/cpuinfo", 20 * m.slow).splitlines():
        name, colon, value = line.partition(":")
        if colon and not any(word in name for word in VOLATILE):
            table[name.strip()] = set(value.split()) if "flags" in name or name.startswith("bugs") else value.strip()
    return table


def cpuid(m):
    """(leaf.sub) -> [eax, ebx, ecx, edx], as a program in the guest sees it."""
    found = {}
    for line in m.guest.run("work cpuid", 30 * m.slow).splitlines():
        words = line.split()
        if len(words) == 5:
            found[words[0]] = [int(w, 16) for w in words[1:]]
    check(len(found) > 10, "work cpuid printed too little")
    return found


def facts(m):
    messages = steps.kernel_messages(m)
    return {"e820": e820(messages), "warnings": warnings(m), "cpuinfo": cpuinfo(m), "cpuid": cpuid(m), "messages": messages,
            "pci": set(m.guest.run("ls /sys/bus/pci/devices", 20 * m.slow).split()),
            "serial": m.guest.run("cat /proc/tty/driver/serial", 20 * m.slow)}


def same_cpuid(plain, here, hidden):
    """Equal, but for VMX, SVM and TSC_ADJUST when they are hidden."""
    want = {leaf: list(regs) for leaf, regs in plain.items()}
    if hidden:
        want["00000001.0"][2] &= ~(1 << 5)
        if "00000007.0" in want:
            want["00000007.0"][1] &= ~(1 << 1)
        if "80000001.0" in want:
            want["80000001.0"][2] &= ~(1 << 2)
        if "8000000a.0" in want:
            want["8000000a.0"] = [0, 0, 0, 0]
    for leaf, regs in want.items():
        check(here.get(leaf) == regs, f"CPUID {leaf}: {[hex(r) for r in here.get(leaf, [])]} instead of {[hex(r) for r in regs]}")


def same_cpuinfo(plain, here):
    for name, value in plain.items():
        other = here.get(name)
        if name == "vmx flags":
            check(other is None or not other, "vmx flags in /proc/cpuinfo")
        elif isinstance(value, set):
            # Linux clears what belongs to SVM when SVM itself is not there.
            gone = value - (other or set())
            allowed = {"vmx", "svm", "npt", "lbrv", "svm_lock", "nrip_save", "tsc_scale", "vmcb_clean", "flushbyasid",
                       "decodeassists", "pausefilter", "pfthreshold", "avic", "v_vmsave_vmload", "vgif", "tpr_shadow", "vnmi",
                       "flexpriority", "ept", "vpid", "ept_ad", "itlb_multihit", "tsc_adjust"}
            check(gone <= allowed, f"/proc/cpuinfo {name}: missing {sorted(gone - allowed)}")
            check(other <= value, f"/proc/cpuinfo {name}: added {sorted(other - value)}")
        else:
            check(other == value, f"/proc/cpuinfo {name}: {other!r} instead of {value!r}")
    check(set(here) <= set(plain), f"/proc/cpuinfo has new lines: {set(here) - set(plain)}")


def compare(m, plain, here):
    lost = sorted(usable_pages(plain["e820"]) - usable_pages(here["e820"]))
    hidden = steps.status(m)["hidden_bytes"]
    check(len(lost) == hidden >> 12, f"the guest misses {len(lost)} pages, hidden are {hidden >> 12}")
    check(not usable_pages(here["e820"]) - usable_pages(plain["e820"]), "the guest was given memory that is none")
    # Two pieces: the hidden range, and the log where boot loaders do not write.
    starts = [p for i, p in enumerate(lost) if i == 0 or lost[i - 1] != p - 1]
    ends = [p + 1 for i, p in enumerate(lost) if i + 1 == len(lost) or lost[i + 1] != p + 1]
    check(len(starts) <= 2, f"the hidden memory is in {len(starts)} pieces")
    reserved = sorted((b, e) for b, e, kind in here["e820"] - plain["e820"] if kind != "usable")
    want = [(b << 12, e << 12) for b, e in zip(starts, ends)]
    check(reserved == want, f"new in the memory map: {reserved}, missing: {want}")
    other = plain["e820"] - here["e820"]
    check(all(kind == "usable" for _, _, kind in other), f"gone from the memory map: {other}")
    controller = STORE_CONTROLLER[m.rig]
    check(controller in plain["pci"], f"no {controller} without Sojourn: the rig has changed")
    check(plain["pci"] - here["pci"] == {controller} and here["pci"] <= plain["pci"],
          f"PCI functions: {sorted(here['pci'])} with, {sorted(plain['pci'])} without Sojourn")
    check(re.search(r"(?m)^1: uart:16550A", plain["serial"]), "no COM2 without Sojourn: the rig has changed")
    check(re.search(r"(?m)^1: uart:unknown", here["serial"]), f"the guest sees the console: {here['serial']}")
    new = here["warnings"] - plain["warnings"]
    check(not new, f"new warnings in the guest's kernel log: {sorted(new)}")
    same_cpuinfo(plain["cpuinfo"], here["cpuinfo"])


@scenario(timeout=150)
def boot_leave(m):
    """Virtual boot, leave; CPU, memory map, PCI and kernel log are as without Sojourn apart from what is documented."""
    steps.boot_plain(m, mem_mib=256)
    plain = facts(m)
    m.power_cut()
    steps.boot(m, options="console=com2 settle=" + ("4" if m.rig == "qemu-svm" else "never"))
    if m.rig != "qemu-svm":
        check(m.virtualization_on(), "the guest boots, but the emulator sees no virtualization")
        virtual = facts(m)
        steps.to_native(m)
    else:
        steps.settle(m)
        steps.to_virtual(m)
        virtual = facts(m)
        steps.to_native(m)
    compare(m, plain, virtual)
    same_cpuid(plain["cpuid"], virtual["cpuid"], hidden=True)
    m.guest.work_start("mib=16")
    same_cpuid(plain["cpuid"], cpuid(m), hidden=False)
    # A settled guest costs nothing: no exits happen while it is native.
    before = steps.status(m)["exits"]
    m.guest.work_check(60 * m.slow)
    after = steps.status(m)["exits"]
    check(before == after, f"exits while native: {before} -> {after}")
    check("NMI received" not in m.guest.run("dmesg", 60 * m.slow), "the guest saw an NMI that was not its own")
    for line in ("help", "version", "log", "status"):
        check(m.sojourn.run(line, 20 * m.slow), f"{line} says nothing")
    check(any("settled" in line or "guest starts" in line for line in m.sojourn.run("log", 20 * m.slow)), "the log is empty")
    if m.rig != "qemu-svm":
        steps.cycle(m, 20)
        m.guest.work_check(60 * m.slow)


def cycles(m, kpti, cpus=1, rounds=120):
    steps.boot(m, cmdline=f"{steps.QUIET} pti={kpti}", cpus=cpus)
    isolated = bool(re.search("page tables isolation: enabled", m.guest.run("dmesg", 60 * m.slow)))
    check(isolated == (kpti == "on"), f"pti={kpti} had no effect on the guest")
    steps.to_native(m)
    m.guest.work_start("mib=16 busy")
    steps.cycle(m, rounds)
    m.guest.work_check(60 * m.slow)
    # Mostly in the kernel, mostly in user mode, and at random distances.
    m.guest.run("(dd if=/dev/zero of=/dev/null bs=4M & echo $! >/tmp/spin) 2>/dev/null", 20 * m.slow)
    steps.cycle(m, 30)
    m.guest.run("kill $(cat /tmp/spin); (sh -c 'while :; do :; done' & echo $! >/tmp/spin)", 20 * m.slow)
    steps.cycle(m, 30, pause=0.013)
    m.guest.run("kill $(cat /tmp/spin); work stop; work start mib=8", 60 * m.slow)
    steps.cycle(m, 20, pause=0.007)
    m.guest.work_check(60 * m.slow)
    steps.time_is_whole(m)
    check("NMI received" not in m.guest.run("dmesg", 60 * m.slow), "the guest saw one of Sojourn's NMIs")
    check(not m.virtualization_on(), "native at the end, but virtualization is on")
    if cpus > 1:
        closed_behind(m, 50)


def closed_behind(m, rounds):
    """While native, what a visit has to check before it runs cannot be run, whichever CPU left last. Another line would close it."""
    place, tables = steps.physical(m, "rest_entry"), steps.physical(m, "rest_tables")

    def word(at):
        return int.from_bytes(m.memory(at, 8), "little")

    for number in range(rounds):
        steps.cycle_once(m, number)
        machine.wait_until(f"closed behind leave {number}", 5, lambda: word(word(place)) & ~PTE_A == word(tables) & ~PTE_A, every=0.05)


@scenario(rigs=("qemu",), timeout=150)
def cycles_kpti(m):
    """200 times enter and leave under a busy guest, page-table isolation on: none lost, work intact."""
    cycles(m, "on")


@scenario(rigs=("qemu",), timeout=150)
def cycles_no_kpti(m):
    """200 times enter and leave under a busy guest, page-table isolation off."""
    cycles(m, "off")


@scenario(rigs=("qemu",), timeout=250, alone=("qemu",))
def cycles_smp(m):
    """300 times enter and leave with four busy CPUs."""
    cycles(m, "on", cpus=4, rounds=220)


@scenario(rigs=("bochs",), timeout=400, long=True)
def cycles_kpti_bochs(m):
    """200 times enter and leave under VMX, page-table isolation on."""
    cycles(m, "on")


@scenario(rigs=("bochs",), timeout=400, long=True)
def cycles_no_kpti_bochs(m):
    """200 times enter and leave under VMX, page-table isolation off."""
    cycles(m, "off")


@scenario(timeout=200, long=("bochs",))
def typed_meanwhile(m):
    """What is typed while an answer is on its way is shown behind it, not in the middle of it, native and virtual."""
    steps.boot(m, store=())
    for step in (steps.to_native, steps.to_virtual):
        step(m)
        for number in range(20):
            m.sojourn.drop()
            m.sojourn.send("status --json\r")
            time.sleep(number * 0.0005 * m.slow)
            m.sojourn.send("version\r")
            seen = "".join(m.sojourn.expect(r"(?s).*?(?m:^ok)\r?\n", 20 * m.slow).group(0) for _ in range(2))
            lines = [line for line in seen.splitlines() if line.startswith("{")]
            check(len(lines) == 1 and json.loads(lines[0])["cpus"] == 1, f"the answer is not whole: {seen!r}")
            check("sojourn> version\r" in seen, f"what was typed is not whole: {seen!r}")


CONSOLE_EXITS = ("nmi", "nmi_host", "iret")  # what a line typed to Sojourn costs


@scenario(timeout=200, long=("bochs",))
def no_exits(m):
    """A virtual guest that computes has no exit: `status` after three seconds shows none but those of its own line."""
    cpus = 2 if m.rig == "qemu-svm" else 1
    steps.boot(m, cpus=cpus)
    for _ in range(cpus):
        m.guest.run("(while :; do :; done) & sleep 0", 20 * m.slow)
    time.sleep(0.2 * m.slow)

    def exits():
        return steps.status(m)["exits"]

    exits()
    before, now = exits(), exits()
    line = now["total"] - before["total"]
    time.sleep(3)
    later = exits()
    for kind, count in later.items():
        check(kind == "total" or kind in CONSOLE_EXITS or count == now[kind], f"{kind}: {count - now[kind]} exits while the guest computed")
    cost = later["total"] - now["total"]
    # Each byte may come by itself; on Bochs the answer costs one for each time that the UART is empty.
    check(cost <= max(line, len("status --json\r")) + 2, f"{cost} exits where a line alone cost {line}")
    print(f"no_exits: {cost} exits in three seconds, all for the console; a line alone cost {line}", flush=True)


@scenario(rigs=("qemu",), timeout=120, alone=("qemu",))
def guest_nmi(m):
    """The guest's own NMIs reach its handler, native and virtual, registers intact; Sojourn's never do."""
    steps.boot(m)
    m.guest.work_start("mib=8 busy")
    for mode in ("virtual", "native", "virtual"):
        if mode == "native":
            steps.to_native(m)
        elif steps.status(m)["mode"] != "virtual":
            steps.to_virtual(m)
        check(steps.interrupt_count(m, "NMI") == seen(m), "NMIs without a reason in /proc/interrupts")
        before = seen(m)
        for _ in range(10):
            m.nmi()
            time.sleep(0.1)
        check(seen(m) == before + 10, f"{mode}: of 10 NMIs the guest saw {seen(m) - before}")
        m.guest.work_check()
    steps.to_native(m)
    # Right beside a console line two NMIs may become one; a few milliseconds away from it every one counts.
    for apart, least in ((0.0, 0), (0.02, 50)):
        before = seen(m)
        for _ in range(25):
            for command in ("enter", "leave"):
                time.sleep(apart)
                m.nmi()
                time.sleep(apart)
                m.sojourn.run(command)
        time.sleep(0.5)
        got = seen(m) - before
        # One more than sent: an emulator that stood still for long may let an echo of the console's own through.
        check(least <= got <= 51, f"between mode changes, {apart} s apart, 50 NMIs were sent and {got} seen")
    steps.wait_mode(m, "native")
    m.guest.work_check()


def seen(m):
    """NMIs that the guest's kernel counted."""
    return steps.interrupt_count(m, "NMI")


@scenario(rigs=("qemu",), timeout=120)
def no_aes(m):
    """CPUs without AES instructions, and without CRC32, too: the image is digested by other means, modes change."""
    image = steps.boot(m, cpu="EPYC,-aes", cmdline=steps.QUIET)
    steps.to_native(m)
    steps.cycle(m, 5)
    steps.again(m, image, cpu="EPYC,-aes,-sse4.2")
    steps.shell(m)
    steps.to_native(m)
    steps.cycle(m, 5)
