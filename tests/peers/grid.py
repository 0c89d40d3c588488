"""The requests that both servers are asked."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from api.served import EDGE, STEP, WEB, WHOLE, Part, X, Y, Z, footprint
from peers.asking import Agreement, Ask

Query = Sequence[tuple[str, str]]

TILE: Final = f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}"
BIG: Query = [("tilesize", "256")]


def grid() -> list[Ask]:
    """All of them."""
    groups = (
        _formats, _places, _bands, _styles, _algorithms, _selections, _edges, _stac, _points,
        _boxes, _features, _statistics, _maps, _assets, _described, _catalogues, _refused,
    )  # fmt: skip
    return [ask for group in groups for ask in group()]


def _tile(
    name: str,
    *query: tuple[str, str],
    suffix: str = ".npy",
    pixels: Agreement = "exact",
    **rest: Any,
) -> Ask:
    return Ask(f"tile {name}", TILE + suffix, [*BIG, *query], pixels=pixels, **rest)


def _formats() -> Iterator[Ask]:
    for name in ("png", "pngraw", "tif", "tiff", "npy"):
        yield _tile(f"as {name}", suffix=f".{name}")
    for name in ("jpg", "jpeg", "webp", "jp2"):
        yield _tile(f"as {name}", suffix=f".{name}", pixels="lossy")
    yield _tile("as it likes", suffix="", pixels="lossy")
    yield _tile("as it likes, no mask", ("return_mask", "false"), suffix="", pixels="lossy")
    for name in ("png", "tif", "npy"):
        yield _tile(f"as {name}, no mask", ("return_mask", "false"), suffix=f".{name}")
    yield _tile("uint16 as png", suffix=".png", stack="many")
    yield _tile("uint16 as tif", suffix=".tif", stack="many")
    yield _tile("float as tif", suffix=".tif", stack="height")
    yield _tile("float as png", suffix=".png", stack="height")


def _places() -> Iterator[Ask]:
    for size in ("128", "512"):
        yield Ask(f"tile of {size}", f"{TILE}.npy", [("tilesize", size)], pixels="ties")
    yield Ask("tile of the usual size", f"{TILE}.npy")
    yield Ask(
        "tile below", f"/tiles/WebMercatorQuad/{Z + 1}/{2 * X + 1}/{2 * Y}.npy", BIG, pixels="ties"
    )
    yield Ask(
        "tile above", f"/tiles/WebMercatorQuad/{Z - 1}/{X // 2}/{Y // 2}.npy", BIG, pixels="ties"
    )
    yield Ask(
        "tile beyond maxzoom",
        f"/tiles/WebMercatorQuad/14/{16 * X + 5}/{16 * Y + 5}.npy",
        BIG,
        pixels="ties",
    )
    yield Ask("tile of UTM scenes", f"{TILE}.npy", BIG, "utm", pixels="ties")
    yield Ask(
        "tile of UTM scenes, below",
        f"/tiles/WebMercatorQuad/{Z + 1}/{2 * X}/{2 * Y}.npy",
        BIG,
        "utm",
        pixels="ties",
    )
    yield Ask("tile without scenes", "/tiles/WebMercatorQuad/10/0/0.png", BIG)
    middle = WEB.lnglat((EDGE.left + EDGE.right) / 2, (EDGE.top + EDGE.bottom) / 2)
    for name in ("WorldCRS84Quad", "EuropeanETRS89_LAEAQuad", "WorldMercatorWGS84Quad"):
        import morecantile

        tile = morecantile.tms.get(name).tile(*middle, 9)
        yield Ask(
            f"tile in {name}", f"/tiles/{name}/{tile.z}/{tile.x}/{tile.y}.npy", BIG, pixels="ties"
        )


def _bands() -> Iterator[Ask]:
    yield _tile("bidx=3", ("bidx", "3"))
    yield _tile("bidx=3,1", ("bidx", "3"), ("bidx", "1"), stack="many")
    yield _tile("bidx=1,1,1", *[("bidx", "1")] * 3)
    yield _tile("b1-b2", ("expression", "b1-b2"), stack="many")
    yield _tile("ndvi", ("expression", "(b4-b3)/(b4+b3)"), stack="many")
    yield _tile("two blocks", ("expression", "b1/2;b2+b3"), stack="many")
    yield _tile("where", ("expression", "where(b1>2000,b1,0)"), stack="many")
    yield _tile("expression of uint8", ("expression", "b1+b2"))
    yield _tile("nodata", ("nodata", "0"))
    yield _tile("other nodata", ("nodata", "77"))
    yield _tile("nodata nan", ("nodata", "nan"))
    yield _tile("unscale", ("unscale", "true"), stack="many")
    yield _tile("unscale and expression", ("unscale", "true"), ("expression", "b1*2"), stack="many")
    for way in (
        "nearest",
        "bilinear",
        "cubic",
        "cubic_spline",
        "lanczos",
        "average",
        "mode",
        "gauss",
        "rms",
    ):
        yield _tile(f"resampling={way}", ("resampling", way))
    for way in (
        "nearest",
        "bilinear",
        "cubic",
        "lanczos",
        "average",
        "mode",
        "max",
        "min",
        "med",
        "q1",
        "q3",
        "sum",
        "rms",
    ):
        yield _tile(f"reproject={way}", ("reproject", way))


def _styles() -> Iterator[Ask]:
    def png(name: str, *query: tuple[str, str], **rest: Any) -> Ask:
        return _tile(name, *query, suffix=".png", **rest)

    yield png("rescale", ("rescale", "20,200"))
    yield png("rescale of each", *[("rescale", f"{n},{200 - n}") for n in (0, 10, 20)])
    yield png("rescale of uint16", ("rescale", "0,4000"), ("bidx", "1"), stack="many")
    yield png("rescale of float", ("rescale", "400,1400"), stack="height")
    yield png(
        "rescale of ndvi",
        ("expression", "(b4-b3)/(b4+b3)"),
        ("rescale", "-1,1"),
        stack="many",
        pixels="rounded",
    )
    yield _tile("rescale as npy", ("rescale", "0,4000"), stack="many")
    yield png("viridis", ("bidx", "1"), ("colormap_name", "viridis"))
    yield png(
        "viridis of float", ("rescale", "400,1400"), ("colormap_name", "viridis"), stack="height"
    )
    yield png(
        "cfastie of ndvi",
        ("expression", "(b4-b3)/(b4+b3)"),
        ("rescale", "-1,1"),
        ("colormap_name", "cfastie"),
        stack="many",
        pixels="rounded",
    )
    linear = {"0": [0, 0, 255, 255], "255": [255, 0, 0, 255]}
    yield png(
        "colormap linear",
        ("bidx", "1"),
        ("colormap", _compact({str(n): [n, 0, 255 - n, 255] for n in range(0, 256, 2)})),
    )
    yield png("colormap of some values", ("bidx", "1"), ("colormap", json.dumps(linear)))
    yield png(
        "colormap of hex",
        ("bidx", "1"),
        ("colormap", _compact({str(n): f"#{n:02x}00ff" for n in range(0, 256, 2)})),
    )
    yield png(
        "colormap of intervals",
        ("bidx", "1"),
        ("colormap", json.dumps([[[0, 100], [1, 2, 3, 255]], [[100, 256], [4, 5, 6, 255]]])),
    )
    yield png(
        "colormap of intervals of uint16",
        ("bidx", "1"),
        ("colormap", json.dumps([[[0, 1000], [1, 2, 3, 255]], [[1000, 4000], [4, 5, 6, 255]]])),
        stack="many",
    )
    yield png("color_formula gamma", ("color_formula", "gamma rgb 1.5"))
    yield png(
        "color_formula all", ("color_formula", "sigmoidal rgb 6 0.5 gamma g 1.2 saturation 1.1")
    )
    yield png(
        "color_formula after rescale",
        ("bidx", "3"),
        ("bidx", "2"),
        ("bidx", "1"),
        ("rescale", "0,4000"),
        ("color_formula", "gamma rgb 1.5"),
        stack="many",
    )
    yield png(
        "color_formula of uint16",
        *[("bidx", str(n)) for n in (1, 2, 3)],
        ("color_formula", "gamma rgb 1.5"),
        stack="many",
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _algorithms() -> Iterator[Ask]:
    for name in (
        "hillshade",
        "slope",
        "contours",
        "terrarium",
        "terrainrgb",
        "cast",
        "ceil",
        "floor",
        "min",
        "max",
        "median",
        "mean",
        "std",
        "var",
        "sum",
        "grayscale",
        "bitonal",
        "normalizedIndex",
    ):
        stack = {"grayscale": "rgb", "bitonal": "rgb", "normalizedIndex": "many"}.get(
            name, "height"
        )
        bands = [("bidx", "4"), ("bidx", "3")] if name == "normalizedIndex" else []
        # Without a buffer, which cannot be 0, TiTiler's tiles are smaller by what these drop.
        small = [("buffer", "0.5")] if name in ("hillshade", "slope") else []
        yield _tile(f"algorithm={name}", ("algorithm", name), *bands, *small, stack=stack)
    steep = json.dumps({"azimuth": 45, "angle_altitude": 45, "buffer": 3})
    yield _tile(
        "algorithm with parameters",
        ("algorithm", "hillshade"),
        ("algorithm_params", steep),
        ("buffer", "3"),
        stack="height",
    )
    yield _tile(
        "algorithm with a buffer", ("algorithm", "hillshade"), ("buffer", "3"), stack="height"
    )
    yield _tile(
        "algorithm as tif",
        ("algorithm", "hillshade"),
        ("buffer", "3"),
        suffix=".tif",
        stack="height",
    )
    yield _tile(
        "algorithm as png",
        ("algorithm", "hillshade"),
        ("buffer", "3"),
        suffix=".png",
        stack="height",
    )
    yield _tile(
        "algorithm, then colormap",
        ("algorithm", "slope"),
        ("buffer", "3"),
        ("rescale", "0,1"),
        ("colormap_name", "viridis"),
        suffix=".png",
        stack="height",
    )


def _selections() -> Iterator[Ask]:
    for name in (
        "first",
        "highest",
        "lowest",
        "mean",
        "median",
        "stdev",
        "lastbandlow",
        "lastbandhigh",
        "count",
    ):
        yield _tile(f"pixel_selection={name}", ("pixel_selection", name))
        yield _tile(f"pixel_selection={name} of uint16", ("pixel_selection", name), stack="many")
    yield _tile(
        "pixel_selection=highest of expression",
        ("pixel_selection", "highest"),
        ("expression", "b1-b2"),
        stack="many",
    )


def _edges() -> Iterator[Ask]:
    for buffer in ("1", "4"):
        yield _tile(f"buffer={buffer}", ("buffer", buffer), pixels="ties")
    yield _tile("buffer=0.5 of UTM scenes", ("buffer", "0.5"), stack="utm", pixels="ties")
    yield _tile("buffer=2 of UTM scenes", ("buffer", "2"), stack="utm", pixels="ties")
    yield _tile("padding=4", ("padding", "4"))
    yield _tile("padding=4 of UTM scenes", ("padding", "4"), stack="utm", pixels="ties")


def _stac() -> Iterator[Ask]:
    three = [("assets", name) for name in ("red", "green", "nir")]
    yield _tile("of three files", *three, stack="bands")
    yield _tile("of one file", three[0], stack="bands")
    yield _tile("of files turned around", *three[::-1], stack="bands")
    yield _tile("of files as png", *three, ("rescale", "0,4000"), suffix=".png", stack="bands")
    yield _tile(
        "of files and bands", ("assets", "red|bidx=1"), ("assets", "nir|bidx=1"), stack="bands"
    )
    yield _tile(
        "of files with an expression each",
        ("assets", "red|expression=b1*2"),
        ("assets", "nir"),
        stack="bands",
    )
    yield _tile(
        "ndvi of files", *three, ("expression", "(nir_b1-red_b1)/(nir_b1+red_b1)"), stack="bands"
    )
    yield _tile("ndvi of files by number", *three, ("expression", "(b3-b1)/(b3+b1)"), stack="bands")
    yield _tile(
        "ndvi of assets as bands",
        *three,
        ("asset_as_band", "true"),
        ("expression", "(nir-red)/(nir+red)"),
        stack="bands",
    )
    yield _tile("of files, unknown", ("assets", "swir"), stack="bands")
    yield _tile("of files, none", stack="bands")


def _lonlat(column: float, row: float) -> str:
    lon, lat = WEB.lnglat(EDGE.left + column * STEP, EDGE.top - row * STEP)
    return f"{lon},{lat}"


def _points() -> Iterator[Ask]:
    here = f"/point/{_lonlat(100.5, 100.5)}"
    yield Ask("point", here)
    yield Ask("point under one scene", f"/point/{_lonlat(250.5, 250.5)}")
    yield Ask("point on nodata", f"/point/{_lonlat(130.5, 40.5)}")
    yield Ask("point with bidx", here, [("bidx", "2")])
    yield Ask("point with expression", here, [("expression", "b1-b2")], "many")
    yield Ask("point unscaled", here, [("unscale", "true")], "many")
    yield Ask(
        "point in metres",
        f"/point/{EDGE.left + 100.5 * STEP},{EDGE.top - 100.5 * STEP}",
        [("coord_crs", "epsg:3857")],
    )
    yield Ask("point of files", here, [("assets", "red"), ("assets", "nir")], "bands")
    yield Ask("point of UTM scenes", here, stack="utm")
    yield Ask("point of float", here, stack="height")
    yield Ask("point nowhere", "/point/0,0")


def _box(part: Part) -> str:
    west, south, east, north = _lonlat_box(part)
    return f"{west},{south},{east},{north}"


def _lonlat_box(part: Part) -> tuple[float, float, float, float]:
    (west, south), *_ = footprint(part)["coordinates"][0]
    east, north = footprint(part)["coordinates"][0][2]
    return west, south, east, north


def _metres(part: Part) -> str:
    return ",".join(
        str(n)
        for n in (
            EDGE.left + part[0] * STEP, EDGE.top - part[3] * STEP,
            EDGE.left + part[2] * STEP, EDGE.top - part[1] * STEP,
        )
    )  # fmt: skip


SOME: Part = (32, 48, 160, 176)
METRES: Query = [("coord_crs", "epsg:3857"), ("dst_crs", "epsg:3857")]


def _boxes() -> Iterator[Ask]:
    yield Ask("bbox in metres", f"/bbox/{_metres(SOME)}.npy", METRES)
    yield Ask("bbox in metres with a size", f"/bbox/{_metres(SOME)}/128x128.npy", METRES)
    yield Ask("bbox in metres as tif", f"/bbox/{_metres(SOME)}.tif", METRES)
    yield Ask("bbox in metres as png", f"/bbox/{_metres(SOME)}.png", METRES)
    yield Ask("bbox with a size", f"/bbox/{_box(SOME)}/200x100.npy", pixels="ties")
    yield Ask("bbox", f"/bbox/{_box(SOME)}.npy", pixels="ties")
    yield Ask("bbox as tif", f"/bbox/{_box(SOME)}.tif", pixels="ties")
    yield Ask(
        "bbox of max_size",
        f"/bbox/{_metres(SOME)}.npy",
        [*METRES, ("max_size", "64")],
        pixels="ties",
    )
    yield Ask(
        "bbox of width", f"/bbox/{_metres(SOME)}.npy", [*METRES, ("width", "64")], pixels="ties"
    )
    yield Ask(
        "bbox of height and width",
        f"/bbox/{_metres(SOME)}.npy",
        [*METRES, ("width", "64"), ("height", "64")],
        pixels="ties",
    )
    yield Ask(
        "bbox in one CRS, shown in another",
        f"/bbox/{_box(SOME)}/128x128.tif",
        [("dst_crs", "epsg:3857")],
        pixels="ties",
    )
    yield Ask(
        "bbox of UTM scenes",
        f"/bbox/{_box(SOME)}/128x128.npy",
        [("dst_crs", "epsg:32632")],
        "utm",
        pixels="ties",
    )
    yield Ask(
        "bbox styled",
        f"/bbox/{_metres(SOME)}.png",
        [*METRES, ("bidx", "1"), ("rescale", "0,4000"), ("colormap_name", "viridis")],
        "many",
    )
    yield Ask(
        "bbox with an algorithm",
        f"/bbox/{_metres(SOME)}.npy",
        [*METRES, ("algorithm", "slope"), ("algorithm_params", '{"buffer": 0}')],
        "height",
    )
    yield Ask(
        "bbox with an algorithm as tif",
        f"/bbox/{_metres(SOME)}.tif",
        [*METRES, ("algorithm", "hillshade"), ("algorithm_params", '{"buffer": 0}')],
        "height",
    )
    yield Ask(
        "bbox with pixel_selection",
        f"/bbox/{_metres(SOME)}.npy",
        [*METRES, ("pixel_selection", "mean")],
    )
    yield Ask("bbox nowhere", f"/bbox/{_box((-600, 0, -500, 100))}/64x64.png")
    yield Ask(
        "bbox of files",
        f"/bbox/{_metres(SOME)}.npy",
        [*METRES, ("assets", "red"), ("assets", "nir")],
        "bands",
    )


def _feature(part: Part = SOME, **properties: Any) -> dict[str, Any]:
    ring = footprint(part)["coordinates"][0]
    triangle = {"type": "Polygon", "coordinates": [[ring[0], ring[1], ring[2], ring[0]]]}
    return {"type": "Feature", "properties": properties, "geometry": triangle}


def _features() -> Iterator[Ask]:
    shown = [("dst_crs", "epsg:3857")]
    yield Ask("feature", "/feature", body=_feature(), pixels="lossy")
    yield Ask("feature as png", "/feature.png", body=_feature(), pixels="ties")
    yield Ask("feature as tif in metres", "/feature.tif", shown, body=_feature(), pixels="ties")
    yield Ask("feature with a size", "/feature/100x80.npy", body=_feature(), pixels="ties")
    yield Ask(
        "feature with a size in metres",
        "/feature/128x128.npy",
        shown,
        body=_feature(),
        pixels="ties",
    )
    yield Ask(
        "feature of max_size",
        "/feature.npy",
        [*shown, ("max_size", "50")],
        body=_feature(),
        pixels="ties",
    )
    yield Ask(
        "feature styled",
        "/feature/64x64.png",
        [("bidx", "1"), ("rescale", "0,4000"), ("colormap_name", "viridis")],
        "many",
        _feature(),
        "ties",
    )


def _statistics() -> Iterator[Ask]:
    square = {"type": "Feature", "properties": {"name": "a"}, "geometry": footprint(SOME)}
    both = {"type": "FeatureCollection", "features": [square, _feature(name="b")]}
    here = [("dst_crs", "epsg:3857")]
    yield Ask("statistics", "/statistics", here, body=square)
    yield Ask("statistics in degrees", "/statistics", body=square)
    yield Ask("statistics of two", "/statistics", here, body=both)
    yield Ask("statistics of a triangle", "/statistics", here, body=_feature())
    yield Ask("statistics of bands", "/statistics", [*here, ("bidx", "2")], "many", square)
    yield Ask(
        "statistics of ndvi",
        "/statistics",
        [*here, ("expression", "(b4-b3)/(b4+b3)")],
        "many",
        square,
    )
    yield Ask(
        "statistics of percentiles",
        "/statistics",
        [*here, ("p", "5"), ("p", "50"), ("p", "95")],
        body=square,
    )
    yield Ask(
        "statistics of histogram",
        "/statistics",
        [*here, ("histogram_bins", "4"), ("histogram_range", "0,200")],
        body=square,
    )
    yield Ask(
        "statistics of edges",
        "/statistics",
        [*here, ("histogram_bins", "0,50,100,256")],
        body=square,
    )
    yield Ask(
        "statistics of categories",
        "/statistics",
        [*here, ("bidx", "1"), ("categorical", "true"), ("c", "7"), ("c", "9")],
        body=square,
    )
    yield Ask("statistics of max_size", "/statistics", [*here, ("max_size", "64")], body=square)
    yield Ask(
        "statistics of files",
        "/statistics",
        [*here, ("assets", "red"), ("assets", "nir")],
        "bands",
        square,
    )


def _maps() -> Iterator[Ask]:
    metres = [("bbox", _metres(SOME)), ("bbox-crs", "epsg:3857"), ("crs", "epsg:3857")]
    size = [("width", "128"), ("height", "128")]
    yield Ask("map of a box in metres", "/map", [*metres, *size])
    yield Ask("map as tif", "/map", [*metres, *size, ("f", "tif")])
    yield Ask(
        "map as what is accepted", "/map", [*metres, *size], accept="image/jpeg", pixels="lossy"
    )
    yield Ask("map of a width", "/map", [*metres, ("width", "64")], pixels="ties")
    yield Ask("map of no size", "/map", metres, pixels="ties")
    yield Ask("map of a box", "/map", [("bbox", _box(SOME)), *size], pixels="ties")
    yield Ask(
        "map of a box with heights", "/map", [("bbox", _box_of_heights()), *size], pixels="ties"
    )
    yield Ask("map of all", "/map", [("width", "64")])


def _box_of_heights() -> str:
    west, south, east, north = _lonlat_box(SOME)
    return f"{west},{south},0,{east},{north},100"


def _assets() -> Iterator[Ask]:
    yield Ask("assets of a tile", f"{TILE}/assets")
    yield Ask("assets of a point", f"/point/{_lonlat(100.5, 100.5)}/assets")
    yield Ask("assets of a bbox", f"/bbox/{_box(SOME)}/assets")
    yield Ask(
        "assets of a bbox in metres", f"/bbox/{_metres(SOME)}/assets", [("coord_crs", "epsg:3857")]
    )
    yield Ask("assets of nothing", "/point/0,0/assets")


def _described() -> Iterator[Ask]:
    yield Ask("info", "/info")
    yield Ask("info as GeoJSON", "/info.geojson")
    yield Ask("info as GeoJSON in metres", "/info.geojson", [("crs", "epsg:3857")])
    yield Ask("tilejson", "/WebMercatorQuad/tilejson.json")
    yield Ask(
        "tilejson with parameters",
        "/WebMercatorQuad/tilejson.json",
        [
            ("bidx", "1"),
            ("rescale", "0,9"),
            ("tile_format", "png"),
            ("minzoom", "9"),
            ("maxzoom", "11"),
            ("tilesize", "256"),
        ],
    )
    yield Ask("tilejson in degrees", "/WorldCRS84Quad/tilejson.json", [("tilesize", "256")])
    yield Ask("tilesets", "/tiles")
    yield Ask("tilesets in metres", "/tiles", [("crs", "epsg:3857")])
    yield Ask("tilesets as html", "/tiles", [("f", "html")])
    yield Ask("tilesets, accepting html", "/tiles", accept="text/html")
    yield Ask("tileset", "/tiles/WebMercatorQuad")
    yield Ask("tileset with zooms", "/tiles/WebMercatorQuad", [("minzoom", "9"), ("maxzoom", "10")])
    yield Ask("tileset in degrees", "/tiles/WorldCRS84Quad")
    yield Ask("tileset as html", "/tiles/WebMercatorQuad", [("f", "html")])
    yield Ask("map page", "/WebMercatorQuad/map.html")
    yield Ask("WMTS", "/WMTSCapabilities.xml")
    yield Ask(
        "WMTS with parameters",
        "/WMTSCapabilities.xml",
        [
            ("bidx", "1"),
            ("tile_format", "jpg"),
            ("use_epsg", "true"),
            ("zooms", "WebMercatorQuad::9,10"),
        ],
    )


def _catalogues() -> Iterator[Ask]:
    for name in ("tileMatrixSets", "algorithms", "colorMaps"):
        yield Ask(f"catalogue of {name}", f"/{name}", stack="")
        yield Ask(f"catalogue of {name} as html", f"/{name}", [("f", "html")], stack="")
    for name in ("WebMercatorQuad", "WorldCRS84Quad", "EuropeanETRS89_LAEAQuad"):
        yield Ask(f"matrix set {name}", f"/tileMatrixSets/{name}", stack="")
    yield Ask("matrix set that is none", "/tileMatrixSets/Nowhere", stack="")
    for name in ("hillshade", "cast", "normalizedIndex"):
        yield Ask(f"algorithm {name}", f"/algorithms/{name}", stack="")
    yield Ask("algorithm that is none", "/algorithms/magic", stack="")
    for name in ("viridis", "schwarzwald", "cfastie"):
        yield Ask(f"colormap {name}", f"/colorMaps/{name}", stack="")
    yield Ask("colormap as png", "/colorMaps/viridis", [("f", "png")], stack="")
    yield Ask(
        "colormap as png, upright",
        "/colorMaps/viridis",
        [("f", "png"), ("orientation", "vertical"), ("width", "20"), ("height", "100")],
        stack="",
    )
    yield Ask("colormap that is none", "/colorMaps/plaid", stack="")


def _refused() -> Iterator[Ask]:
    for name, value in {
        "bidx": "9", "expression": "b1+", "rescale": "1", "colormap_name": "plaid", "colormap": "{",
        "algorithm": "magic", "pixel_selection": "magic", "resampling": "magic", "nodata": "none",
        "color_formula": "magic", "tilesize": "0", "buffer": "-1", "padding": "-1",
    }.items():  # fmt: skip
        yield _tile(f"refused {name}={value}", (name, value), suffix=".png")
    yield Ask("tile refused format", f"{TILE}.xyz")
    yield Ask("tile refused matrix set", "/tiles/Nowhere/1/0/0")
    yield Ask("bbox refused CRS", f"/bbox/{_box(WHOLE)}/9x9.png", [("coord_crs", "magic")])
    yield Ask("feature refused", "/feature.png", body={"type": "Nothing"})
    yield Ask("statistics refused", "/statistics", body={"type": "Nothing"})
