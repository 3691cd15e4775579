# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration's picture, by gnuplot: above, the counter of the guest's work; below, what the CPU was doing, as the
emulator saw it ten times a second; between them the events."""
import os
import shutil
import subprocess

MODES = (("off", "power off", "#9a9a9a"), ("firmware", "firmware, GRUB", "#c9b48a"), ("sojourn", "Sojourn (guest stopped)", "#d1495b"),
         ("virtual", "virtual", "#edae49"), ("native", "native", "#2f6690"))
SHORTEST_S = 0.1  # the time between two looks


def spans(samples):
    """[(from, to, mode)] of consecutive equal samples."""
    out = []
    for t, mode in samples:
        if out and out[-1][2] == mode:
            out[-1][1] = t
        else:
            if out:
                out[-1][1] = t
            out.append([t, t, mode])
    return out


def segments(points):
    """The counter between two jumps back: a new line after each."""
    lines, last = [], None
    for t, value in points:
        if last is not None and value < last:
            lines.append("")
        lines.append(f"{t:.2f} {value}")
        last = value
    return "\n".join(lines)


def script(path, samples, counters, events, marks):
    end = max([t for t, _ in samples] + [1.0])
    top = max([v for _, v in counters] + [10]) * 1.12
    lines = [f"set terminal svg size 1200,560 dynamic font 'Helvetica,13' background '#ffffff'\nset output '{path}'",
             f"set multiplot\nset xrange [0:{end:.1f}]\nset lmargin at screen 0.175\nset rmargin at screen 0.975",
             "set border 3 lc rgb '#444444'\nset tics nomirror out textcolor rgb '#444444'\nunset key"]
    # upper panel
    lines += ["set tmargin at screen 0.90\nset bmargin at screen 0.56",
              "set title 'Sojourn demonstration: one guest through a crash and a power cut' font 'Helvetica,16' offset 0,0.2",
              f"set yrange [0:{top:.0f}]\nset ylabel \"counter of the\\nguest's work\" offset -1\nset format x ''",
              "set grid ytics lc rgb '#e4e4e4'"]
    for t, _ in events:
        lines.append(f"set arrow from {t:.2f}, graph 0 to {t:.2f}, graph 1 nohead lc rgb '#bbbbbb' dt 2 back")
    if marks.get("cut"):
        lines += [f"set arrow from 0,{marks['cut']} to {end:.1f},{marks['cut']} nohead lc rgb '#d1495b' dt 3 lw 1.5",
                  f"set label 'the cut: {marks['cut']}' at {end * 0.004:.2f},{marks['cut']} offset 0,0.6 tc rgb '#d1495b' font 'Helvetica,12'"]
    data = segments(counters) or "0 0"
    lines += [f"$counter << EOD\n{data}\nEOD",
              "plot $counter using 1:2 with linespoints lc rgb '#2f6690' lw 2 pt 7 ps 0.5",
              "unset arrow\nunset label\nunset title\nunset ylabel\nunset grid"]
    # lower panel: one lane for each mode
    lines += ["set tmargin at screen 0.40\nset bmargin at screen 0.10\nset format x '%g'\nset xlabel 'seconds'",
              f"set yrange [-0.6:{len(MODES) - 0.4}]",
              "set ytics (" + ", ".join(f"'{name}' {n}" for n, (_, name, _) in enumerate(MODES)) + ") scale 0"]
    number = 0
    for first, last, mode in spans(samples):
        lane = [m[0] for m in MODES].index(mode)
        number += 1
        last = max(last, min(first + SHORTEST_S, end))
        lines.append(f"set object {number} rectangle from {first:.2f},{lane - 0.38:.2f} to {last:.2f},{lane + 0.38:.2f} "
                     f"fc rgb '{MODES[lane][2]}' fs solid noborder")
    free_at = [-1e9] * 3  # labels that would overlap go to the next row up
    for t, label in events:
        width = end * 0.0085 * (len(label) + 2)
        row = next((r for r, free in enumerate(free_at) if free <= t), len(free_at) - 1)
        free_at[row] = t + width
        lines.append(f"set arrow from {t:.2f}, graph 0 to {t:.2f}, graph {1.06 + 0.11 * row:.2f} nohead lc rgb '#bbbbbb' dt 2 back")
        lines.append(f"set label '{label}' at {t:.2f}, graph {1.09 + 0.11 * row:.2f} offset 0.2,0 tc rgb '#222222' font 'Helvetica,12'")
    lines += ["plot NaN notitle", "unset multiplot"]
    return "\n".join(lines) + "\n"


def draw(path, samples, counters, events, marks):
    """Writes the picture; the reason as text if that did not work, else ''."""
    if not samples:
        return "no picture: the machine was never on"
    if not shutil.which("gnuplot"):
        return "no picture: install gnuplot-nox (./sojourn setup does it)"
    source = os.path.splitext(path)[0] + ".gp"
    with open(source, "w", encoding="utf-8") as f:
        f.write(script(path, samples, counters, events, marks))
    done = subprocess.run(["gnuplot", source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    if done.returncode or not os.path.exists(path):
        return f"no picture: gnuplot: {done.stdout.strip()[:300]}"
    return ""
