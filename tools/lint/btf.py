# SPDX-License-Identifier: GPL-2.0
"""Reads BTF, the kernel's compact type information (Documentation/bpf/btf.rst), far enough to
describe the layout of a struct, union or enum, or the prototype of a function, in a way that two of
them can be compared."""
import struct

(INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO,
 VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64) = range(1, 20)

MAGIC = 0xEB9F
POINTER = 8  # bytes, on all machines that have VFIO

# What follows the common three words of a type: bytes once, bytes for each of vlen.
EXTRA = {INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8),
         FUNC_PROTO: (0, 8), VAR: (4, 0), DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12)}

# The same type by its names in DWARF of different producers.
SPELLING = {"_Bool": "bool"}


class Btf:
    def __init__(self, data, base=None):
        """base: the BTF that a split one, of a module, goes on from."""
        magic, _, _, header, types, types_size, strings, strings_size = \
            struct.unpack_from("<HBBIIIII", data)
        if magic != MAGIC:
            raise ValueError("not little-endian BTF")
        self.base = base
        self.first = base.end if base else 1
        self.strings_first = base.strings_end if base else 0
        self.strings = data[header + strings:header + strings + strings_size]
        self.strings_end = self.strings_first + strings_size
        self.data = data[header + types:header + types + types_size]
        self.offsets = []
        self.names = {}
        at = 0
        while at < len(self.data):
            name, info = struct.unpack_from("<II", self.data, at)
            kind, vlen = info >> 24 & 0x1f, info & 0xffff
            if kind in (STRUCT, UNION, ENUM, ENUM64, FUNC) and name:
                self.names.setdefault((kind, self.string(name)), self.first + len(self.offsets))
            self.offsets.append(at)
            once, each = EXTRA.get(kind, (0, 0))
            at += 12 + once + each * vlen
        self.end = self.first + len(self.offsets)

    def string(self, offset):
        if offset < self.strings_first:
            return self.base.string(offset)
        offset -= self.strings_first
        return self.strings[offset:self.strings.index(b"\0", offset)].decode()

    def type(self, number):
        """(kind, name, flag, vlen, size or type, offset of what follows, its bytes)"""
        if number < self.first:
            return self.base.type(number)
        at = self.offsets[number - self.first]
        name, info, size = struct.unpack_from("<III", self.data, at)
        return info >> 24 & 0x1f, self.string(name), info >> 31, info & 0xffff, size, at + 12, self

    def find(self, kinds, name):
        for kind in kinds:
            if (kind, name) in self.names:
                return self.names[kind, name]
        return self.base.find(kinds, name) if self.base else None

    def size(self, number):
        kind, _, _, _, size, at, owner = self.type(number)
        if kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT):
            return size
        if kind == PTR:
            return POINTER
        if kind == ARRAY:
            element, _, count = struct.unpack_from("<III", owner.data, at)
            return self.size(element) * count
        if kind in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG):
            return self.size(size)
        return 0

    def spell(self, number):
        """The type's name, structs by name alone, prototypes in full."""
        if number == 0:
            return "void"
        kind, name, flag, vlen, target, at, owner = self.type(number)
        if kind in (STRUCT, UNION, ENUM, ENUM64, FWD):
            word = {STRUCT: "struct", UNION: "union",
                    FWD: "union" if flag else "struct"}.get(kind, "enum")
            return f"{word} {name or '{}'}"
        if kind == PTR:
            return f"{self.spell(target)} *"
        if kind == ARRAY:
            element, _, count = struct.unpack_from("<III", owner.data, at)
            return f"{self.spell(element)}[{count}]"
        if kind == CONST:
            return f"const {self.spell(target)}"
        if kind in (VOLATILE, RESTRICT, TYPE_TAG):
            return self.spell(target)
        if kind == FUNC_PROTO:
            arguments = [self.spell(struct.unpack_from("<II", owner.data, at + 8 * i)[1])
                         for i in range(vlen)]
            return f"{self.spell(target)}({', '.join(arguments)})"
        if kind == INT:
            bits = struct.unpack_from("<I", owner.data, at)[0]
            return SPELLING.get(name, f"{'s' if bits >> 24 & 1 else 'u'}{8 * target}")
        return name

    def members(self, number, base=0, path=""):
        kind, _, flag, vlen, _, at, owner = self.type(number)
        for i in range(vlen):
            name, target, offset = struct.unpack_from("<III", owner.data, at + 12 * i)
            bits = offset >> 24 if flag else 0
            offset = base + (offset & 0xffffff if flag else offset)
            name = path + owner.string(name)
            inner = target
            while self.type(inner)[0] in (TYPEDEF, CONST, VOLATILE, TYPE_TAG):
                inner = self.type(inner)[4]
            width = f":{bits}" if bits else ""
            yield (f"{offset // 8:4}.{offset % 8}{width} size {self.size(target):4} "
                   f"{name or '(unnamed)'}: {self.spell(target)}")
            # What is embedded counts as part of it.
            if self.type(inner)[0] in (STRUCT, UNION):
                yield from self.members(inner, offset, f"{name}." if name else path)

    def prototype(self, name):
        """A function's prototype, or None without such a function."""
        number = self.find((FUNC,), name)
        return None if number is None else self.spell(self.type(number)[4])

    def describe(self, name):
        """A list of lines, one a member or enumerator, or None without such a type."""
        word, name = name.split()
        number = self.find({"struct": (STRUCT,), "union": (UNION,),
                            "enum": (ENUM, ENUM64)}[word], name)
        if number is None:
            return None
        kind, _, _, vlen, size, at, owner = self.type(number)
        lines = [f"size {size}"]
        if kind == ENUM:
            for i in range(vlen):
                label, value = struct.unpack_from("<Ii", owner.data, at + 8 * i)
                lines.append(f"{owner.string(label)} = {value}")
        elif kind == ENUM64:
            for i in range(vlen):
                label, low, high = struct.unpack_from("<III", owner.data, at + 12 * i)
                lines.append(f"{owner.string(label)} = {high << 32 | low:#x}")
        else:
            lines.extend(self.members(number))
        return lines
