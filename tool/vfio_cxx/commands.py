# SPDX-License-Identifier: GPL-2.0
"""The command line."""
import argparse
import json
import os
import sys

from . import groups, modules, table
from .machine import Machine


def origin_text(one):
    if one is None:
        return "none"
    text = "vfio-cxx" if one["origin"] == "vfio-cxx" else "the kernel's"
    if one["origin"] == "vfio-cxx" and one["version"]:
        text += " " + one["version"]
    return text + (f" ({one['by']})" if one.get("by") else "")


def processes(users):
    return ", ".join(f"{user['name']} ({user['pid']})" for user in users) or "-"


def status(machine, args):
    found_modules, found_kernels = modules.modules(machine), modules.kernels(machine)
    found = {"kernel": machine.release(), "modules": found_modules, "kernels": found_kernels,
             "groups": [group for group in groups.groups(machine) if args.all or groups.for_vfio(group)],
             "problems": list(modules.problems(found_modules, found_kernels))}
    return found, status_lines(found)


def status_lines(found):
    yield f"Kernel {found['kernel']}"
    yield ""
    yield from table.lines(
        ("MODULE", "LOADED", "USERS", "NEXT MODPROBE TAKES"),
        [(one["name"], origin_text(one["loaded"]) if one["loaded"] else "no",
          one["loaded"]["users"] if one["loaded"] else "-",
          one["next"]["file"] if one["next"] else "none") for one in found["modules"]])
    held = {None: "unknown", "none": "-", "kernel": "the kernel's", "vfio-cxx": "vfio-cxx"}
    if found["kernels"]:
        yield ""
    yield from table.lines(
        ("KERNEL", "NEXT BOOT", "IN ITS INITRAMFS"),
        [(one["release"] + (" (running)" if one["running"] else ""), origin_text(one["disk"]),
          held[one["initramfs"]]) for one in found["kernels"]])
    yield ""
    if found["groups"]:
        yield from table.lines(
            ("GROUP", "DEVICE", "IDS", "DRIVER", "OPEN IN"),
            [("noiommu-" * group["no_iommu"] + str(group["group"]), device["name"], device["ids"] or "-",
              device["driver"] or "-", processes(group["users"]))
             for group in found["groups"] for device in group["devices"]])
    else:
        yield "No device is bound to a driver of VFIO."
    for problem in found["problems"]:
        yield ""
        yield "! " + problem


def parser():
    top = argparse.ArgumentParser(prog="vfio-cxx", description="Shows what VFIO does on this machine.")
    top.add_argument("--root", default="/", help=argparse.SUPPRESS)  # the tests' recorded files
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("status", help="modules, now and at the next boot, and groups")
    one.add_argument("--all", action="store_true", help="groups without a device bound for VFIO, too")
    one.set_defaults(run=status)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="for programs; vfio-cxx(8) has the fields")
    return top


def main(arguments=None):
    args = parser().parse_args(arguments)
    found, lines = args.run(Machine(args.root), args)
    try:
        print(json.dumps(found, indent=2) if args.json else "\n".join(lines), flush=True)
    except BrokenPipeError:
        # The reader has seen enough; Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
