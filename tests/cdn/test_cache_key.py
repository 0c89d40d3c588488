"""Queries get the same cache key where they mean the same, and only there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from api.served import Server, serving, tile_url
from cdn.cloudfront import FunctionRuntime
from livemosaic.api.routes.tiles import ROUTES, query_of
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.parts.cdn import cache_key_code, known_parameters

TILE = tile_url(".png")
CODE = cache_key_code()
KNOWN = known_parameters()


@pytest.fixture
def served(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    with serving(sqlite_table, tmp_path) as server:
        yield server


@pytest.fixture
def rewritten(runtime: FunctionRuntime) -> Callable[..., str | None]:
    return lambda query, path=TILE: runtime.run(CODE, path, query)[1]


def test_the_allow_list_is_what_the_api_declares(served: Server) -> None:
    document = served.get("/openapi.json").json()
    declared = {
        one["name"]
        for path, how in document["paths"].items()
        if path.startswith("/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}") and "assets" not in path
        for one in how["get"]["parameters"]
        if one["in"] == "query"
    }
    assert set(KNOWN) == declared | {"access_token"}


def test_it_has_each_parameter_that_a_tile_route_accepts() -> None:
    for route in ROUTES:
        assert query_of(route).names <= set(KNOWN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rescale=0,100&assets=B04", "assets=B04&rescale=0,100"),
        ("rescale=0%2C100", "rescale=0,100"),
        ("expression=a%2Bb%20c", "expression=a%2bb+c"),
        ("assets=a&assets=b&nodata=0", "nodata=0&assets=a&assets=b"),
        ("assets=a&&nodata=0&", "assets=a&nodata=0"),
        ("%61ssets=a", "assets=a"),
        ("mosaicRule=%7B%7D&_=1", "_=2&mosaicRule=%7b%7d"),
        ("utm_source=a&assets=b", "assets=b&utm_source=c"),
        ("_", "_="),
    ],
)
def test_the_same_meaning_has_the_same_key(
    rewritten: Callable[..., str], one: str, other: str
) -> None:
    assert rewritten(one) == rewritten(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("assets=a&assets=b", "assets=b&assets=a"),
        ("assets=a&%61ssets=b&assets=c", "assets=a&assets=c&%61ssets=b"),
        ("assets=a%26nodata%3D0", "assets=a&nodata=0"),
        ("expression=a%2Bb", "expression=a+b"),
        ("rescale=0,100", "rescale=0%2C100%2C1"),
        ("assets=a", "assets=a&assets=a"),
        ("rescal=0,1", "rescale=0,1"),
        ("Rescale=0,1", "rescale=0,1"),
        ("access_token=a", "access_token=b"),
        ("assets=%FF", "assets=%FE"),
    ],
)
def test_another_meaning_has_another_key(
    rewritten: Callable[..., str], one: str, other: str
) -> None:
    assert rewritten(one) != rewritten(other)


@pytest.mark.parametrize("name", KNOWN)
def test_the_value_of_each_known_parameter_counts(rewritten: Callable[..., str], name: str) -> None:
    assert rewritten(f"{name}=1") != rewritten(f"{name}=2")


@pytest.mark.parametrize("query", [None, ""])
def test_no_query_stays_none(rewritten: Callable[..., str | None], query: str | None) -> None:
    assert rewritten(query) == query


def test_other_routes_keep_what_tiles_do_not_know(rewritten: Callable[..., str]) -> None:
    """TileJSON hands unknown parameters on, to tile URLs and so to a proxy before them."""
    paths = ["/mosaics/m/tiles/WebMercatorQuad/tilejson.json", f"{tile_url()}/assets", "/mosaics"]
    for path in paths:
        assert rewritten("key=2&a=1", path) == "a=1&key=2"


@pytest.mark.parametrize("path", ["/mosaics/m/wms", "/wms"])
def test_names_of_wms_are_in_one_case(rewritten: Callable[..., str], path: str) -> None:
    """OGC 06-042, 6.8.1: in any case they mean the same; values do not."""
    found = rewritten("WIDTH=9&Layers=M&mosaicRule=%7B%7D&height=8", path)
    assert found == rewritten("height=8&layers=M&MOSAICRULE=%7b%7d&width=9", path)
    assert found == "height=8&layers=M&mosaicrule=%7B%7D&width=9"
    assert rewritten("speed=9", path) == "speed=9"
    assert rewritten("WIDTH=9", "/mosaics/wms/wmsx") == "WIDTH=9"


_names = st.sampled_from([*KNOWN, "_", "utm_source", "Assets", "rescal", "constructor", "é"])
_values = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
_pairs = st.lists(st.tuples(_names, _values), max_size=6)
_usual = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def meaning(query: str) -> Any:
    """What a tile route reads of a query: values of known parameters, names of others."""
    read = QueryParams(query)
    return (
        {name: read.getlist(name) for name in read if name in KNOWN},
        {name for name in read if name not in KNOWN},
    )


@given(pairs=_pairs, plus=st.lists(st.booleans(), min_size=6, max_size=6))
@_usual
def test_the_api_reads_the_same_from_what_is_left(
    rewritten: Callable[..., str], pairs: Sequence[tuple[str, str]], plus: Sequence[bool]
) -> None:
    escapes = [quote_plus if each else quote for each in plus]
    query = "&".join(
        f"{quote(n)}={escape(v)}" for (n, v), escape in zip(pairs, escapes, strict=False)
    )
    left = rewritten(query)
    assert meaning(left) == meaning(query)
    assert rewritten(left) == left


@given(query=st.text(st.sampled_from("ab=&%+2c,éfF0;?/"), max_size=24))
@_usual
def test_whatever_is_no_proper_query_reaches_the_api_as_it_was(
    rewritten: Callable[..., str | None], query: str
) -> None:
    assert meaning(rewritten(query) or "") == meaning(query)


@given(pairs=_pairs, order=st.randoms())
@_usual
def test_the_order_of_different_names_means_nothing(
    rewritten: Callable[..., str], pairs: Sequence[tuple[str, str]], order: Any
) -> None:
    def text(given: Sequence[tuple[str, str]]) -> str:
        return "&".join(f"{quote(n)}={quote(v)}" for n, v in given)

    names = list(dict.fromkeys(name for name, _ in pairs))
    order.shuffle(names)
    grouped = [(n, v) for name in names for n, v in pairs if n == name]
    assert rewritten(text(grouped)) == rewritten(text(pairs))
