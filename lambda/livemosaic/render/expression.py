"""Band math: a bounded grammar in front of numexpr. Pure.

numexpr hands its text to Python's `eval` and folds constants on the way, so `9**9**9` never
returns. Here a text is read by our own parser first, and what numexpr gets is written anew: only
operators, calls of known functions, and variables `v0`…, `c0`… It folds nothing, as numbers are
variables too.

From loose to tight: `|`, `&`, one comparison, `+ -`, `* / %`, unary `+ - ~`, `**`. This is Python
except that `b1 > 0 & b2 > 0` needs no parentheses.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numexpr
import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels

MAX_LENGTH: Final = 1000
"""Characters of a text, unless a server has it otherwise: it travels in a URL, in cache keys and in
band names."""
MAX_BLOCKS: Final = 8
"""Output bands: each is a float32 array as large as the tile."""
MAX_NODES: Final = 200
"""Operators and operands of a text: each is one pass over the pixels, and below the 255 registers
of numexpr's virtual machine."""
MAX_DEPTH: Final = 30
"""Signs, parentheses and calls within each other, unless a server has it otherwise: the parser
recurses once for each."""
MAX_OPERANDS: Final = 31
"""Different bands and numbers of one block: numpy 1 iterates over 32 arrays, the result among
them."""
MAX_EXPONENT: Final = 4
"""Enough for band indices; counts of 16 bits leave float32 at the power of 8."""

_FUNCTIONS: Final = {
    "where": 3,
    "abs": 1,
    "sqrt": 1,
    "exp": 1,
    "log": 1,
    "log10": 1,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "arctan2": 2,
    "minimum": 2,
    "maximum": 2,
}
"""Arguments by name; numexpr's `min` and `max` reduce the whole array, so they are not here."""

_COMPARISONS: Final = ("<", "<=", ">", ">=", "==", "!=")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\*\*|[<>=!]=|[-+*/%<>&|~(),;])"
    r"|(?P<end>\Z))"
)
_NTH_BAND: Final = re.compile(r"b([1-9][0-9]{0,3})")
_ASSET_BAND: Final = re.compile(r"(.+)_b[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an operator may set."""

    length: int = MAX_LENGTH
    depth: int = MAX_DEPTH


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Block:
    """One output band."""

    text: str
    """As the user wrote it, with single spaces and none around it."""
    code: str
    """What numexpr evaluates, over `v0`… (names) and `c0`… (numbers)."""
    names: tuple[str, ...]
    numbers: tuple[float, ...]

    def evaluate(self, bands: Mapping[str, NDArray[np.float32]]) -> NDArray[Any]:
        """Bands by name → shape of a band, or () where the block names none; float or bool."""
        operands: dict[str, Any] = {f"v{i}": bands[name] for i, name in enumerate(self.names)}
        # As float32: next to a Python float numexpr would compute in float64.
        operands |= {f"c{i}": np.float32(number) for i, number in enumerate(self.numbers)}
        result: NDArray[Any] = numexpr.evaluate(self.code, local_dict=operands, global_dict={})
        return result


@dataclass(frozen=True, slots=True)
class Expression:
    """Band math that has passed the grammar."""

    blocks: tuple[Block, ...]

    @staticmethod
    def parse(text: str, bounds: Bounds = DEFAULT_BOUNDS) -> "Expression":
        """Blocks separated by `;`, empty ones ignored; InvalidRequestError says what and where."""
        if len(text) > bounds.length:
            raise InvalidRequestError(
                f"expression has {len(text)} characters; at most {bounds.length} are allowed"
            )
        return Expression(_Parser(text, bounds.depth).blocks())

    @property
    def names(self) -> frozenset[str]:
        """What stands for bands, as written."""
        return frozenset(self._names_in_order())

    def assets(self, known: Collection[str]) -> tuple[str, ...]:
        """Asset keys among `known` that the names refer to, in order of first appearance.

        A name that is a key is that asset, even where it looks like `b1` or `nir_b1`. Names that
        refer to none are left out: `apply` refuses them when it knows the bands.
        """
        found = (_asset(name, known) for name in self._names_in_order())
        return tuple(dict.fromkeys(asset for asset in found if asset is not None))

    def strangers(self, known: Collection[str]) -> tuple[str, ...]:
        """Names that are neither `b1`… nor of an asset among `known`, in order."""
        names = (n for n in self._names_in_order() if not _NTH_BAND.fullmatch(n))
        return tuple(n for n in names if _asset(n, known) is None)

    def apply(self, pixels: Pixels, asset: str | None = None) -> Pixels:
        """Bands → one float32 band per block, named by the block's text.

        A pixel at which any block is not finite becomes invalid, and zero in every band. `asset` is
        the key of the only asset that was read, where the bands are named `b1`… without it.
        InvalidRequestError for a name that is no band.
        """
        with np.errstate(all="ignore"):
            bands = {name: _band(name, pixels, asset) for name in self.names}
            data = np.empty((len(self.blocks), *pixels.valid.shape), np.float32)
            for out, block in zip(data, self.blocks, strict=True):
                out[...] = block.evaluate(bands)
        valid = pixels.valid & np.isfinite(data).all(axis=0)
        np.copyto(data, 0, where=~valid)
        return Pixels(data, valid, tuple(block.text for block in self.blocks))

    def _names_in_order(self) -> Iterator[str]:
        return (name for block in self.blocks for name in block.names)


def _asset(name: str, known: Collection[str]) -> str | None:
    if name in known:
        return name
    split = _ASSET_BAND.fullmatch(name)
    return split[1] if split and split[1] in known else None


def _band(name: str, pixels: Pixels, asset: str | None) -> NDArray[np.float32]:
    """Shape (height, width)."""
    index = _index(name, [_qualified(band, asset) for band in pixels.names])
    if index is None or index >= len(pixels.names):
        raise InvalidRequestError(
            f"expression names {name!r}; the bands are {', '.join(pixels.names)}"
        )
    if np.iscomplexobj(pixels.data):
        raise InvalidRequestError(f"expression over {pixels.data.dtype} pixels is not possible")
    band: NDArray[np.float32] = pixels.data[index].astype(np.float32)
    return band


def _qualified(band: str, asset: str | None) -> str:
    return band if asset is None or _ASSET_BAND.fullmatch(band) else f"{asset}_{band}"


def _index(name: str, bands: Sequence[str]) -> int | None:
    """An asset's first band, else a band's own name, else the n-th: the order of `_asset`."""
    for index, band in enumerate(bands):
        split = _ASSET_BAND.fullmatch(band)
        if split and split[1] == name:
            return index
    if name in bands:
        return bands.index(name)
    nth = _NTH_BAND.fullmatch(name)
    return int(nth[1]) - 1 if nth else None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`number`, `name`, `sign` or `end`."""
    text: str
    start: int
    """Offset in the whole expression."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A piece of numexpr code."""

    code: str
    start: int
    is_condition: bool = False
    """Whether it is bool; a number otherwise."""


@dataclass(slots=True)
class _Operands:
    """Variables of the block that is being read."""

    names: dict[str, str] = field(default_factory=dict)
    numbers: dict[float, str] = field(default_factory=dict)

    def name(self, name: str) -> str:
        return self.names.setdefault(name, f"v{len(self.names)}")

    def number(self, number: float) -> str:
        return self.numbers.setdefault(number, f"c{len(self.numbers)}")

    def __len__(self) -> int:
        return len(self.names) + len(self.numbers)


class _Parser:
    """Recursive descent, one method per level of precedence."""

    def __init__(self, text: str, max_depth: int) -> None:
        self._text = text
        self._max_depth = max_depth
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        self._operands = _Operands()
        self._nodes = 0
        self._depth = 0

    def blocks(self) -> tuple[Block, ...]:
        found: list[Block] = []
        while self._token.kind != "end":
            if self._accept(";"):
                continue
            if len(found) == MAX_BLOCKS:
                raise _refused(f"more than {MAX_BLOCKS} blocks", self._token.start)
            found.append(self._block())
        if not found:
            raise InvalidRequestError("expression is empty")
        return tuple(found)

    def _block(self) -> Block:
        start, self._operands = self._token.start, _Operands()
        code = self._number(self._any()).code
        if self._token.kind != "end" and self._token.text != ";":
            raise self._unexpected("an operator")
        if len(self._operands) > MAX_OPERANDS:
            raise _refused(f"more than {MAX_OPERANDS} different bands and numbers", start)
        text = " ".join(self._text[start : self._token.start].split())
        return Block(text, code, tuple(self._operands.names), tuple(self._operands.numbers))

    def _any(self) -> _Term:
        return self._chain(self._all, ("|",), self._condition)

    def _all(self) -> _Term:
        return self._chain(self._comparison, ("&",), self._condition)

    def _comparison(self) -> _Term:
        left = self._sum()
        sign = self._accept(*_COMPARISONS)
        if not sign:
            return left
        term = self._join(self._number(left), sign, self._number(self._sum()), is_condition=True)
        if self._token.text in _COMPARISONS:
            raise _refused("a chained comparison, write (a < b) & (b < c),", self._token.start)
        return term

    def _sum(self) -> _Term:
        return self._chain(self._product, ("+", "-"), self._number)

    def _product(self) -> _Term:
        return self._chain(self._unary, ("*", "/", "%"), self._number)

    def _unary(self) -> _Term:
        start = self._token.start
        sign = self._accept("+", "-", "~")
        if not sign:
            return self._power()
        operand = self._nested(self._unary)
        operand = self._condition(operand) if sign == "~" else self._number(operand)
        return self._node(f"({sign}{operand.code})", start, is_condition=sign == "~")

    def _power(self) -> _Term:
        base = self._atom()
        if not self._accept("**"):
            return base
        token = self._token
        exponent = float(token.text) if self._accept_kind("number") else math.nan
        if exponent not in range(MAX_EXPONENT + 1) or self._token.text == "**":
            raise _refused(f"the exponent of ** is not one of 0 to {MAX_EXPONENT}", token.start)
        # As a variable too: numexpr writes a constant exponent out as multiplications of its base,
        # so the code of `((b1**4)**4)**…` would grow fourfold at each level and never end.
        power = self._operands.number(exponent)
        return self._node(f"({self._number(base).code} ** {power})", base.start)

    def _atom(self) -> _Term:
        token = self._token
        if self._accept("("):
            term = self._nested(self._any)
            self._expect(")")
            return term
        if self._accept_kind("number"):
            return self._node(self._constant(token), token.start)
        if self._accept_kind("name"):
            if self._accept("("):
                return self._call(token)
            return self._node(self._operands.name(token.text), token.start)
        raise self._unexpected("a band, a number or (")

    def _constant(self, token: _Token) -> str:
        value = float(token.text)
        if value > float(np.finfo(np.float32).max):
            raise _refused(f"{token.text} is too large for float32", token.start)
        return self._operands.number(value)

    def _call(self, name: _Token) -> _Term:
        arity = _FUNCTIONS.get(name.text)
        if arity is None:
            raise _refused(f"{name.text} is not one of {', '.join(_FUNCTIONS)}", name.start)
        arguments = [self._nested(self._any)]
        while self._accept(","):
            arguments.append(self._nested(self._any))
        self._expect(")")
        if len(arguments) != arity:
            problem = f"{name.text} takes {arity} arguments, not {len(arguments)},"
            raise _refused(problem, name.start)
        kinds = [self._condition if name.text == "where" else self._number] + [self._number] * 2
        codes = [kind(term).code for kind, term in zip(kinds, arguments, strict=False)]
        return self._node(f"{name.text}({', '.join(codes)})", name.start)

    def _chain(
        self,
        operand: Callable[[], _Term],
        signs: Collection[str],
        kind: Callable[[_Term], _Term],
    ) -> _Term:
        """Left-associative operators of one precedence; `kind` checks what they join."""
        left = operand()
        while sign := self._accept(*signs):
            left = self._join(
                kind(left), sign, kind(operand()), is_condition=kind == self._condition
            )
        return left

    def _join(self, left: _Term, sign: str, right: _Term, *, is_condition: bool) -> _Term:
        return self._node(f"({left.code} {sign} {right.code})", left.start, is_condition)

    def _condition(self, term: _Term) -> _Term:
        if not term.is_condition:
            raise _refused("a comparison such as b1 > 0 is needed", term.start)
        return term

    def _number(self, term: _Term) -> _Term:
        """A condition counts as 1 or 0, as in `(b1 > 0) * b2`."""
        if not term.is_condition:
            return term
        one, zero = self._operands.number(1.0), self._operands.number(0.0)
        return self._node(f"where({term.code}, {one}, {zero})", term.start)

    def _node(self, code: str, start: int, is_condition: bool = False) -> _Term:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _refused(f"more than {MAX_NODES} operators and operands", start)
        return _Term(code, start, is_condition)

    def _nested(self, parse: Callable[[], _Term]) -> _Term:
        if self._depth == self._max_depth:
            raise _refused(f"nested deeper than {self._max_depth}", self._token.start)
        self._depth += 1
        term = parse()
        self._depth -= 1
        return term

    def _accept(self, *signs: str) -> str:
        """The sign that was there and is now behind us, or an empty string."""
        text = self._token.text if self._token.kind == "sign" else ""
        return text if text in signs and self._accept_kind("sign") else ""

    def _accept_kind(self, kind: str) -> bool:
        found = self._token.kind == kind
        if found:
            self._token = next(self._tokens)
        return found

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._unexpected(sign)

    def _unexpected(self, wanted: str) -> InvalidRequestError:
        token = self._token
        if token.kind == "end":
            return InvalidRequestError(f"expression ends where {wanted} is needed")
        # The commonest way to lose an operator: + is a space in a query string.
        hint = "; in a URL write + as %2B" if self._text[: token.start].endswith(" ") else ""
        return _refused(f"{token.text!r} where {wanted} is needed", token.start, hint)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while match := _TOKEN.match(text, position):
        kind = match.lastgroup or "end"
        yield _Token(kind, match[kind], match.start(kind))
        position = match.end()
    start = position + len(text[position:]) - len(text[position:].lstrip())
    raise _refused(f"{text[start]!r} is not allowed", start)


def _refused(problem: str, offset: int, hint: str = "") -> InvalidRequestError:
    return InvalidRequestError(f"expression: {problem} at character {offset + 1}{hint}")
