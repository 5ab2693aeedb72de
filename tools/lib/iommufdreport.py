# SPDX-License-Identifier: GPL-2.0
"""The table of tools/bench-iommufd, and its section in Documentation/benchmarks-later.md."""
import benchreport
import benchrows

HEADING = "## Beside iommufd\n"
STORY = """
iommufd is the kernel's own successor of containers and type1. `make bench-iommufd` builds two small
kernels from one source, Debian's linux-source {version} with [bench/kernel](../bench/kernel), and
writes this section. The kernels differ in IOMMUFD and VFIO_DEVICE_CDEV alone, which the second has:
our modules do not support a kernel with IOMMUFD. Both have Debian's mitigations and hardening, but
neither networking and block devices nor paravirtualisation, auditing and function tracing, so that
figures of stock are lower than those of Debian's 7.3.

| | |
|---|---|
| iommufd | IOAS_MAP and IOAS_UNMAP, with a device attached by VFIO_DEVICE_ATTACH_IOMMUFD_PT, on {iommufd} |
| stock | MAP_DMA and UNMAP_DMA of the kernel's own type1, on {stock} |
| ours | the same of our type1, on the same kernel |
| QEMU | {qemu} |
| compiler | {compiler}, of the kernels and of ours |

The machine, the program and its way of counting are those of [benchmarks.md](benchmarks.md). The
program has CAP_IPC_LOCK: type1 accounts what is pinned even so, iommufd does not. No row has a bar.

"""


def table(found):
    """Lines of Markdown. found: figures by row, of each column."""
    yield "| work | iommufd | stock | ours | ours / iommufd |"
    yield "|---|--:|--:|--:|--:|"
    for section in benchrows.SECTIONS:
        for row in section.rows:
            if row.key not in found["ours"]:
                continue
            part = benchrows.ratio(benchrows.Result(row, found["iommufd"][row.key],
                                                    found["ours"][row.key], None, None))
            what = "IOTLB flushes of " if row.key.startswith("flushes-") else ""
            cells = [f"{what}{row.text}, {row.unit}",
                     *(benchrows.number(figures[row.key], row.digits) for figures in found.values()),
                     part]
            yield "| " + " | ".join(cells) + " |"


def write(page, version, kernels, found):
    """In place of the page's section of that heading, which is its last one. version: of the source
    of the kernels; kernels: as the kernel of each column names itself."""
    with open(page, encoding="utf-8") as src:
        others = src.read().partition("\n" + HEADING)[0]
    story = STORY.format(version=version, qemu=benchreport.qemu_version(),
                         compiler=benchreport.compiler_version(), **kernels)
    with open(page, "w", encoding="utf-8") as out:
        out.write(f"{others.rstrip()}\n\n{HEADING}{story}")
        out.writelines(line + "\n" for line in table(found))
