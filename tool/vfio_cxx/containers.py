# SPDX-License-Identifier: GPL-2.0
"""Containers as vfio.ko shows them in debugfs: Documentation/debugging.md describes the files.

A file that cannot be read, because the container has just gone, because a group is being attached
(EBUSY), or because the kernel's own type1 shows nothing, counts as empty; what it would tell is null.
"""
import time

TOP = "/sys/kernel/debug/vfio"
# Attaching a group takes as long as pinning what is mapped.
TRIES = 10
PAUSE_S = 0.02


def lines(machine, path):
    for _ in range(TRIES):
        text = machine.text(path)
        if text is not None or not machine.exists(path):
            return (text or "").splitlines()
        time.sleep(PAUSE_S)
    return []


def pairs(machine, path):
    """Lines of a word and its value, {word: value}; numbers as such."""
    found = {}
    for line in lines(machine, path):
        word, _, value = line.partition(" ")
        found[word] = int(value) if value.isdigit() and word != "comm" else value
    return found


def groups(machine, path):
    """[{group, type, merged, devices: [{name, driver, opens, gate}]}]"""
    found = []
    for line in lines(machine, path):
        words = line.split()
        fields = dict(zip(words[::2], words[1::2]))
        if "group" in fields:
            found.append({"group": int(fields["group"]), "type": fields["type"],
                          "merged": fields["merged"] == "1", "devices": []})
        elif "device" in fields and found:
            gate = fields["gate"]
            found[-1]["devices"].append({"name": fields["device"], "driver": fields["driver"],
                                         "opens": int(fields["opens"]), "gate": None if gate == "none" else gate})
    return found


def domains(machine, path):
    """[{groups, coherent, page_sizes, flushes}], or with nested_pages instead of the last two."""
    found = []
    for line in lines(machine, path):
        before, _, members = line.partition(" groups")
        words = before.split()
        fields = dict(zip(words[::2], words[1::2]))
        one = {"groups": [int(word) for word in members.split()], "coherent": fields["coherent"] == "1"}
        for name in ("page_sizes", "flushes", "nested_pages", "bytes"):
            if name in fields:
                one[name] = int(fields[name], 0)
        found.append(one)
    return found


def statistics(machine, path):
    """{mapped, mapped_bytes, unmapped, unmapped_bytes, flushes, pin_calls, pinned, unpinned, refreshes,
    failed: {call: {errno: count}}, longest_ms: {call: ms}}; those that are not shown are missing."""
    found = {"failed": {}, "longest_ms": {}}
    for line in lines(machine, path):
        words = line.split()
        if words[0] in ("mapped", "unmapped"):
            found[words[0]], found[words[0] + "_bytes"] = int(words[1]), int(words[3])
        elif words[0] == "flushes":
            found["flushes"] = int(words[1])
        elif words[0] == "pin":
            found["pin_calls"], found["pinned"] = int(words[2]), int(words[4])
        elif words[0] == "unpin":
            found["unpinned"] = int(words[2])
        elif words[0] == "retries":
            found["retries"] = {words[at]: int(words[at + 1]) for at in range(1, len(words) - 1, 2)}
        elif words[0] == "failed":
            found["failed"].setdefault(words[1], {})[words[2]] = int(words[3])
        elif words[0] == "longest":
            found["longest_ms"][words[1]] = int(words[2])
        elif words[0] == "function":
            fields = dict(zip(words[::2], words[1::2]))
            found["refreshes"] = found.get("refreshes", 0) + int(fields["refreshes"])
    return found


def container(machine, number):
    folder = f"{TOP}/containers/{number}"
    owner, summary = pairs(machine, f"{folder}/owner"), pairs(machine, f"{folder}/summary")
    memory = {name: summary.get(name) for name in
              ("mappings", "available", "bytes", "pinned_pages", "charged_pages", "external_pages",
               "locked_pages", "memlock_bytes")}
    if memory["memlock_bytes"] == 2 ** 64 - 1:
        memory["memlock_bytes"] = "unlimited"
    process = {"pid": summary["pid"], "name": summary["comm"]} if "pid" in summary else None
    tracking = summary.get("dirty_tracking")
    return {"container": int(number), "owner": {"pid": owner.get("pid"), "name": owner.get("comm")},
            "iommu": summary.get("iommu"), "interface": summary.get("interface"),
            "groups": groups(machine, f"{folder}/groups"), "domains": domains(machine, f"{folder}/domains"),
            "process": process, **memory, "dirty_tracking": None if tracking is None else bool(tracking),
            "statistics": statistics(machine, f"{folder}/statistics")}


def containers(machine):
    """All containers that have had a group. None if debugfs shows nothing of vfio-cxx."""
    if not machine.exists(f"{TOP}/containers"):
        return None
    found = [container(machine, number) for number in machine.names(f"{TOP}/containers") if number.isdigit()]
    # One that has gone meanwhile has no owner.
    return [one for one in found if one["owner"]["pid"] is not None]
