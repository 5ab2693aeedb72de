# SPDX-License-Identifier: GPL-2.0
"""IOMMU groups, what is bound in them, and which processes have VFIO's files open."""
import os
import re


def device(machine, folder):
    """One device, by its folder in sysfs."""
    driver = machine.link(f"{folder}/driver")
    subsystem = machine.link(f"{folder}/subsystem")
    ids = [machine.text(f"{folder}/{name}") for name in ("vendor", "device")]
    return {"name": os.path.basename(folder), "bus": subsystem and os.path.basename(subsystem),
            "driver": driver and os.path.basename(driver),
            "ids": ":".join(word.removeprefix("0x") for word in ids) if all(ids) else None,
            "vfio": machine.names(f"{folder}/vfio-dev")}


def users(machine):
    """Processes by the file of VFIO that they have open: {file: [{pid, name}]}. Those of others are
    seen by root alone."""
    found = {}
    for pid in filter(str.isdigit, machine.names("/proc")):
        files = {machine.link(f"/proc/{pid}/fd/{fd}") for fd in machine.names(f"/proc/{pid}/fd")}
        for file in files:
            if file and file.startswith("/dev/vfio/"):
                user = {"pid": int(pid), "name": machine.text(f"/proc/{pid}/comm")}
                found.setdefault(file, []).append(user)
    return found


def groups(machine):
    """Each group of the machine: {group, file, devices, users}. A group of no-IOMMU mode has the name
    of its file."""
    open_files = users(machine)
    found = []
    top = "/sys/kernel/iommu_groups"
    for name in machine.names(top):
        noiommu = machine.text(f"{top}/{name}/name") == "vfio-noiommu"
        file = f"/dev/vfio/noiommu-{name}" if noiommu else f"/dev/vfio/{name}"
        devices = [device(machine, f"{top}/{name}/devices/{one}")
                   for one in machine.names(f"{top}/{name}/devices")]
        found.append({"group": int(name), "file": file, "no_iommu": noiommu, "devices": devices,
                      "users": open_files.get(file, [])})
    return found


def for_vfio(group):
    return any(device["vfio"] or re.search("vfio", device["driver"] or "") for device in group["devices"])
