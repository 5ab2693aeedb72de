# SPDX-License-Identifier: GPL-2.0
"""The command line."""
import argparse
import json
import os
import sys
import time

from . import containers, groups, modules, rates, table
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
    yield from once({"kernel": machine.release(), "modules": found_modules, "kernels": found_kernels,
                     "groups": [group for group in groups.groups(machine)
                                if args.all or groups.for_vfio(group)],
                     "problems": list(modules.problems(found_modules, found_kernels))}, status_lines)


def once(found, to_lines):
    """What a command yields: pairs of an object and its lines for people."""
    yield found, to_lines(found)


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


def size_text(count):
    """A number of bytes, as people write it."""
    for unit in ("", "K", "M", "G", "T"):
        if count < 10240 or unit == "T":
            return f"{count:.0f}{unit}"
        count /= 1024
    return None


def pages_text(pages):
    return "-" if pages is None else size_text(4096 * pages)


def read_containers(machine):
    found = containers.containers(machine)
    if found is None:
        raise SystemExit(f"vfio-cxx: {containers.TOP}/containers cannot be read: it takes root, "
                         "vfio-cxx's vfio.ko, and a debugfs that is mounted (see vfio-cxx(8))")
    return found


def show_containers(machine, _args):
    yield from once({"containers": read_containers(machine)}, container_lines)


def device_text(device):
    text = f"{device['name']} ({device['driver']}, {'open' if device['opens'] else 'closed'}"
    return text + (f", {device['gate']}" if device["gate"] else "") + ")"


def container_lines(found):
    if not found["containers"]:
        yield "No container has had a group."
    for one in found["containers"]:
        yield f"Container {one['container']} of {one['owner']['name']} ({one['owner']['pid']})"
        yield f"  IOMMU        {one['iommu'] or 'none'}" + (f", {one['interface']}" if one["interface"] else "")
        for group in one["groups"]:
            devices = ", ".join(device_text(device) for device in group["devices"]) or "no device"
            kind = {"iommu": "", "emulated": " (emulated)", "noiommu": " (no IOMMU)"}[group["type"]]
            yield f"  group {group['group']}{kind}{' (merged)' if group['merged'] else ''}: {devices}"
        for domain in one["domains"]:
            nested = f", {domain['nested_pages']} nested pages" if "nested_pages" in domain else ""
            yield f"  domain       groups {' '.join(map(str, domain['groups']))}{nested}"
        if one["mappings"] is not None:
            yield f"  mappings     {one['mappings']}, {size_text(one['bytes'])} ({one['available']} more possible)"
            yield (f"  memory       pinned {pages_text(one['pinned_pages'])}, "
                   f"by devices {pages_text(one['external_pages'])}, charged {pages_text(one['charged_pages'])}")
        if one["process"]:
            limit = one["memlock_bytes"]
            yield (f"  locked       {pages_text(one['locked_pages'])} of "
                   f"{limit if limit == 'unlimited' else size_text(limit)} by {one['process']['name']} "
                   f"({one['process']['pid']})")
        if one["dirty_tracking"]:
            yield "  dirty pages  are tracked"
        for call, errors in one["statistics"]["failed"].items():
            yield f"  failed       {call}: " + ", ".join(f"{name} {count}" for name, count in errors.items())
        for call, longest in one["statistics"]["longest_ms"].items():
            yield f"  longest      {call}: {longest} ms"


def top_command(machine, args):
    """Rates, each time after a pause. The first reading shows nothing."""
    before, then = read_containers(machine), machine.seconds()
    number = 0
    while args.count is None or number < args.count:
        number += 1
        time.sleep(args.delay)
        after, now = read_containers(machine), machine.seconds()
        found = {"seconds": round(now - then, 3), "containers": rates.rates(before, after, max(now - then, 1e-9))}
        yield found, top_lines(found)
        before, then = after, now


def rate_text(rate):
    return "-" if rate is None else f"{rate:.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def top_lines(found):
    yield f"a second, over {found['seconds']:.1f} s"
    yield from table.lines(
        ("CONTAINER", "OWNER", "MAPPINGS", "MAP", "BYTES", "UNMAP", "FLUSHES", "PIN", "PAGES", "REFRESH", "FAILED"),
        [(one["container"], f"{one['owner']['name']} ({one['owner']['pid']})",
          "-" if one["mappings"] is None else one["mappings"], rate_text(one["rates"]["mapped"]),
          "-" if one["rates"]["mapped_bytes"] is None else size_text(one["rates"]["mapped_bytes"]),
          *(rate_text(one["rates"][name]) for name in
            ("unmapped", "flushes", "pin_calls", "pinned", "refreshes", "failed")))
         for one in found["containers"]])
    yield ""


def positive(kind):
    def convert(text):
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError("must be above 0")
        return value
    return convert


def parser():
    top = argparse.ArgumentParser(prog="vfio-cxx", description="Shows what VFIO does on this machine.")
    top.add_argument("--root", default="/", help=argparse.SUPPRESS)  # the tests' recorded files
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("status", help="modules, now and at the next boot, and groups")
    one.add_argument("--all", action="store_true", help="groups without a device bound for VFIO, too")
    one.set_defaults(run=status)
    one = commands.add_parser("containers", help="what each container holds")
    one.set_defaults(run=show_containers)
    one = commands.add_parser("top", help="how much each container does")
    one.add_argument("-n", "--count", type=positive(int), help="how often (default: until it is interrupted)")
    one.add_argument("-d", "--delay", type=positive(float), default=2.0, help="seconds in between (default: 2)")
    one.set_defaults(run=top_command)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="for programs; vfio-cxx(8) has the fields")
    return top


def main(arguments=None):
    args = parser().parse_args(arguments)
    try:
        for found, lines in args.run(Machine(args.root), args):
            # One line for each reading of top, so that programs can read them as they come.
            indent = None if args.run is top_command else 2
            print(json.dumps(found, indent=indent) if args.json else "\n".join(lines), flush=True)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # The reader has seen enough; Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
