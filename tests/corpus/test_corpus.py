"""Every kind of GeoTIFF that we can write is read as GDAL reads it, or refused with the reason.

By default a fixed sample of each family; `LIVEMOSAIC_TEST_CORPUS=all` reads all of it, and prints
a line per hundred files and a table (`pytest -s tests/corpus`).
"""

import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from . import by_gdal, by_hand, by_tifffile, places
from .case import Case
from .compare import Outcome, outcome

ALL: Final = os.environ.get("LIVEMOSAIC_TEST_CORPUS") == "all"
SAMPLE: Final = 60
KINDS: Final = (
    "gdal deflate p2 u1 band little",
    "gdal zstd p3 f4 band big",
    "gdal lerc p1 f4 pixel big",
    "gdal lerc f4 error 0 1 pixel nan",
    "gdal jpeg 3 minisblack pixel tables 1 little",
    "gdal cmyk u1 4 deflate",
    "gdal cmyk u2 4 deflate",
    "gdal cielab u1 3 deflate",
    "gdal icclab u1 3 deflate",
    "gdal photometric 6 u1 3",
    "gdal photometric 32803 u2 1",
    "gdal nodata '-3.4028234663852886e+38' f4",
    "gdal nodata '9007199254740993' i8",
    "gdal nodata '18446744073709551614' u8",
    "gdal nodata 'n/a' u1",
    "tifffile palette u1 × 1",
    "place tie at 0, 0, scale -y, matrix none, area",
    "place tie at 0, 0, scale 10, matrix rotated, area",
    "place tie none, scale none, matrix rotated, point",
    "place keys utm US feet 1.0",
    "place keys ESRI PE beside a code 1.0",
    "place keys geographic grad 1.0",
    "crs EPSG:32633+5773 1.1 STANDARD",
    "directory no samples per pixel",
    "directory no photometric",
    "directory predictor 2 of none",
    "directory of one band fill order 2",
    "directory text without an end",
    "directory keys beyond the text",
    "directory keys beyond an end of the text",
    "second directory of kind 5",
    "hand nodata as double {'order': '>'}",
    "hand metadata without a role",
    "hand metadata of band -1",
    "hand metadata of a small item",
    "hand metadata color undefined beside 2",
    "hand 4 bands of 1 with extra samples (2,)",
    "hand overview of u2 in u1",
    "hand mask 16 bits",
    "hand tiles too few",
    "hand palette of 16 × 257",
    "hand jpeg YCbCr as 2",
)
"""One of each kind that once was silently wrong, or made a library panic."""
ONLY: Final = os.environ.get("LIVEMOSAIC_TEST_CORPUS_ONLY", "")


def corpus() -> list[Case]:
    return [case for case in every() if re.search(ONLY, case.name)]


def every() -> list[Case]:
    return [*by_gdal.cases(), *by_tifffile.cases(), *places.cases(), *by_hand.cases()]


def chosen() -> list[Case]:
    found = corpus()
    if ALL:
        return found
    drawn = random.Random(14).sample(found, min(SAMPLE, len(found)))
    return [*(case for case in found if case.name in KINDS), *drawn]


def test_each_kind_is_in_the_corpus() -> None:
    assert set(KINDS) - {case.name for case in every()} == set()


def test_names_are_unique() -> None:
    names = Counter(case.name for case in corpus())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.timeout(3600 if ALL else 120)
def test_files_are_read_as_gdal_reads_them_or_refused_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = list(_watched(chosen(), tmp_path, capfd))
    with capfd.disabled():
        if ALL:
            sys.stdout.write(f"\n{table(outcomes)}\n")
    wrong = [o for o in outcomes if o.kind in ("wrong", "crashed")]
    assert not wrong, "\n".join(f"{o.kind}: {o.case}: {o.why} ({o.reader})" for o in wrong)


def _watched(
    cases: Sequence[Case], folder: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Outcome]:
    """Outcomes; a panic of a Rust library that reaches stderr is wrong, whatever came of it."""
    for number, case in enumerate(cases):
        capfd.readouterr()
        found = outcome(case, folder)
        printed = capfd.readouterr().err
        if "panicked" in printed:
            found = Outcome(case.name, "wrong", f"a panic on stderr: {printed[:150]!r}")
        yield found
        if ALL and number % 100 == 99:
            with capfd.disabled():
                sys.stdout.write(f"{number + 1} of {len(cases)} files\n")
                sys.stdout.flush()


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by outcome and reader, and the reasons of refusals."""
    kinds = Counter((o.kind, o.reader) for o in outcomes)
    lines = [f"{len(outcomes)} files"]
    lines += [f"{n:6} {kind} {reader}" for (kind, reader), n in sorted(kinds.items())]
    for kind in ("refused", "not written"):
        reasons = Counter(_alike(o.why) for o in outcomes if o.kind == kind)
        lines += [f"{n:6} {kind}: {why}" for why, n in reasons.most_common()]
    return "\n".join(lines)


def _alike(why: str) -> str:
    return re.sub(r"\d[\d,.]*", "…", why)[:90]
