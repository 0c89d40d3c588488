"""What overview cells say of scenes that they do not show, or show in gray. Pure.

Each block of a cell has notes: a few of each kind, and besides whether there are more. The notes
of a cell block are what the notes of all blocks of the cell below come to: so the world has no more
of them than a street. Which they are depends on the notes alone, not on their order.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import groupby
from typing import Final, Literal, Self

NoteKind = Literal["lacks", "unlike", "unread", "gray", "single", "truncated"]
"""Of a scene: it lacks assets; has one of another kind than its mosaic; could not be read; shows
in gray. Of a block: its only band stands for each of several in the blocks beside. Of a search for
scenes: a limit ended it."""
_LEFT_OUT: Final[tuple[NoteKind, ...]] = "lacks", "unlike", "unread"
_GRAY: Final[tuple[NoteKind, ...]] = "gray", "single"
_NAMED: Final = 2
"""Scenes that a block names of each kind."""
_LONGEST: Final = 100
"""Characters of a name, and of a reason, that are kept."""
_MORE: Final = "..."


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One remark on a block of an overview cell."""

    kind: NoteKind
    name: str = ""
    """The id of a scene, or `overview z/x/y` of a block; empty for all that are not named."""
    why: str = ""
    """The reason, unless the kind is one: the limit of a search, what kind of asset it has, why it
    could not be read."""
    assets: tuple[int, ...] = ()
    """Places of the assets concerned, among all assets of the set of cells."""
    lacked: tuple[int, ...] = ()
    """Places of the assets that the scene lacks: a request that names one has no use for it."""

    @classmethod
    def of(
        cls,
        kind: NoteKind,
        name: str = "",
        why: str = "",
        assets: tuple[int, ...] = (),
        lacked: tuple[int, ...] = (),
    ) -> Self:
        """Makes a note; a long name or reason is cut."""
        return cls(kind, name[:_LONGEST], why[:_LONGEST], assets, lacked)

    def concerns(self, wanted: Collection[int], *, named: bool) -> bool:
        """Returns whether it is about the assets of a request, which may itself name them."""
        without = self.lacked if named else ()
        return set(wanted).isdisjoint(without) and not set(wanted).isdisjoint(self.assets)


Notes = tuple[Note, ...]
"""Of a block, a cell or an image, sorted."""


def merged(notes: Iterable[Note]) -> Notes:
    """Returns the notes of a few scenes of each kind, and one for all others of the kind."""
    kinds = groupby(sorted(set(notes)), key=lambda note: note.kind)
    return tuple(sorted(one for _, each in kinds for one in _few([*each])))


def _few(notes: Sequence[Note]) -> Iterator[Note]:
    """Yields the notes of a few scenes, of all notes of one kind."""
    few = sorted({note.name for note in notes} - {""})[:_NAMED]
    yield from (note for note in notes if note.name in few)
    if others := [note for note in notes if note.name not in few]:
        assets = {asset for note in others for asset in note.assets}
        kind, limit = others[0].kind, "" if others[0].name else others[0].why
        yield Note(kind, why=limit, assets=tuple(sorted(assets)))


def above(notes: Mapping[str, Notes]) -> Notes:
    """Returns the notes of the block that stands for a cell whose blocks have these."""
    every = (note for block in notes.values() for note in block)
    return merged(replace(note, kind="gray") if note.kind == "single" else note for note in every)


def own(notes: Notes) -> Notes:
    """Returns the notes of a block without the one that follows from the blocks beside it."""
    return tuple(note for note in notes if note.kind != "single")


def to_texts(notes: Mapping[str, Notes]) -> list[str]:
    """Returns the notes of blocks as the row of a cell keeps them: each once, with its blocks."""
    pairs = sorted((note, name) for name, block in notes.items() for note in block)
    return [
        json.dumps([*astuple(note), " ".join(name for _, name in of_note)], separators=(",", ":"))
        for note, of_note in groupby(pairs, key=lambda pair: pair[0])
    ]


def of_texts(texts: Iterable[str]) -> dict[str, Notes]:
    """Makes the notes of blocks from their texts."""
    found: dict[str, list[Note]] = {}
    for text in texts:
        kind, name, why, assets, lacked, blocks = json.loads(text)
        for block in blocks.split(" "):
            note = Note(kind, name, why, tuple(assets), tuple(lacked))
            found.setdefault(block, []).append(note)
    return {block: tuple(sorted(notes)) for block, notes in found.items()}


@dataclass(frozen=True, slots=True)
class Remarks:
    """What an image of overview cells says of scenes, in the words of one of scenes."""

    left_out: Sequence[tuple[str, str]] = ()
    """Ids of scenes that it does not show, and why; the last may be `...` for more of them."""
    gray: Sequence[str] = ()
    """Ids of scenes, and names of blocks, whose only band stands for each of several."""
    truncated: str = ""
    """Which limit left scenes out; empty if none did."""

    @classmethod
    def of(
        cls, notes: Collection[Note], every: Sequence[str], shown: Sequence[str], *, named: bool
    ) -> Self:
        """Returns the remarks for a request that shows some of the assets of a set.

        `named`: the request itself names its assets. Then scenes that lack one take no part, as
        ever, and are not mentioned.
        """
        wanted = [every.index(name) for name in shown if name in every]
        about = sorted(note for note in notes if note.concerns(wanted, named=named))
        left_out: dict[str, str] = {}
        for note in sorted(_of(_LEFT_OUT, about), key=lambda note: not note.name):
            left_out.setdefault(note.name or _MORE, _reason(note, every, wanted))
        gray = dict.fromkeys(note.name or _MORE for note in _of(_GRAY, about))
        limits = (note.why for note in about if note.kind == "truncated")
        names = sorted(gray, key=lambda name: name == _MORE)
        return cls([*left_out.items()], names, min(limits, default=""))


def _of(kinds: Collection[NoteKind], notes: Iterable[Note]) -> Iterator[Note]:
    return (note for note in notes if note.kind in kinds)


def _reason(note: Note, every: Sequence[str], wanted: Sequence[int]) -> str:
    if not note.name:
        return "and others"
    if note.kind == "unread":
        return note.why
    name = next(every[place] for place in wanted if place in note.assets)[:80]
    if note.kind == "lacks":
        return f"has no asset {name!r}"
    return f"has another kind of asset {name!r}: {note.why}"
