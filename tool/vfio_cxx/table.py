# SPDX-License-Identifier: GPL-2.0
"""Tables for people."""


def lines(head, rows):
    """The rows below their heads, in columns as wide as needed. Nothing if there are no rows."""
    if not rows:
        return []
    rows = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
