# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing changes: the guest `prop` holds every register and all RAM, in one phase after the other, while Sojourn comes
and goes, and compares bit for bit (test/guest/prop.h says what)."""
import os
import re
import time

import machine
import steps
from scenario import check, scenario

PROP = os.path.join(machine.TOP, "build/prop/prop.elf")
MEM_MIB = 80  # all of it is compared
CPUS = {"qemu-svm": 4, "bochs-vmx": 2}
SETTLE_S = 0.01  # an NMI right behind a console line counts as the console's

# What happens before a phase is filled, and while it is held. The last one decides in which mode it is compared.
ROUNDS = {
    "native-virtual-native": ("leave", "enter leave"),
    "virtual-native": ("enter", "leave"),
    "native-virtual": ("leave", "enter"),
    "native-restored-native": ("leave", "enter checkpoint restore leave"),
    "virtual-restored": ("enter", "checkpoint restore"),
}
# With no NX in EFER the gateway's data page would be a reserved bit, if it was mapped before.
FILLED_VIRTUAL = ("plain",)
# A data segment from the LDT refuses to leave, by design.
NOT_LEFT = ("ldt_data",)
# Sojourn takes "masked, delivery NMI" for a counter's overflow, and gives the guest an NMI for each of its own.
OPEN = ("counter",)
# A one-shot timer goes on with what was left: that is its initial count then.
AFTER_RESTORE = {"apic_timer_initial"}
# QEMU's SVM loads DR7 as a number: breakpoints are not armed until the guest or the gateway writes it.
NOT_ARMED = {("qemu-svm", "breakpoint", "native-virtual"), ("qemu-svm", "breakpoint", "virtual-restored")}
# When QEMU stands still for some milliseconds, an echo of the console's own transmission can reach the guest.
TRIES = {"qemu-svm": 3, "bochs-vmx": 1}
# Harms that only some phases show.
SHOWN_BY = {"apic_irr_1": "masked", "tsc_deadline": "ldt", "debug_traps": "breakpoint"}
# Read-only there: nothing can harm it.
FIXED = {"qemu-svm": set(), "bochs-vmx": {"misc_enable"}}
MEMORY = {"memory_image", "memory_low", "memory_tables", "memory_idt"}


def options(m, *more):
    """nowatch: QEMU ends with SIGSEGV when a watchpoint is armed across VMRUN."""
    return " ".join(("prop", *(["nowatch"] if m.rig == "qemu-svm" else []), *more))


def counts(m):
    return 1, CPUS[m.rig]


def start_plain(m, *words, cpus=1, mem_mib=MEM_MIB):
    """Without Sojourn: GRUB loads the guest itself."""
    m.power_cut()
    m.start(m.image("--sojourn", "none", "--guest", f"{PROP}:{' '.join(('prop', *words))}", name="plain.img"), mem_mib=mem_mib, cpus=cpus)
    ready(m)
    check(f"prop boot cpus={cpus} " in m.guest.seen(), f"not {cpus} CPUs: {m.guest.seen()[-200:]!r}")


def start_on_sojourn(m, cpus=1, store=()):
    m.power_cut()
    steps.boot(m, "--guest", f"{PROP}:{options(m)}", wait=False, store=store, mem_mib=MEM_MIB, cpus=cpus)
    ready(m)
    check(m.virtualization_on(), "the guest runs, but not virtual")


def ready(m):
    m.guest.expect("prop ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*|prop boot FAIL[^\r]*")


def list_of(m):
    m.guest.send("list\r")
    found = m.guest.expect(r"prop phases ([^\r]*)\r\nprop items ([^\r]*)\r\nprop ready\r\n", 10 * m.slow)
    return found.group(1).split(), found.group(2).split()


def hold(m, phase, during=None, harm="", cpu=0):
    """Run one phase; (items that differ, items that this machine does not keep, the last line's values)."""
    m.guest.drop()
    m.guest.send(f"run {phase}{f' harm={harm}' if harm else ''} cpu={cpu}\r")
    told = m.guest.expect(r"(?s).*?prop \w+ holding\r\n", 10 * m.slow, never="EXCEPTION[^\r]*|prop ready").group(0)
    if during:
        during()
        time.sleep(SETTLE_S * m.slow)
    m.guest.send("g")
    end = m.guest.expect(r"(?s)(.*?)prop \w+ (checks=[^\r]*)\r\nprop ready\r\n", 20 * m.slow, never="EXCEPTION[^\r]*")
    differ = re.findall(r"FAIL (\w+)=([^\r]*)", end.group(1))
    values = {name: int(value) for name, value in (part.split("=") for part in end.group(2).split())}
    check(values["failed"] >= len(differ) and (values["failed"] == 0) == (not differ), f"{phase}: the report is not whole: {end.group(0)!r}")
    return differ, set(re.findall(r"skip (\S+) ", told)), values


def same(phase, found, cpus, allowed=frozenset(), way="plain"):
    phase, want_nmis = f"{way}: {phase}", int(phase == "nmi")
    differ, _, values = found
    left = [f"{name}={text}" for name, text in differ if name not in allowed]
    check(not left, f"{phase}: {values['failed']} items changed: {left[:5]}")
    check(values["cpus"] == cpus and values["checks"] > 200 * cpus, f"{phase}: too little was compared: {values}")
    check(values["nmis"] == want_nmis, f"{phase}: {values['nmis']} NMIs reached the guest")


def do(m, words):
    for word in words.split():
        if word == "checkpoint":
            m.sojourn.run("checkpoint", 60 * m.slow)
        elif word == "restore":
            steps.restore(m)
        else:
            m.sojourn.run(word, 15 * m.slow)


def one_round(m, phase, name, cpus):
    before, during = ROUNDS[name]
    native = during.split()[-1] == "leave"
    if phase in OPEN or (phase in FILLED_VIRTUAL and before == "leave") or (phase in NOT_LEFT and native) or \
            (m.rig, phase, name) in NOT_ARMED:
        return 0
    for _ in range(TRIES[m.rig]):
        do(m, before)
        found = hold(m, phase, lambda: do(m, during))
        if {item for item, _ in found[0]} != {"nmi"}:
            break
    same(phase, found, cpus, AFTER_RESTORE if "restore" in during else (), name)
    # Native, the gateway's two entries and the gate are there, and seen; virtual, they are gone.
    check((found[2]["entries"], found[2]["gate"]) == ((2, 1) if native else (0, 0)), f"{name}: {phase}: footprint {found[2]}")
    if phase in FILLED_VIRTUAL and native:
        do(m, "enter")
    return 1


def rounds(m, *names, store=(), only=None, only_smp=None):
    for cpus in counts(m):
        start_on_sojourn(m, cpus, store)
        only = only_smp if only_smp and cpus > 1 else only
        phases = list_of(m)[0]
        check(len(phases) > 10, f"too few phases: {phases}")
        for name in names:
            done = sum(one_round(m, phase, name, cpus) for phase in phases if not only or phase in only)
            check(done >= len(only or phases) - 3, f"{name}: only {done} phases were run")
        now = steps.status(m)["transitions"]
        check(now["refused"] == 0, f"refused: {now['last_refusal']}")


@scenario(timeout=60)
def property_plain(m):
    """Without Sojourn, on one CPU and on several: the guest finds nothing changed, so that what it finds later counts."""
    several = CPUS[m.rig]
    for cpus, words in ((1, ()), (several, ("start=broadcast", "seed=7", "x2apic"))) + (((several, ()),) if m.rig == "qemu-svm" else ()):
        start_plain(m, *words, cpus=cpus, mem_mib=24)
        for phase in list_of(m)[0]:
            same(phase, hold(m, phase), cpus)


def harm_all(m, only=None):
    start_plain(m, mem_mib=16)
    phases, items = list_of(m)
    differ, absent, _ = hold(m, "kernel")
    check(not differ, f"without harm: {differ}")
    unseen = []
    for item in only or items:
        differ, missing, _ = hold(m, SHOWN_BY.get(item, "kernel"), harm=item)
        names = {name for name, _ in differ}
        if (("memory" if item in MEMORY else item) in names) or item in absent | missing | FIXED[m.rig]:
            continue
        unseen.append(item)
    check(not unseen, f"harmed, but not reported: {unseen}")
    check(len(items) > 120 and len(absent) < 15, f"{len(items)} items, of which absent: {absent}")


@scenario(rigs=("qemu",), timeout=60)
def property_harm(m):
    """The check can fail: each item, changed behind the guest's back, is reported by its name."""
    harm_all(m)


@scenario(rigs=("bochs",), timeout=60, long=True)
def property_harm_bochs(m):
    """The same for VMX's machine."""
    harm_all(m)


@scenario(rigs=("qemu",), timeout=60)
def property_harm_cpus(m):
    """A harm on the last of four CPUs is reported, for that CPU."""
    start_plain(m, cpus=4, mem_mib=16)
    for item in ("rax", "ss", "star", "cr3", "dr0", "xmm3", "st2", "fs_base", "gs_hidden", "ldtr", "nmi", "apic_svr", "kernel_gs_base"):
        differ = hold(m, "kernel", harm=item, cpu=3)[0]
        check(differ and all("cpu=3" in text for _, text in differ), f"{item} of CPU 3 was harmed; reported: {differ}")


@scenario(rigs=("qemu",), timeout=60)
def property_modes(m):
    """Every phase across enter and leave: native-virtual-native, virtual-native, native-virtual."""
    rounds(m, "native-virtual-native", "virtual-native", "native-virtual")


@scenario(rigs=("bochs",), timeout=40)
def property_modes_bochs(m):
    """Every phase, native-virtual-native, under VMX."""
    rounds(m, "native-virtual-native")


@scenario(rigs=("bochs",), timeout=120, long=True)
def property_modes_bochs_all(m):
    """The other two ways under VMX."""
    rounds(m, "virtual-native", "native-virtual")


@scenario(rigs=("qemu",), timeout=90)
def property_restore(m):
    """Every phase across a checkpoint and a restore, compared native, and virtual; with several CPUs the main ones."""
    rounds(m, "native-restored-native", "virtual-restored", store=steps.STORE, only_smp=("kernel", "user", "halt", "masked"))


@scenario(rigs=("bochs",), timeout=150)
def property_restore_bochs(m):
    """A halted guest across a checkpoint and a restore under VMX, where pages are hashed in the guest's vector registers."""
    rounds(m, "native-restored-native", store=steps.STORE, only=("halt",))
    with open(m.path("com2.log"), encoding="utf-8", errors="replace") as f:
        scalar, avx2 = re.search(r"page hash: cycles=(\d+) avx2=(\d+)", f.read()).groups()
    check(int(avx2) < int(scalar), f"the hash of a page takes {avx2} cycles with AVX2, {scalar} without")


@scenario(rigs=("bochs",), timeout=200, long=True)
def property_restore_bochs_all(m):
    """Every phase across a checkpoint and a restore under VMX."""
    rounds(m, "native-restored-native", "virtual-restored", store=steps.STORE)
