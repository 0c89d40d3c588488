"""Writes overview cells: only blocks that change are encoded, all others are copied as bytes.

The bytes follow from the profile and the values alone: a cell that was rewritten block by block, in
any order, equals one that is written at once.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.write.codec import (
    UnusableCellError,
    decode,
    decode_mask,
    encode,
    encode_mask,
    predictor_of,
)
from livemosaic.cog.write.halving import halve
from livemosaic.cog.write.header import header
from livemosaic.cog.write.profile import CellProfile, Place
from livemosaic.cog.write.stored import Block, Encoded, StoredCell, open_cell
from livemosaic.storage.objects import Buffer


def rewrite(
    profile: CellProfile,
    old: Buffer | None,
    changed: Mapping[Place, Block | None],
    pool: Executor | None = None,
) -> bytes:
    """Returns the bytes of a cell in which some blocks of the full resolution are changed.

    `changed` has blocks by column and row; None for one without a valid pixel. What it does not
    name stays as in `old`, and has no valid pixel where `old` is None. UnusableCellError if `old`
    is damaged or has another profile: then write all blocks anew, without it. Blocks are encoded in
    the threads of `pool`, if given.
    """
    writer = CellWriter(profile, old, pool)
    for place, block in changed.items():
        writer.put(place, block)
    return writer.finish()


class CellWriter:
    """Changes the blocks of one cell, one after the other; `rewrite` does so at once.

    Holds the encoded blocks and, decoded, the changed ones of overviews: at most a third of the
    pixels of the full resolution. Not thread-safe. With a `pool` of threads, blocks are encoded
    there, side by side: libdeflate holds no lock of Python. Arrays must not change until `finish`.
    """

    def __init__(
        self, profile: CellProfile, old: Buffer | None = None, pool: Executor | None = None
    ) -> None:
        """UnusableCellError if `old` is damaged or has another profile."""
        self._profile = profile
        self._old = None if old is None else _opened(profile, old)
        self._predictor = predictor_of(profile.dtype, profile.palette is not None)
        self._pool = pool
        self._encoded: dict[tuple[int, Place], Callable[[], Encoded]] = {}
        """Waits for the bytes of a changed block, by level and place."""
        self._changed: list[dict[Place, Block]] = [{} for _ in range(profile.levels)]
        """Decoded blocks of each overview that are not yet encoded."""

    def put(self, place: Place, block: Block | None) -> None:
        """Replaces a block of the full resolution, by column and row; None: no valid pixel.

        Values (bands, height, width) of the profile's dtype, mask (height, width). ValueError for
        another place, shape or dtype. Values of invalid pixels are dropped, negative zero is zero,
        and one NaN is as good as another.
        """
        if not (0 <= place[0] < self._profile.across and 0 <= place[1] < self._profile.across):
            raise ValueError(f"no block {place} in a cell of {self._profile.across} blocks a side")
        self._set(0, place, self._normal(block))

    def finish(self) -> bytes:
        """Returns the cell's bytes, with all changes so far; more may follow."""
        for level in range(1, self._profile.levels):
            for place, block in self._changed[level].items():
                self._set(level, place, block)
            self._changed[level] = {}
        return self._joined()

    def _normal(self, block: Block | None) -> Block:
        profile, shape = self._profile, self._profile.block_shape
        if block is None:
            return np.zeros(shape, profile.dtype), np.zeros(shape[1:], np.bool_)
        data, valid = block
        if data.shape != shape or valid.shape != shape[1:]:
            raise ValueError(f"a block of {data.shape} with a mask of {valid.shape}")
        if data.dtype != profile.dtype or valid.dtype != np.bool_:
            raise ValueError(f"a block of {data.dtype} with a mask of {valid.dtype}")
        return _cleaned(data, valid), valid

    def _set(self, level: int, place: Place, block: Block) -> None:
        """Encodes a block, and puts its halving into the overview's block above it."""
        data, valid = block
        self._encoded[level, place] = self._encode(block)
        if level + 1 == self._profile.levels:
            return
        above, edge = (place[0] // 2, place[1] // 2), self._profile.block // 2
        x, y = place[0] % 2 * edge, place[1] % 2 * edge
        whole, mask = self._above(level + 1, above)
        half, half_valid = halve(data, valid, self._profile.resampling_of())
        whole[:, y : y + edge, x : x + edge] = half
        mask[y : y + edge, x : x + edge] = half_valid

    def _encode(self, block: Block) -> Callable[[], Encoded]:
        if self._pool is not None:
            return self._pool.submit(_encoded, *block, self._predictor).result
        done = _encoded(*block, self._predictor)
        return lambda: done

    def _above(self, level: int, place: Place) -> Block:
        """Returns an overview's block to change."""
        if place not in self._changed[level]:
            profile, (values, mask) = self._profile, self._pair(level, place)
            data = decode(values, profile.block_shape, profile.dtype, self._predictor)
            self._changed[level][place] = data, decode_mask(mask, profile.block_shape[1:])
        return self._changed[level][place]

    def _joined(self) -> bytes:
        lengths: list[tuple[list[int], list[int]]] = []
        blocks: list[list[Buffer]] = []
        for level in range(self._profile.levels):
            pairs = [self._pair(level, place) for place in _places(self._profile.across >> level)]
            lengths.append(([len(pair[0]) for pair in pairs], [len(pair[1]) for pair in pairs]))
            blocks.append([body for pair in pairs for body in pair])
        start = header(self._profile, lengths)
        return b"".join([start, *(body for level in reversed(blocks) for body in level)])

    def _pair(self, level: int, place: Place) -> Encoded:
        if (found := self._encoded.get((level, place))) is not None:
            return found()
        return (b"", b"") if self._old is None else self._old.encoded(level, place)


def _opened(profile: CellProfile, old: Buffer) -> StoredCell:
    cell = open_cell(old)
    if not cell.has(profile):
        raise UnusableCellError("a cell of another profile")
    return cell


def _encoded(data: NDArray[Any], valid: NDArray[np.bool_], predictor: int) -> Encoded:
    return encode(data, predictor), encode_mask(valid)


def _places(across: int) -> list[Place]:
    return [(x, y) for y in range(across) for x in range(across)]


def _cleaned(data: Any, valid: Any) -> Any:
    """Returns values of which equal ones are equal bytes: zero where invalid, one zero, one NaN."""
    if data.dtype.kind != "f":
        return data if valid.all() else np.where(valid, data, data.dtype.type(0))
    out = np.where(valid, data, data.dtype.type(0)) + data.dtype.type(0)  # -0.0 + 0.0 is 0.0
    np.copyto(out, np.nan, where=out != out)
    return out
