"""The row of a mosaic.

| row            | pk                | sk                | attributes           |
|----------------|-------------------|-------------------|----------------------|
| mosaic         | `mosaics`         | id                | the ones of `Mosaic` |
| deleted mosaic | `mosaics.deleted` | id and generation | the same             |

`filter`, `renders`, `rules`, `overviews` and `overview_sets` are JSON text, and `sources` and
`exports` where there are any, `bounds` four numbers, `watermarks` maps. Once bounds were fitted,
`bounds` has the `Mosaic.reach`, which releases before know how to grow, and `fit` is JSON text with
the bounds themselves.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from livemosaic.model.derived.sources import MosaicSource
from livemosaic.model.mosaic import (
    ANY_COLLECTION,
    FORMAT,
    Fit,
    Mosaic,
    OverviewPolicy,
    OverviewSet,
    ScheduledExport,
    Watermark,
)
from livemosaic.model.raster import USUAL_MAXZOOM, BBox
from livemosaic.model.rule import RulePolicy
from livemosaic.table import Expect, Key, Put

MOSAICS: Final = "mosaics"
REMAINS: Final = "mosaics.deleted"
"""Rows of deleted mosaics whose overviews are to be deleted, by id and generation."""
_ATTRIBUTES: Final = frozenset(field.name for field in fields(Mosaic))


def mosaic_key(mosaic_id: str) -> Key:
    """The key of a mosaic's own row."""
    return Key(MOSAICS, mosaic_id)


def remains_key(mosaic: Mosaic) -> Key:
    """The key of what a deleted mosaic leaves behind."""
    return Key(REMAINS, f"{mosaic.id}.{mosaic.generation}")


def put_of(mosaic: Mosaic, expect: Expect = None) -> Put:
    """The write of a mosaic's own row."""
    return Put(mosaic_key(mosaic.id), to_item(mosaic), expect)


def to_item(mosaic: Mosaic) -> dict[str, Any]:
    """The attributes of a mosaic's row."""
    item = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(mosaic).items()}
    cql2 = None if mosaic.filter is None else json.dumps(mosaic.filter)
    rules = json.dumps({k: v for k, v in asdict(mosaic.rules).items() if k != "scale" or v})
    overviews = {name: json.dumps(item[name]) for name in ("overviews", "overview_sets")}
    renders = json.dumps(mosaic.renders)
    for export in item["exports"]:  # releases before know none
        if not export["layers"]:
            del export["layers"]
    lists = {name: json.dumps(item[name]) for name in ("sources", "exports") if item[name]}
    for name in ("members", "missing", "sources", "exports", "fit"):
        del item[name]
    if mosaic.fit:
        kept = {"since": mosaic.fit.since, "done": mosaic.fit.done}
        boxes = {"bounds": mosaic.bounds, "meanwhile": mosaic.fit.meanwhile}
        item["fit"] = json.dumps(kept | boxes)
        item["bounds"] = None if mosaic.reach is None else list(mosaic.reach)
    if mosaic.maxzoom is None:  # releases before have 22 then
        del item["maxzoom"]
    return item | {"filter": cql2, "renders": renders, "rules": rules} | overviews | lists


def _overview_policy(values: Mapping[str, Any]) -> OverviewPolicy:
    return OverviewPolicy(**{**values, "assets": tuple(values["assets"])})


def _overview_set(values: Mapping[str, Any]) -> OverviewSet:
    return OverviewSet(**{**values, "policy": _overview_policy(values["policy"])})


def _box(values: list[float] | None) -> BBox | None:
    return None if values is None else (values[0], values[1], values[2], values[3])


def from_item(item: Mapping[str, Any]) -> Mosaic:
    """The mosaic of a row; of a later release's only what names it."""
    if int(item.get("format", 0)) > FORMAT:
        return _of_later_release(item)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in item.items()
        if name in _ATTRIBUTES
    }
    fit = json.loads(values.pop("fit", "null"))
    if fit:
        reach, values["bounds"] = values["bounds"], _box(fit["bounds"])
        meanwhile = _box(fit["meanwhile"])
        values["fit"] = Fit(since=fit["since"], reach=reach, meanwhile=meanwhile, done=fit["done"])
    if item.get("levels"):  # what is not known of scenes of earlier releases
        values.setdefault("native_zoom", USUAL_MAXZOOM)
    cql2 = values.get("filter")
    marks = tuple(Watermark(**mark) for mark in values.get("watermarks", ()))
    policy = json.loads(values.get("overviews", "null"))
    parsed = {
        "sources": tuple(MosaicSource(**each) for each in json.loads(values.get("sources", "[]"))),
        "exports": tuple(
            ScheduledExport.of(each) for each in json.loads(values.get("exports", "[]"))
        ),
        "filter": None if cql2 is None else json.loads(cql2),
        "renders": json.loads(values.get("renders", "{}")),
        "rules": RulePolicy.of(json.loads(values.get("rules", "{}"))),
        "watermarks": marks,
        "overviews": None if policy is None else _overview_policy(policy),
        "overview_sets": tuple(map(_overview_set, json.loads(values.get("overview_sets", "[]")))),
    }
    return Mosaic(**values | parsed)


def _of_later_release(item: Mapping[str, Any]) -> Mosaic:
    """Returns what names a mosaic, whatever else its row means."""
    return Mosaic(
        id=item["id"],
        title=str(item.get("title", "")),
        access="public" if item.get("access") == "public" else "private",
        collections=tuple(item.get("collections") or (ANY_COLLECTION,)),
        generation=str(item.get("generation", "")),
        revision=int(item.get("revision", 0)),
        format=int(item["format"]),
        deleting=bool(item.get("deleting")),
    )
