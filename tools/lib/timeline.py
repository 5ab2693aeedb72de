# SPDX-License-Identifier: GPL-2.0
"""Who used which device when, of what `timeslice check` prints: as text and as SVG."""
import re
from collections import namedtuple

# bdf: the device that may be open from begin to end. done: {kind: (how often, first, last)}. All
# times in ms from the first slice's begin.
Slice = namedtuple("Slice", "bdf begin end done")

WIDTH = 96
LETTERS = {"mmap": "m", "calls": "c", "guest": "g", "dma": "D"}
TEXTS = {"mmap": "registers, mapped", "calls": "registers, by calls",
         "guest": "registers, by a guest", "dma": "DMA arrives"}
COLOURS = {"mmap": "#1b6ca8", "calls": "#2e8540", "guest": "#8a4fad", "dma": "#c0392b"}


def read(text):
    """The slices, in the order of time; those in which nobody has used a device yet, or does any
    more, are left out at both ends."""
    found = []
    for bdf, begin, end, rest in re.findall(r"^slice (\S+) (\d+) (\d+)([^\r\n]*)", text, re.M):
        done = {kind: tuple(map(int, numbers.split(","))) for kind, numbers in
                (word.split("=") for word in rest.split())}
        found.append(Slice(bdf, int(begin), int(end), done))
    used = [i for i, each in enumerate(found) if each.done]
    if not used:
        return []
    found = found[used[0]:used[-1] + 1]
    start = found[0].begin
    last = max(last for each in found for _, _, last in each.done.values())

    def ms(time):
        return (time - start) / 1e6

    # The trace does not know the end of the last one.
    return [Slice(each.bdf, max(0, ms(each.begin)), ms(each.end or last),
                  {kind: (count, ms(one), ms(other)) for kind, (count, one, other) in
                   each.done.items()}) for each in found]


def _devices(slices):
    return sorted({each.bdf for each in slices})


def _kinds(slices, bdf):
    found = {kind for each in slices if each.bdf == bdf for kind in each.done}
    return [kind for kind in LETTERS if kind in found]


def text(slices):
    """Lines of text: a column is some ms."""
    total = max(each.end for each in slices)
    step = total / WIDTH

    def columns(begin, end):
        return range(int(begin / step), min(WIDTH - 1, int(end / step)) + 1)

    yield f"time line, {step:.0f} ms a column; =: open, " + ", ".join(
        f"{letter}: {TEXTS[kind]}" for kind, letter in LETTERS.items())
    for bdf in _devices(slices):
        rows = {"open": [" "] * WIDTH, **{kind: [" "] * WIDTH for kind in _kinds(slices, bdf)}}
        for each in slices:
            if each.bdf != bdf:
                continue
            for column in columns(each.begin, each.end):
                rows["open"][column] = "="
            for kind, (_, first, last) in each.done.items():
                # Between the arrivals of DMA nothing is known; registers are used all the time.
                times = ([(first, first), (last, last)] if kind == "dma" else [(first, last)])
                for begin, end in times:
                    for column in columns(begin, end):
                        rows[kind][column] = LETTERS[kind]
        for name, row in rows.items():
            yield f"  {bdf if name == 'open' else '':14}{''.join(row).rstrip()}"


def svg(slices):
    """The picture: a band a device, its slices grey, below them what was done in them."""
    left, right, top, lane, gap = 130, 20, 50, 14, 18
    devices = _devices(slices)
    total = max(each.end for each in slices)
    scale = 1000 / total
    out, y = [], top

    def box(x, y, width, height, colour, title):
        out.append(f'<rect x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{height}" '
                   f'fill="{colour}"><title>{title}</title></rect>')

    def write(x, y, words, more=""):
        out.append(f'<text x="{x:.1f}" y="{y}"{more}>{words}</text>')

    write(left, 20, "Three devices that take turns, and their users", ' font-weight="bold"')
    for bdf in devices:
        kinds = _kinds(slices, bdf)
        height = lane * (1 + len(kinds))
        write(10, y + lane, bdf)
        for each in slices:
            if each.bdf != bdf:
                continue
            x = left + each.begin * scale
            box(x, y, (each.end - each.begin) * scale, height, "#dddddd",
                f"open {each.begin:.1f} to {each.end:.1f} ms")
            for row, kind in enumerate(kinds):
                if kind not in each.done:
                    continue
                count, first, last = each.done[kind]
                at = y + lane // 2 + lane * row
                title = f"{TEXTS[kind]}: {count}, {first:.1f} to {last:.1f} ms"
                spans = [(first, 0), (last, 0)] if kind == "dma" else [(first, last - first)]
                for begin, width in spans:
                    box(left + begin * scale, at, width * scale if width else 3, lane - 4,
                        COLOURS[kind], title)
        y += height + gap
    for second in range(int(total / 1000) + 1):
        x = left + second * 1000 * scale
        out.append(f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{y - gap + 4}" '
                   'stroke="#999999" stroke-dasharray="2 3"/>')
        write(x + 2, y, f"{second} s")
    for i, kind in enumerate(LETTERS):
        x = left + i * 210
        box(x, y + 16, 12, 12, COLOURS[kind], kind)
        write(x + 18, y + 26, TEXTS[kind])
    return ('<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {left + 1000 + right} {y + 44}" font-family="sans-serif" '
            f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(out) + "\n</svg>\n")
