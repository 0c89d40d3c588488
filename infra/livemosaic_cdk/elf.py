"""Strips ELF shared libraries as `strip` does, for any architecture."""

import itertools
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

_MAGIC: Final = b"\x7fELF\x02\x01"
"""ELF, 64 bits, little-endian: both architectures of Lambda."""
_PT_LOAD: Final = 1


class _Segment(NamedTuple):
    """A program header (elf(5), Elf64_Phdr)."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


_HEADER: Final = struct.Struct("<IIQQQQQQ")


@dataclass(frozen=True, slots=True)
class _Move:
    """Old and new file offset of the bytes of one loaded segment."""

    old: int
    size: int
    new: int

    def follow(self, offset: int, size: int) -> int | None:
        inside = self.old <= offset and offset + size <= self.old + self.size
        return self.new + offset - self.old if inside else None


def stripped(image: bytes) -> bytes:
    """Returns a shared library without section headers, symbols and debug info.

    The loaded segments move together. A loader reads program headers only; these point to the same
    bytes as before, at unchanged addresses. `strip` itself would have to be built for the other
    architecture, and breaks libraries that patchelf (auditwheel) has changed. Bytes that are not
    ELF, or have an unexpected layout, are returned unchanged.
    """
    if not image.startswith(_MAGIC):
        return image
    (table,) = struct.unpack_from("<Q", image, 32)
    (count,) = struct.unpack_from("<H", image, 56)
    segments = [
        _Segment(*_HEADER.unpack_from(image, table + i * _HEADER.size)) for i in range(count)
    ]
    loaded = sorted(
        (s for s in segments if s.type == _PT_LOAD and s.filesz), key=lambda s: s.offset
    )
    if not loaded or loaded[0].offset or _overlap(loaded):
        return image
    out, moves = _closed_up(image, loaded)
    new_table = _follow(moves, table, count * _HEADER.size)
    offsets = [_follow(moves, s.offset, s.filesz) if s.filesz else s.offset for s in segments]
    if new_table is None or None in offsets:
        return image
    for i, (segment, offset) in enumerate(zip(segments, offsets, strict=True)):
        _HEADER.pack_into(out, new_table + i * _HEADER.size, *segment._replace(offset=offset or 0))
    struct.pack_into("<QQ", out, 32, new_table, 0)  # e_phoff, e_shoff
    struct.pack_into("<HH", out, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(out)


def _overlap(loaded: list[_Segment]) -> bool:
    return any(a.offset + a.filesz > b.offset for a, b in itertools.pairwise(loaded))


def _closed_up(image: bytes, loaded: list[_Segment]) -> tuple[bytearray, list[_Move]]:
    out, moves = bytearray(), []
    for segment in loaded:
        # The loader maps pages: offset and address must stay congruent modulo the alignment.
        out += bytes((segment.offset - len(out)) % max(segment.align, 1))
        moves.append(_Move(segment.offset, segment.filesz, len(out)))
        out += image[segment.offset : segment.offset + segment.filesz]
    return out, moves


def _follow(moves: list[_Move], offset: int, size: int) -> int | None:
    return next((n for m in moves if (n := m.follow(offset, size)) is not None), None)
