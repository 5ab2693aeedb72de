# SPDX-License-Identifier: GPL-2.0
"""What the project's documents tell people to type, for the checks that type it."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def section(file, heading):
    """The text of a document below a heading, up to the next one of its level or a higher one."""
    with open(os.path.join(ROOT, file), encoding="utf-8") as document:
        text = document.read()
    level = re.match("#+", heading)[0]
    return re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text,
                     re.MULTILINE | re.DOTALL)[1]


def commands(text):
    """Lines that are set off as code, without the comments behind them."""
    return re.findall(r"^ {4}([^#\n]*[^#\s])", text, re.MULTILINE)


def blocks(text):
    """The same with the comments, in one string for each block."""
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE)
            for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]


def sessions(text):
    """Of blocks that have commands behind a prompt: (command, [line that it printed, ...]) each."""
    found = []
    for block in blocks(text):
        inside = None
        for line in block.splitlines():
            if prompt := re.match(r"[#$] (.*)", line):
                inside = (prompt[1], [])
                found.append(inside)
            elif inside:
                inside[1].append(line)
    return found


def shape(line):
    """What stays of a line when it is printed again: numbers and the width of columns change."""
    return re.sub(r"\s+", " ", re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", line)).strip()
