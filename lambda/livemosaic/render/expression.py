"""Band math: a bounded grammar in front of numexpr. Pure.

numexpr hands its text to Python's `eval` and folds constants on the way, so `9**9**9` never
returns. Here `_scan` checks a text token by token, Python's parser finds which operands belong to
which operator, and `_Writer` writes what numexpr gets anew: only operators, calls of known
functions, and variables `v0`…. numexpr folds nothing, as numbers are variables too.

From loose to tight: `|`, `&`, one comparison, `+ -`, `* / %`, unary `+ - ~`, `**`. This is Python
except that `b1 > 0 & b2 > 0` needs no parentheses: Python's parser is given `and` for `&`.
"""

import ast
import re
from collections.abc import Collection, KeysView, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numexpr
import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels, rows_of
from livemosaic.render.stack.bands import check_position

MAX_LENGTH: Final = 1000
"""Characters of an expression, by default: it travels in a URL, in cache keys and in band names."""
MAX_BANDS: Final = 8
"""Output bands: each is a float32 array as large as the tile."""
MAX_NODES: Final = 200
"""Operators and operands: each is a pass over the pixels; numexpr's machine has 255 registers."""
MAX_DEPTH: Final = 30
"""Signs, parentheses and calls within each other, by default: parsers recurse for each."""
MAX_OPERANDS: Final = 31
"""Different bands and numbers in one output band: with the result, the 32 arrays of numpy 1."""
MAX_EXPONENT: Final = 4
"""Enough for band indices; counts of 16 bits leave float32 at the power of 8."""
EXPRESSION_DTYPE: Final = np.dtype(np.float32)
"""The data type of output bands."""
_PART: Final = 1 << 20
"""Pixels that are computed at once, which bounds the arrays beside a large image."""

_FUNCTIONS: Final = {
    "where": 3,
    **dict.fromkeys(("abs", "sqrt", "exp", "log", "log10", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("arctan2", "minimum", "maximum"), 2),
}
"""Arguments by name; numexpr's `min` and `max` reduce the whole array, so they are not here."""

_LARGEST: Final = float(np.finfo(np.float32).max)
_BLOCK: Final = re.compile(r"[^\s;][^;]*")
_TOKEN: Final = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>\*\*|[<>=!]=|[-+*/%<>&|])"
    r"|(?P<mark>[(),~])"
    r"|(?P<end>\Z)"
    r"|(?P<other>\S)"
)
_PYTHON: Final = {"&": "and", "|": "or"}  # looser than comparisons, as Python's own & is not
_NTH_BAND: Final = re.compile(r"b[1-9][0-9]{0,3}")
_ASSET_BAND: Final = re.compile(r"(.+)_b[1-9][0-9]{0,3}")

_Token = re.Match[str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of an expression that a server's settings may change."""

    length: int = MAX_LENGTH
    depth: int = MAX_DEPTH


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Band:
    """One output band of an expression."""

    text: str
    """As the user wrote it, with single spaces and none around it."""
    code: str
    """What numexpr evaluates; its variables `v0`… are the operands, in order."""
    operands: tuple[str | float, ...]
    """Names of input bands, and numbers."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Band math that has passed the grammar."""

    bands: tuple[Band, ...]

    @staticmethod
    def parse(text: str, bounds: Bounds = DEFAULT_BOUNDS) -> "Expression":
        """Bands separated by `;`, blank ones ignored; InvalidRequestError says what and where."""
        if len(text) > bounds.length:
            raise InvalidRequestError(
                f"expression has {len(text)} characters; at most {bounds.length} are allowed"
            )
        blocks = list(_BLOCK.finditer(text))
        if not blocks:
            raise InvalidRequestError("expression is empty")
        if len(blocks) > MAX_BANDS:
            raise _refused(f"more than {MAX_BANDS} blocks", blocks[MAX_BANDS])
        writer = _Writer()
        return Expression(tuple(writer.band(block, bounds.depth) for block in blocks))

    @property
    def names(self) -> KeysView[str]:
        """Names of the input bands, as the user wrote them, in order of first appearance."""
        operands = (operand for band in self.bands for operand in band.operands)
        return dict.fromkeys(x for x in operands if isinstance(x, str)).keys()

    def assets(self, known: Collection[str]) -> tuple[str, ...]:
        """Asset keys among `known` that the names refer to, in order of first appearance.

        A name that is a key is that asset, even where it looks like `b1` or `nir_b1`. Names that
        refer to none are left out: `apply` refuses them when it knows the bands.
        """
        found = (_asset(name, known) for name in self.names)
        return tuple(dict.fromkeys(asset for asset in found if asset is not None))

    def strangers(self, known: Collection[str]) -> tuple[str, ...]:
        """Names that are neither `b1`… nor of an asset among `known`, in order."""
        names = (name for name in self.names if not _NTH_BAND.fullmatch(name))
        return tuple(name for name in names if _asset(name, known) is None)

    def check_positions(self, pixels: Pixels) -> None:
        """Raises `InvalidRequestError` where `b4` may be another band in other scenes: where assets
        before it have more than one."""
        named = {split and split[1] for split in map(_ASSET_BAND.fullmatch, pixels.names)}
        for name in self.names - {*pixels.names, *named}:
            if _NTH_BAND.fullmatch(name) and int(name[1:]) <= len(pixels.names):
                check_position(pixels.names, int(name[1:]) - 1)

    def apply(self, pixels: Pixels, asset: str | None = None) -> Pixels:
        """Evaluates each output band over the pixels, as float32, and names it by its text.

        A pixel at which any output band is not finite becomes invalid, and zero in every band.
        `asset` is the key of the only asset that was read, where the bands are named `b1`… without
        it. InvalidRequestError for a name that is no band.
        """
        rows, width = rows_of(pixels.valid), pixels.valid.shape[1]
        data = np.zeros((len(self.bands), *pixels.valid.shape), EXPRESSION_DTYPE)
        valid = pixels.valid.copy()
        step = max(1, _PART // width)
        for top in range(rows.start, max(rows.stop, rows.start + 1), step):
            part = slice(top, min(top + step, rows.stop))
            own = Pixels(pixels.data[:, part], pixels.valid[part], pixels.names)
            self._evaluate(own, asset, data[:, part], valid[part])
        return Pixels(data, valid, tuple(band.text for band in self.bands))

    def _evaluate(
        self, pixels: Pixels, asset: str | None, data: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Fills `data`, shape (output bands, height, width), and narrows `valid`."""
        with np.errstate(all="ignore"):
            inputs = {name: _input(name, pixels, asset) for name in self.names}
            for out, band in zip(data, self.bands, strict=True):
                # Numbers as float32: next to a Python float numexpr would compute in float64.
                values = (inputs[x] if isinstance(x, str) else np.float32(x) for x in band.operands)
                variables = {f"v{i}": value for i, value in enumerate(values)}
                out[...] = numexpr.evaluate(band.code, local_dict=variables, global_dict={})
                valid &= np.isfinite(out)
        np.copyto(data, 0, where=~valid)


def _asset(name: str, known: Collection[str]) -> str | None:
    if name in known:
        return name
    split = _ASSET_BAND.fullmatch(name)
    return split[1] if split and split[1] in known else None


def _input(name: str, pixels: Pixels, asset: str | None) -> NDArray[np.float32]:
    """Shape (height, width)."""
    own = [b if asset is None or _ASSET_BAND.fullmatch(b) else f"{asset}_{b}" for b in pixels.names]
    assets = [split and split[1] for split in map(_ASSET_BAND.fullmatch, own)]
    # An asset's first band, else a band's own name, else the n-th: the order of `_asset`.
    known = [*assets, *own, *(f"b{n + 1}" for n in range(len(own)))]
    if name not in known:
        raise InvalidRequestError(
            f"expression names {name!r}; the bands are {', '.join(pixels.names)}"
        )
    if np.iscomplexobj(pixels.data):
        raise InvalidRequestError(f"expression over {pixels.data.dtype} pixels is not possible")
    band: NDArray[np.float32] = pixels.data[known.index(name) % len(own)].astype(np.float32)
    return band


def _scan(block: _Token, max_depth: int) -> list[_Token]:
    """Tokens of a block; InvalidRequestError if Python's parser should not be given them."""
    tokens = list(_TOKEN.finditer(block.string, *block.span()))
    last = ""  # the token before
    operand: str | None = None  # what an operand has just ended with; None where one is needed
    nested = ""  # what is open: signs, `(`, and `f` for the bracket of a call
    for token in tokens:
        kind, sign = token.lastgroup, token[0]
        is_power = last == "**" or (operand == "exponent" and sign == "**")
        if is_power and (kind != "number" or float(sign) not in range(MAX_EXPONENT + 1)):
            raise _refused(f"the exponent of ** is not one of 0 to {MAX_EXPONENT}", token)
        if kind == "number" and float(sign) > _LARGEST:
            raise _refused(f"{sign} is too large for float32", token)
        is_call = operand == "name" and sign == "("
        if operand and not is_call:
            nested = nested.rstrip("+-~")  # a sign ends with its operand
        if not operand and kind in ("name", "number"):
            operand = "exponent" if last == "**" else kind
        elif not operand and sign in ("+", "-", "~", "("):
            nested += sign
        elif is_call:
            operand, nested = None, nested + "f"
        elif operand and (kind == "operator" or (sign == "," and nested.endswith("f"))):
            operand = None
        elif operand and sign == ")" and nested:
            operand, nested = sign, nested[:-1]
        elif not operand or nested or kind != "end":
            wanted = ")" if nested else "an operator"
            raise _unexpected(token, wanted if operand else "a band, a number or (")
        if len(nested) > max_depth:
            raise _refused(f"nested deeper than {max_depth}", token)
        last = sign
    return tokens[:-1]


@dataclass(slots=True)
class _Writer:
    """Writes numexpr's code of one band after the other, and counts the nodes of all."""

    tokens: Sequence[_Token] = ()
    operands: dict[str | float, str] = field(default_factory=dict)
    nodes: int = 0

    def band(self, block: _Token, max_depth: int) -> Band:
        self.tokens, self.operands = _scan(block, max_depth), {}
        self.count(sum(token[0] not in ("**", "(", ")", ",") for token in self.tokens), block)
        # A token a line, so that nodes lead back to tokens; `x` for each operand, so that Python's
        # parser meets no keyword, literal or Unicode of the user.
        signs = ("x" if t.lastgroup in ("name", "number") else t[0] for t in self.tokens)
        python = "\n".join(_PYTHON.get(sign, sign) for sign in signs)
        code = self.code(ast.parse(f"({python})", mode="eval").body)
        if len(self.operands) > MAX_OPERANDS:
            raise _refused(f"more than {MAX_OPERANDS} different bands and numbers", block)
        return Band(" ".join(block[0].split()), code, tuple(self.operands))

    def code(self, node: ast.expr, *, needs_condition: bool = False) -> str:
        """Code of a node; as a number, a condition counts as 1 or 0: `(b1 > 0) * b2`."""
        token = self.tokens[node.lineno - 1]
        is_condition = isinstance(node, (ast.Compare, ast.BoolOp))
        match node:
            case ast.Name():
                code = self.variable(float(token[0]) if token.lastgroup == "number" else token[0])
            case ast.Call(_, args):
                arity = _FUNCTIONS.get(token[0])
                if arity is None:
                    raise _refused(f"{token[0]} is not one of {', '.join(_FUNCTIONS)}", token)
                if len(args) != arity:
                    raise _refused(f"{token[0]} takes {arity} arguments, not {len(args)},", token)
                first = self.code(args[0], needs_condition=token[0] == "where")
                code = f"{token[0]}({', '.join([first, *map(self.code, args[1:])])})"
            case ast.UnaryOp(operator, operand):
                is_condition = isinstance(operator, ast.Invert)
                code = f"({token[0]}{self.code(operand, needs_condition=is_condition)})"
            case ast.BinOp(left, _, right) | ast.Compare(left, [_], [right]):
                sign = next(t[0] for t in self.tokens[left.end_lineno :] if t[0] != ")")
                code = f"({self.code(left)} {sign} {self.code(right)})"
            case ast.BoolOp(operator, values):
                sign = " & " if isinstance(operator, ast.And) else " | "
                code = f"({sign.join(self.code(x, needs_condition=True) for x in values)})"
            case _:  # no other node is made of these tokens
                raise _refused("a chained comparison, write (a < b) & (b < c),", token)
        if is_condition == needs_condition:
            return code
        if needs_condition:
            raise _refused("a comparison such as b1 > 0 is needed", token)
        self.count(1, token)
        return f"where({code}, {self.variable(1.0)}, {self.variable(0.0)})"

    def variable(self, operand: str | float) -> str:
        # For exponents too: numexpr writes a constant one out as multiplications of its base, so
        # the code of `((b1**4)**4)**…` would grow fourfold at each level and never end.
        return self.operands.setdefault(operand, f"v{len(self.operands)}")

    def count(self, nodes: int, at: _Token) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise _refused(f"more than {MAX_NODES} operators and operands", at)


def _unexpected(token: _Token, wanted: str) -> InvalidRequestError:
    found = token[0] or token.string[token.end() : token.end() + 1]
    if not found:
        return InvalidRequestError(f"expression ends where {wanted} is needed")
    if token.lastgroup == "other":
        return _refused(f"{found!r} is not allowed", token)
    # The commonest way to lose an operator: + is a space in a query string.
    hint = "; in a URL write + as %2B" if token.string[: token.start()].endswith(" ") else ""
    return _refused(f"{found!r} where {wanted} is needed", token, hint)


def _refused(problem: str, at: _Token, hint: str = "") -> InvalidRequestError:
    return InvalidRequestError(f"expression: {problem} at character {at.start() + 1}{hint}")
