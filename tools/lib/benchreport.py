# SPDX-License-Identifier: GPL-2.0
"""Writes Documentation/benchmarks.md and the picture beside it."""
import html
import math
import os
import re
import subprocess

import benchguest
import benchrows

STORY = """\
<!-- Written by tools/bench (make bench); not by hand. -->
# Benchmarks

What VFIO's work costs on our modules (*ours*) and on the kernel's own (*stock*): the same program
and the same test device, in the same unmodified kernel.

![Stock and ours, as bars](benchmarks.svg)

| | |
|---|---|
| kernel | {kernel} |
| QEMU | {qemu} |
| machine | one virtual CPU, emulated VT-d (caching mode off, as on hardware), mitigations at default |
| compiler | {compiler} |

Repeat it with `make bench`: it boots the kernel twice under QEMU's software emulation, so any
machine will do, and prints this table. `tools/bench --again` boots ours a second time and fails
if a figure differs by more than 3 %. `tools/bench --profile ROW` shows where a row's instructions
go, by function and exactly; `tools/bench --list` names the rows.

## What is counted

Instructions that the guest executes, user mode and kernel, from before the ioctl until after it:
with `-icount shift=0` the guest's time stamp counter counts them. A figure is the median of
several runs, which leaves the timer's interrupts out. Instructions are not time. Cache misses,
atomics and the latency of invalidations do not show, hence the IOTLB flushes, by the kernel's
tracepoint, stand apart; absolute times of an emulated machine mean nothing.

The bytes are those of all objects in the kernel's slab caches, of large kmallocs and of vmalloc,
before and after the ioctl; pages of the IOMMU's tables are not among them.

"met" says whether ours is within the bar.

"""


def qemu_version():
    out = subprocess.run(["qemu-system-x86_64", "--version"], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    return re.search(r"version (.*)", out)[1]


def compiler_version():
    out = subprocess.run(["g++", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return out.splitlines()[0]


def write(root, groups, text):
    """`text`: what the program printed in the guest, for the kernel's version."""
    kernel = benchguest.kernel(text)
    folder = os.path.join(root, "Documentation")
    with open(os.path.join(folder, "benchmarks.md"), "w", encoding="utf-8") as out:
        out.write(STORY.format(kernel=kernel, qemu=qemu_version(), compiler=compiler_version()))
        out.write("\n".join(benchrows.markdown_table(groups)))
    with open(os.path.join(folder, "benchmarks.svg"), "w", encoding="utf-8") as out:
        out.write(picture(groups))


# Geometry, in pixels.
WIDTH, LEFT, RIGHT, TOP = 960, 400, 150, 74
LINE, BAR = 30, 9
DECADES = (-1, 7)

STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.group { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.stock { fill: #8c959f }
.ours { fill: #0969da }
.bar { stroke: #cf222e; stroke-width: 2 }
.paper { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .stock { fill: #6e7681 }
  .ours { fill: #4493f8 }
  .bar { stroke: #ff7b72 }
  .paper { fill: #0d1117 }
}
"""


def _x(value):
    first, last = DECADES
    at = min(max(math.log10(value) if value > 0 else first, first), last)
    return LEFT + (WIDTH - LEFT - RIGHT) * (at - first) / (last - first)


def _text(x, y, content, css="", anchor="start"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" class="{css}" text-anchor="{anchor}">'
            f"{html.escape(content)}</text>")


def _legend():
    yield f'<rect class="stock" x="{LEFT}" y="34" width="26" height="{BAR}"/>'
    yield _text(LEFT + 32, 43, "stock")
    yield f'<rect class="ours" x="{LEFT + 90}" y="34" width="26" height="{BAR}"/>'
    yield _text(LEFT + 122, 43, "ours")
    yield f'<line class="bar" x1="{LEFT + 180}" y1="31" x2="{LEFT + 180}" y2="47"/>'
    yield _text(LEFT + 188, 43, "bar to reach")


def _grid(bottom):
    for decade in range(DECADES[0], DECADES[1] + 1):
        x = _x(10 ** decade)
        value = 10 ** decade
        name = (f"{value / 10 ** 6:g}M" if decade >= 6 else f"{value / 1000:g}k" if decade >= 3
                else f"{value:g}")
        yield f'<line class="grid" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>'
        yield _text(x, TOP - 12, name, "small", "middle")


def _row(y, result):
    row = result.row
    yield _text(LEFT - 8, y + 13, f"{row.text}, {row.unit}", "small", "end")
    for css, value, at in (("stock", result.stock, y + 1), ("ours", result.ours, y + 1 + BAR)):
        width = max(_x(value) - LEFT, 1)
        yield (f'<rect class="{css}" x="{LEFT}" y="{at}" width="{width:.1f}" height="{BAR}">'
               f"<title>{css}: {benchrows.number(value, row.digits)}</title></rect>")
    if result.bar is not None:
        x = _x(result.bar)
        yield f'<line class="bar" x1="{x:.1f}" y1="{y - 1}" x2="{x:.1f}" y2="{y + 2 * BAR + 3}"/>'
    figures = (f"{benchrows.number(result.stock, row.digits)} \u2192 "
               f"{benchrows.number(result.ours, row.digits)}")
    yield _text(WIDTH - 8, y + 13, figures, "small", "end")


def picture(groups):
    """Horizontal bars on a logarithmic scale; shorter is better."""
    body, y = [], TOP
    for title, found in groups:
        body.append(_text(8, y + 14, title, "group"))
        y += LINE - 8
        for result in found:
            body += _row(y, result)
            y += LINE
        y += 6
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
            f'height="{y}" role="img" aria-label="Cost of the work of VFIO, stock and ours">',
            f"<style>{STYLE}</style>", f'<rect class="paper" width="{WIDTH}" height="{y}"/>',
            _text(8, 24, "The cost of VFIO's work, logarithmic: shorter is better", "title")]
    return "\n".join([*head, *_legend(), *_grid(y - 6), *body, "</svg>", ""])
