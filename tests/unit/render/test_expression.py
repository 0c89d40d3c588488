"""Band math: what the grammar takes, what it refuses, and what comes out."""

import re
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_tiler.models import ImageData

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.render.expression import MAX_DEPTH, MAX_LENGTH, MAX_NODES, Expression


def pixels(*bands: object, names: tuple[str, ...] = (), dtype: str = "float32") -> Pixels:
    """One row of pixels per band, all valid."""
    data = np.array([[band] for band in bands], dtype=dtype)
    return Pixels(
        data,
        np.ones(data.shape[1:], np.bool_),
        names or tuple(f"b{n + 1}" for n in range(len(bands))),
    )


def value(text: str, *bands: float) -> float:
    """The one value of an expression over one pixel."""
    result = Expression.parse(text).apply(pixels(*([band] for band in bands)))
    assert result.valid.all()
    return float(result.data[0, 0, 0])


def refused(text: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        Expression.parse(text)
    return str(caught.value)


class TestGrammar:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3", 9),
            ("8 - 2 - 1", 5),
            ("8 / 2 / 2", 2),
            ("-b1 ** 2", -9),
            ("(-b1) ** 2", 9),
            ("b1 ** 0", 1),
            ("b1 ** 1", 3),
            ("b1 ** 4", 81),
            ("--b1", 3),
            ("+b1", 3),
            ("b2 / 3", pytest.approx(1.3333333)),
            ("1.5e2 + .5 + 1.", 151.5),
            ("7 % 4", 3),
            ("-7 % 4", 1),
            ("b1 == 3", 1),
            ("b1 != 3", 0),
            ("b1 < 3", 0),
            ("b1 <= 3", 1),
            ("b1 > 2", 1),
            ("b1 >= 4", 0),
            ("~(b1 > 2)", 0),
            ("b1 > 2 & b2 > 5", 0),
            ("b1 > 2 | b2 > 5", 1),
            ("b1 > 9 & b1 > 9 | b2 > 2", 1),
            ("(b1 > 2) * b2", 4),
            ("(b1 > 2) + (b2 > 2)", 2),
            ("where(b1 > b2, b1, b2)", 4),
            ("minimum(b1, b2) + maximum(b1, 10)", 13),
            ("abs(0 - b1)", 3),
            ("sqrt(b2)", 2),
            ("log(exp(1))", pytest.approx(1)),
            ("log10(100)", pytest.approx(2)),
            ("arctan2(0, 1) + sin(0) + cos(0) + tan(0)", 1),
        ],
    )
    def test_precedence_and_functions(self, text, expected):
        assert value(text, 3, 4) == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "empty"),
            (" ; ;", "empty"),
            ("b1 +", "ends where a band, a number or ( is needed"),
            ("(b1", "ends where ) is needed"),
            ("b1)", "')' where an operator is needed at character 3"),
            ("b1 b2", "%2B"),
            ("2b1", "'b1' where an operator is needed at character 2"),
            ("b1[0]", "'[' is not allowed at character 3"),
            ("b1.real", "'.' is not allowed at character 3"),
            ("b1; 'a'", '"\'" is not allowed at character 5'),
            ("lambda: 1", "':' is not allowed"),
            ("b1 if b2 else b3", "'if' where an operator"),
            ("b1 = 2", "'=' is not allowed"),
            ("b1 // b2", "'/' where a band"),
            ("b1 ^ b2", "'^' is not allowed"),
            ("foo(b1)", "foo is not one of where, abs"),
            ("__import__(b1)", "__import__ is not one of"),
            ("sum(b1)", "sum is not one of"),
            ("where(b1 > 0, 1)", "where takes 3 arguments, not 2"),
            ("where(b1, 1, 2)", "a comparison such as b1 > 0 is needed at character 7"),
            ("~b1", "a comparison such as b1 > 0 is needed at character 2"),
            ("b1 & b2", "a comparison such as b1 > 0 is needed at character 1"),
            ("0 < b1 < 2", "chained comparison"),
            ("b1 ** b2", "exponent"),
            ("b1 ** -1", "exponent"),
            ("b1 ** 0.5", "exponent"),
            ("b1 ** 5", "exponent"),
            ("b1 ** 2 ** 2", "exponent"),
            ("1e39", "too large"),
            ("1e999", "too large"),
            ("b1 ** (2)", "exponent"),
            ("**", "'**' where a band"),
            ("1_000", "'_000' where an operator"),
            ("0x10", "'x10' where an operator"),
            ("1j", "'j' where an operator"),
            ("not b1", "'b1' where an operator"),
            ("b1 > 0 and b2 > 0", "'and' where an operator"),
            ("b1 := 2", "':' is not allowed"),
            ("b1 # 2", "'#' is not allowed"),
            ("b1 \\\n", "'\\\\' is not allowed"),
            ("b1\0", "'\\x00' is not allowed"),
            ("()", "')' where a band"),
            ("(b1, b2)", "',' where ) is needed"),
            ("(b1; b2)", "';' where ) is needed at character 4"),
            ("- 1 (b1)", "'(' where an operator"),
            ("abs(b1,)", "')' where a band"),
            ("abs(*b1)", "'*' where a band"),
            ("abs(b1)(b2)", "'(' where an operator"),
            ("abs(b1 > 0 > b2)", "chained comparison"),
            ("b1 & b2 > 0", "a comparison such as b1 > 0 is needed at character 1"),
            (";".join(["b1"] * 9), "more than 8 blocks at character 25"),
            ("+".join(f"b{n}" for n in range(1, 33)), "more than 31 different"),
        ],
    )
    def test_what_is_wrong_is_named(self, text, message):
        assert message in refused(text)

    @pytest.mark.parametrize(
        "text",
        [
            "9**9**9",
            "((((9**9)**9)**9)**9)**9",
            "+".join(["b1"] * 4_000),
            "+".join(["1"] * 400),
            "-" * 20_000 + "b1",
            "-" * (MAX_LENGTH - 2) + "b1",
            "~" * (MAX_LENGTH - 2) + "b1",
            ";".join(["b1"] * 5_000),
            "(" * 20_000 + "b1" + ")" * 20_000,
            "(" * 400 + "b1" + ")" * 400,
            "abs(" * 200,
            "9" * 1_000,
            "(" * (MAX_DEPTH + 1) + "b1" + ")" * (MAX_DEPTH + 1),
            " " * 1_001,
        ],
        ids=lambda text: f"{text[:12]}…{len(text)}",
    )
    def test_what_is_large_is_refused_at_once(self, text):
        start = time.perf_counter()
        refused(text)
        assert time.perf_counter() - start < 0.1

    @pytest.mark.parametrize("operand", ["9", "b1"])
    def test_nested_powers_take_no_longer_than_other_operators(self, operand):
        """Python would fold the constant to 4**15 digits; numexpr would write out 4**15 factors."""
        start = time.perf_counter()
        text = "(" * 15 + operand + "**4)" * 15
        assert not Expression.parse(text).apply(pixels([9])).valid.any()
        assert time.perf_counter() - start < 1

    @pytest.mark.parametrize(
        "text",
        [
            "+".join(["b1"] * (MAX_NODES // 2)),
            "-" * MAX_DEPTH + "b1",
            "(" * MAX_DEPTH + "b1" + ")" * MAX_DEPTH,
            "abs(" * MAX_DEPTH + "b1" + ")" * MAX_DEPTH,
            "sqrt(abs(" * (MAX_DEPTH // 2) + "+".join(["b1"] * 85) + "))" * (MAX_DEPTH // 2),
            "+".join(f"b1*{n}" for n in range(30)),
            "+".join(["minimum(b1,b1)"] * 50),
        ],
        ids=lambda text: text[:12],
    )
    def test_the_largest_allowed_can_be_evaluated_below_a_deep_stack(self, text):
        def below(frames):
            if frames:
                return below(frames - 1)
            return Expression.parse(text).apply(pixels([1, 2]))

        start = time.perf_counter()
        assert below(sys.getrecursionlimit() // 2).valid.all()
        assert time.perf_counter() - start < 2

    def test_an_expression_is_a_value(self):
        assert Expression.parse("b1+b2") == Expression.parse("b1+b2")
        assert len({Expression.parse("b1"), Expression.parse("b1"), Expression.parse("b2")}) == 2


class TestNames:
    def test_names_are_the_bands_used(self):
        parsed = Expression.parse("where(b1 > 0, nir, 2) / red_b2; nir")
        assert parsed.names == {"b1", "nir", "red_b2"}

    @pytest.mark.parametrize(
        "name",
        ["lambda", "in", "None", "if", "and", "__debug__", "x", "v0", "日本", "\ufb01", "\u00b5"],
    )
    def test_keywords_and_all_letters_name_bands_as_they_are_written(self, name):
        parsed = Expression.parse(f"where({name} > 0 & {name}_b2 > 0, {name}, -{name}**2)")
        assert list(parsed.names) == [name, f"{name}_b2"]

    @pytest.mark.parametrize(
        ("text", "known", "expected"),
        [
            ("(nir-red)/(nir+red)", {"red", "nir", "blue"}, ("nir", "red")),
            ("red_b1; nir_b2", {"red", "nir"}, ("red", "nir")),
            ("b1 + b2", {"red"}, ()),
            ("b1 + nir", {"nir"}, ("nir",)),
            ("NIR", {"nir"}, ()),
            ("b4 / b3", {"b4"}, ("b4",)),
            ("nir_b1", {"nir", "nir_b1"}, ("nir_b1",)),
            ("nir_b1_b1", {"nir", "nir_b1"}, ("nir_b1",)),
            ("sqrt(sqrt)", {"sqrt"}, ("sqrt",)),
            ("foo", {"nir"}, ()),
        ],
    )
    def test_assets_are_found_in_order_of_appearance(self, text, known, expected):
        assert Expression.parse(text).assets(known) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("red", 1),
            ("nir", 2),
            ("nir_b2", 3),
            ("b1", 1),
            ("b3", 3),
            ("b4", 4),
            ("b4_b1", 4),
            ("nir_b1", 5),
            ("nir_b1_b1", 5),
        ],
    )
    def test_bands_are_found_by_asset_then_name_then_number(self, text, expected):
        names = ("red_b1", "nir_b3", "nir_b2", "b4_b1", "nir_b1_b1")
        stacked = pixels([1], [2], [3], [4], [5], names=names)
        assert Expression.parse(text).apply(stacked).data.item() == expected

    @pytest.mark.parametrize("text", ["nir", "nir_b1", "b1"])
    def test_the_only_asset_is_known_by_its_key_where_bands_do_not_carry_it(self, text):
        assert Expression.parse(text).apply(pixels([5]), asset="nir").data.item() == 5

    @pytest.mark.parametrize("text", ["foo", "b3", "b0", "b99999", "B1", "red_b1", "sin"])
    def test_an_unknown_band_is_named_with_those_that_exist(self, text):
        with pytest.raises(InvalidRequestError, match=rf"'{text}'; the bands are b1, b2"):
            Expression.parse(text).apply(pixels([1], [2]))


class TestApply:
    def test_each_block_is_a_float32_band_named_by_its_text(self):
        result = Expression.parse(" b1 +  b2;;b2*2 ;").apply(pixels([1, 2], [3, 4], dtype="uint8"))
        assert result.names == ("b1 + b2", "b2*2")
        assert result.data.dtype == np.float32
        assert result.data.tolist() == [[[4, 6]], [[6, 8]]]

    def test_integers_do_not_wrap_nor_divide_as_integers(self):
        source = pixels([200, 1], [100, 2], dtype="uint8")
        result = Expression.parse("b1 + b2; b1 - b2; b1 / b2").apply(source)
        assert result.data.tolist() == [[[300, 3]], [[100, -1]], [[2, 0.5]]]

    @pytest.mark.parametrize("text", ["b1 / b2", "log(b2)", "sqrt(0-1+b2)", "exp(1000/(b2+1)-900)"])
    def test_what_is_not_finite_is_invalid_and_zero_in_every_band(self, text):
        result = Expression.parse(f"b1; {text}").apply(pixels([1, 1], [0, 9]))
        assert result.valid.tolist() == [[False, True]]
        assert result.data[:, 0, 0].tolist() == [0, 0]
        assert result.data[0, 0, 1] == 1

    def test_float64_beyond_float32_is_invalid(self):
        result = Expression.parse("b1").apply(pixels([1e300, 1], dtype="float64"))
        assert result.valid.tolist() == [[False, True]]

    def test_invalid_pixels_stay_invalid_and_zero(self):
        source = Pixels(np.zeros((1, 1, 2)), np.array([[False, True]]), ("b1",))
        result = Expression.parse("b1 + 5").apply(source)
        assert result.valid.tolist() == [[False, True]]
        assert result.data.tolist() == [[[0, 5]]]

    def test_a_block_without_bands_fills_the_band(self):
        result = Expression.parse("b1; 7; 2 > 1").apply(pixels([1, 2]))
        assert result.data[1:].tolist() == [[[7, 7]], [[1, 1]]]

    def test_the_source_is_left_alone(self):
        source = pixels([1, 0], [1, 0])
        Expression.parse("b1/b2").apply(source)
        assert source.valid.all()
        assert source.data.tolist() == [[[1, 0]], [[1, 0]]]

    def test_complex_pixels_are_refused(self):
        with pytest.raises(InvalidRequestError, match="complex64"):
            Expression.parse("b1").apply(pixels([1], dtype="complex64"))

    def test_rio_tiler_agrees(self):
        rng = np.random.default_rng(0)
        data = rng.uniform(1, 1000, (3, 16, 16)).astype("float32")
        text = "(b1-b2)/(b1+b2);where(b3>500,b1,b2);sqrt(b1*b2)"
        expected = ImageData(np.ma.MaskedArray(data), band_names=["b1", "b2", "b3"])
        ours = Expression.parse(text).apply(
            Pixels(data, np.ones((16, 16), np.bool_), ("b1", "b2", "b3"))
        )
        np.testing.assert_allclose(ours.data, expected.apply_expression(text).data, rtol=1e-6)


def _binary(children):
    return st.builds(
        lambda left, sign, right: f"({left} {sign} {right})",
        children,
        st.sampled_from(["+", "-", "*", "/"]),
        children,
    )


def _where(children):
    return st.builds(
        lambda a, sign, b, c, d: f"where({a} {sign} {b}, {c}, {d})",
        children,
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        children,
        children,
        children,
    )


def _call(children):
    return st.one_of(
        st.builds(lambda name, x: f"{name}({x})", st.sampled_from(["abs", "sin", "cos"]), children),
        st.builds(
            lambda name, x, y: f"{name}({x}, {y})",
            st.sampled_from(["minimum", "maximum"]),
            children,
            children,
        ),
        st.builds(lambda x: f"(-{x})", children),
        st.builds(lambda x, n: f"({x})**{n}", children, st.integers(0, 4)),
    )


texts = st.recursive(
    st.sampled_from(["b1", "b2", "b3", "2", "0.5", "3"]),
    lambda children: st.one_of(_binary(children), _where(children), _call(children)),
    max_leaves=12,
).filter(lambda text: len(text) <= MAX_LENGTH)


def numpy_says(text, data, dtype, nudge=0.0):
    """The same text by Python and numpy, every operand a little off by a factor of its own."""

    def number(literal):
        return dtype(literal * (1 + nudge * literal))

    scope = {name: getattr(np, name) for name in ("where", "abs", "sin", "cos")}
    scope |= {"minimum": np.minimum, "maximum": np.maximum, "number": number}
    for n, band in enumerate(data):
        scope[f"b{n + 1}"] = band.astype(dtype) * dtype(1 + nudge * (n + 5))
    # Literals become numpy's, but for exponents: Python's own would raise on division by zero.
    text = re.sub(r"(?<![\w.*])[\d.]+", r"number(\g<0>)", text)
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.float64(eval(text, scope)), data.shape[1:])


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(0, 2**32 - 1))
def test_any_valid_expression_means_what_numpy_says(text, seed):
    """Compared only where rounding cannot have decided a comparison or a pole."""
    data = np.random.default_rng(seed).integers(1, 9, (3, 4, 4)).astype("float32")
    ours = Expression.parse(text).apply(Pixels(data, np.ones((4, 4), np.bool_), ("b1", "b2", "b3")))
    exact = numpy_says(text, data, np.float64)
    nearby = [numpy_says(text, data, np.float64, nudge) for nudge in (1e-7, -1e-7)]
    nearby.append(numpy_says(text, data, np.float32))
    with np.errstate(all="ignore"):
        stable = np.isfinite(exact) & (np.abs(exact) < 1e30)
        for other in nearby:
            stable &= np.abs(other - exact) <= 1e-3 * np.maximum(1, np.abs(exact))
    stable &= ours.valid
    np.testing.assert_allclose(ours.data[0][stable], exact[stable], rtol=1e-2, atol=1e-2)
    assert not ours.data[0][~ours.valid].any()


@settings(max_examples=300, deadline=None)
@given(st.text("b123nir_+-*/%<>=!&|~(),;. e9'\"[]:", max_size=60))
def test_any_text_is_parsed_or_refused(text):
    try:
        parsed = Expression.parse(text)
    except InvalidRequestError:
        return
    assert 1 <= len(parsed.bands) <= 8


def test_strangers_are_names_of_no_band_and_no_asset() -> None:
    expression = Expression.parse("(nir-swir)/(nir_b2+b1); swir_b1")
    assert expression.strangers(["nir"]) == ("swir", "swir_b1")
    assert expression.strangers(["nir", "swir"]) == ()
