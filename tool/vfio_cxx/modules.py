# SPDX-License-Identifier: GPL-2.0
"""Whose VFIO modules are loaded, and whose come next: on the disk and in each initramfs.

An origin is "vfio-cxx" or "kernel". On the disk it is told by a field that our modules have in
modinfo; of a loaded module by the mark of what was built outside the kernel's tree; in an initramfs
by the folder.
"""
import lzma
import re
import struct

# Those that vfio-cxx has: the first three replace the kernel's, the fourth the kernel lacks.
OURS = ("vfio", "vfio_iommu_type1", "mdev", "vfio_zpci")
FAMILY = re.compile(r"vfio(_\w+)?|mdev|\w+_vfio_pci")
BUILD_ID = "notes/.note.gnu.build-id"
NOTE = re.compile(struct.pack("=III", 4, 20, 3) + rb"GNU\0.{20}", re.DOTALL)


def on_disk(machine, release, name):
    """What modprobe takes for a kernel: {file, origin, version, by}, or None."""
    said = machine.output("modinfo", "-b", machine.root, "-k", release, name)
    if said is None:
        return None
    fields = dict(re.findall(r"^(\w+): *(.*)$", said, re.MULTILINE))
    file = fields.get("filename", "")
    # modinfo puts the root before it, "/" as well. A module that is built in has no path.
    if file.startswith("/"):
        file = "/" + file.removeprefix(machine.root).lstrip("/")
    ours = "supported_kernels" in fields
    by = None
    if ours:
        by = "dkms" if "/updates/dkms/" in file else "make install"
    return {"file": file, "origin": "vfio-cxx" if ours else "kernel", "version": fields.get("version"), "by": by}


def is_build_of(machine, name, file):
    """Whether a loaded module was built as that file was; None if that cannot be told."""
    note = machine.bytes(f"/sys/module/{name}/{BUILD_ID}")
    content = machine.bytes(file)
    if note is None or content is None:
        return None
    if file.endswith(".xz"):
        content = lzma.decompress(content)
    found = NOTE.search(content)
    return None if found is None else found[0] == note[:len(found[0])]


def loaded(machine, name):
    """What is loaded of that name: {origin, version, users}, or None."""
    folder = f"/sys/module/{name}"
    refcnt = machine.text(f"{folder}/refcnt")
    if refcnt is None:
        return None
    outside = "O" in (machine.text(f"{folder}/taint") or "")
    return {"origin": "vfio-cxx" if outside else "kernel", "version": machine.text(f"{folder}/version"),
            "users": int(refcnt), "used_by": machine.names(f"{folder}/holders")}


def modules(machine):
    """Each VFIO module that is loaded, or that vfio-cxx has and modprobe would find."""
    release = machine.release()
    found = []
    names = [name for name in machine.names("/sys/module") if FAMILY.fullmatch(name) and name not in OURS]
    for name in [*OURS, *names]:
        now, next_one = loaded(machine, name), on_disk(machine, release, name)
        if not now and (name not in OURS or not next_one):
            continue
        same = is_build_of(machine, name, next_one["file"]) if now and next_one else None
        found.append({"name": name, "loaded": now, "next": next_one, "loaded_is_next": same})
    return found


def initramfs(machine, release):
    """Whose vfio module the initramfs of a kernel holds: an origin, "none", or None if unknown."""
    file = f"/boot/initrd.img-{release}"
    if not machine.exists(file):
        return "none"
    listed = machine.output("lsinitramfs", machine.path(file))
    if listed is None:
        return None
    found = re.findall(r"lib/modules/[^/\n]+/(\w+)/\S*?(?:vfio|vfio_iommu_type1|mdev)\.ko", listed)
    if not found:
        return "none"
    return "vfio-cxx" if "updates" in found else "kernel"


def kernels(machine):
    """Each installed kernel, and whose modules its next boot has."""
    return [{"release": release, "running": release == machine.release(),
             "disk": on_disk(machine, release, "vfio"), "initramfs": initramfs(machine, release)}
            for release in machine.names("/lib/modules")
            if machine.exists(f"/lib/modules/{release}/modules.dep")]


def problems(found_modules, found_kernels):
    """Sentences on what is not as it should be."""
    replaced = [one for one in found_modules if one["name"] in OURS]
    origins = {one["loaded"]["origin"] for one in replaced if one["loaded"]}
    if len(origins) > 1:
        yield ("The loaded modules are a mix of vfio-cxx's and the kernel's. Remove them all (see vfio-cxx(8)) "
               "or boot again.")
    for one in replaced:
        if one["loaded"] and one["loaded_is_next"] is False:
            yield (f"{one['name']} is loaded from another build than {one['next']['file']}, "
                   "which is taken once it is removed, or at the next boot.")
    for kernel in found_kernels:
        disk = kernel["disk"] and kernel["disk"]["origin"]
        if kernel["initramfs"] not in (None, "none", disk):
            yield (f"The initramfs of {kernel['release']} holds other vfio modules than its disk, and they are "
                   f"loaded first: update-initramfs -u -k {kernel['release']}")
