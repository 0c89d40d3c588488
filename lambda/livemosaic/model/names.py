"""Names that were probably meant: misspelled parameters, colormaps and properties. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_IGNORED: Final = str.maketrans("", "", "-_ ")
_BRACKETS: Final = re.compile(r"\[[^\]]*\]?$")
"""As clients of PHP and Rails write lists."""


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Returns the known name that `given` misspells; None if it is near to none.

    Near is a difference in case, hyphens, underscores and brackets at the end (`ids[]`) alone, and
    beyond three characters an edit (a character added, left out, replaced, or swapped with the
    next), two beyond five.
    """
    plain = _plain(given)
    edits = {name: _edits(plain, other) for name in known if _may_be(plain, other := _plain(name))}
    near = [name for name, count in edits.items() if count <= _allowed(plain, _plain(name))]
    return min(near, key=lambda name: (edits[name], name), default=None)


def suggested(given: str, known: Iterable[str]) -> str:
    """Returns a name in quotes, and the known one that was probably meant, for a message."""
    meant = nearest(given, known)
    return repr(given[:80]) + (f" (did you mean {meant!r}?)" if meant else "")


def _plain(name: str) -> str:
    return _BRACKETS.sub("", name.casefold().translate(_IGNORED)) or name


def _allowed(one: str, other: str) -> int:
    shorter = min(len(one), len(other))
    return (shorter > 3) + (shorter > 5)


def _may_be(one: str, other: str) -> bool:
    allowed = _allowed(one, other)
    return abs(len(one) - len(other)) <= allowed if allowed else one == other


def _edits(one: str, other: str) -> int:
    """Returns the optimal string alignment distance: Damerau-Levenshtein, where no part of the text
    is edited twice."""
    before: Sequence[int] = ()
    last: Sequence[int] = range(len(other) + 1)
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            least = min(
                last[column] + 1, now[column - 1] + 1, last[column - 1] + (letter != wanted)
            )
            swapped = row > 1 < column and (one[row - 2], letter) == (wanted, other[column - 2])
            now.append(min(least, before[column - 2] + 1) if swapped else least)
        before, last = last, now
    return last[-1]
