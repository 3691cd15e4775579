# SPDX-License-Identifier: GPL-2.0-or-later
"""An encrypted store: the whole way with the key, what is left without it, and where the key is not."""
import os

import machine
import moments
import steps
from saving_tools import committed, sojstore
from scenario import check, scenario

OPTIONS = "console=com2 settle=never "
PIECE = 16  # bytes


def make_key(m):
    """A key of this run: its file, its bytes, its text."""
    raw = os.urandom(32)
    with open(m.path("key"), "wb") as f:
        f.write(raw)
    return m.path("key"), raw, raw.hex()


def sealed_image(m, key_file, *arguments):
    image = m.image("--store", "192", *arguments)
    done = sojstore("format", image, "--key-file", key_file)
    check(done.returncode == 0 and "encrypted" in done.stdout, f"format: {done.stdout}")
    return image


def pieces(raw, text):
    """Pieces of the key, as bytes and as text: 23 of them in a row have one, wherever they begin."""
    whole = (raw, text.encode(), text.upper().encode())
    return {form[at : at + PIECE] for form in whole for at in range(0, len(form) - PIECE + 1, PIECE // 2)}


def guest_does_not_have(m, raw, text, mem_mib=256):
    """Neither in RAM as the guest has it, nor in what Sojourn says. Hidden memory is left out, and must have it."""
    base, size = hidden_range(m)
    memory = bytearray(m.memory(0, mem_mib << 20))
    check(memory.find(raw, base, base + size) >= 0, "the key is not even in hidden memory: the search finds nothing")
    memory[base : base + size] = bytes(size)
    for piece in pieces(raw, text):
        at = memory.find(piece)
        check(at < 0, f"a piece of the key is in guest memory at {at:#x}")


def hidden_range(m):
    """From the log: where Sojourn went."""
    for line in m.sojourn.run("log"):
        if "hidden memory: base=" in line:
            words = dict(word.split("=") for word in line.split() if "=" in word)
            return int(words["base"], 16), int(words["bytes"])
    raise machine.RigError("the log does not say where hidden memory is")


def nowhere(m, raw, text, mem_mib=256):
    memory = m.memory(0, mem_mib << 20)
    check(not any(piece in memory for piece in pieces(raw, text)), "a piece of the key is left after Sojourn has gone")


def says_nothing(m, raw, text):
    """Sojourn's console, all that it said in this test, and the guest's."""
    for name in ("com1.log", "com2.log"):
        with open(m.path(name), "rb") as f:
            said = f.read()
        for piece in pieces(raw, text):
            check(piece not in said, f"a piece of the key is in {name}")


@scenario(rigs=("qemu",), timeout=240)
def encrypted(m):
    """With the key: saved, restored in place and cold. Without: E_KEY, and the guest boots. The guest never has the key."""
    key_file, raw, text = make_key(m)
    image = sealed_image(m, key_file, "--options", OPTIONS + f"key={text}")
    m.start(image)
    steps.shell(m)
    guest_does_not_have(m, raw, text)
    m.guest.work_start("mib=8")
    moments.mark(m, "one")
    steps.checkpoint(m, "one")
    moments.mark(m, "two")
    row = steps.checkpoint(m, "two")
    check(row["kind"] == "incremental", f"the second one is {row['kind']}")
    check("encrypted" in steps.status(m)["store"]["text"], f"status: {steps.status(m)['store']}")
    moments.mark(m, "lost")
    steps.restore(m, "latest")
    check(moments.marked(m) == "two", f"restored in place: {moments.marked(m)}")
    m.guest.work_check(60)
    m.sojourn.run("verify", 60)
    m.sojourn.run("log")
    says_nothing(m, raw, text)
    # Cold, with another key first, then none: both boot the guest and say why.
    for option in (f"key={os.urandom(32).hex()}", ""):
        steps.again(m, image, "--options", OPTIONS + "restore=latest " + option)
        steps.shell(m)
        now = steps.status(m)
        check(now["store"]["state"] == "locked", f"store: {now['store']}")
        check([c["label"] for c in steps.checkpoints(m)] == ["one", "two"], "list without the key")
        for command in ("checkpoint", "restore latest", "verify", "auto every=30"):
            steps.refused(m, command, "E_KEY")
        m.sojourn.run("show 2")
        check(any("E_KEY" in line for line in m.sojourn.run("log")), "the log does not say why nothing was restored")
    m.power_cut()
    check(committed(image) == [1, 2], "something was changed without the key")
    check(sojstore("verify", image, "--key-file", key_file).returncode == 0, "sojstore verify with the key")
    done = sojstore("verify", image)
    check(done.returncode == 1 and "E_KEY" in done.stdout, f"sojstore verify without the key: {done.stdout}")
    # With the key the guest goes on where it was.
    steps.again(m, image, "--options", OPTIONS + f"settle=2 restore=latest key={text}")
    m.sojourn.wake(60)
    steps.settle(m)
    check(moments.marked(m) == "two", f"restored cold: {moments.marked(m)}")
    m.guest.work_check(60)
    guest_does_not_have(m, raw, text)


@scenario(rigs=("qemu",), timeout=120)
def key_module(m):
    """The key as a GRUB module, as bytes: it is used, it is not the guest's, and what is no key is said to be none."""
    key_file, raw, text = make_key(m)
    image = sealed_image(m, key_file, "--options", OPTIONS, "--module", f"{key_file}:sojourn-key")
    m.start(image)
    steps.shell(m)
    guest_does_not_have(m, raw, text)
    steps.checkpoint(m, "by a module")
    check(not any("module" in note for note in steps.status(m)["notes"]), "a good key is complained of")
    m.sojourn.run("format --yes")
    check("encrypted" in steps.status(m)["store"]["text"], "formatted with a key, and not encrypted")
    m.power_cut()
    with open(m.path("bad"), "wb") as f:
        f.write(raw[:31])
    m.start(sealed_image(m, key_file, "--options", OPTIONS + f"key={text}0", "--module", f"{m.path('bad')}:sojourn-key"))
    steps.shell(m)
    notes = steps.status(m)["notes"]
    check(any("sojourn-key" in note for note in notes) and any("key=..." in note for note in notes), f"notes: {notes}")
    steps.refused(m, "checkpoint", "E_KEY")
    says_nothing(m, raw, text)
    steps.again(m, m.path("disk.img"), "--options", f"start=native key={text}")
    steps.shell(m)
    nowhere(m, raw, text)
