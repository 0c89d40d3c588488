"""GetMap: the pixels of `/bbox`, whatever the version and the order of axes (OGC 06-042, 7.3)."""

import json
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds

from api.served import EDGE
from wms.conftest import Service

WORLD = 40075016.685578488

CRSS = {
    "CRS:84": False,
    "EPSG:4326": True,
    "EPSG:4258": True,
    "EPSG:3857": False,
    "EPSG:3395": False,
    "EPSG:32632": False,
    "EPSG:3035": True,
    "EPSG:31467": True,
    "EPSG:3995": False,
    "EPSG:32661": True,
    "EPSG:2056": False,
    "ESRI:54009": False,
    "OGC:CRS84": False,
    "urn:ogc:def:crs:EPSG::4326": True,
}
"""Whether the axes of a CRS are north before east, as its authority has them: EPSG's registry."""


def pixels(answer: Any) -> Any:
    """Bands, shape (bands, height, width)."""
    assert answer.headers["Content-Type"].startswith("image/"), answer.text
    with MemoryFile(answer.content) as file, file.open() as image:
        return image.read()


def box_in(crs: str) -> tuple[float, float, float, float]:
    """The tile in a CRS, x before y."""
    name = "EPSG:4326" if "84" in crs and "CRS" in crs else crs.replace("urn:ogc:def:crs:", "")
    found = transform_bounds("EPSG:3857", name.replace("::", ":"), *EDGE, densify_pts=21)
    left, bottom, right, top = (float(f"{edge:.9g}") for edge in found)
    return left, bottom, right, top


@pytest.mark.parametrize("crs", CRSS)
@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_a_map_is_the_image_of_its_box(wms: Service, crs: str, version: str) -> None:
    left, bottom, right, top = box_in(crs)
    asked = (bottom, left, top, right) if version == "1.3.0" and CRSS[crs] else box_in(crs)
    name = {"CRS" if version == "1.3.0" else "SRS": crs}
    plain = {"VERSION": version, "CRS": None, "BBOX": ",".join(map(str, asked)), "HEIGHT": 100}
    found = wms.map(**(plain | name))
    ours = crs.replace("CRS:84", "OGC:CRS84").replace("OGC:OGC:", "OGC:")
    url = f"/mosaics/m/bbox/{left},{bottom},{right},{top}/256x100.png"
    image = wms.server.get(url, coord_crs=ours)
    assert image.status_code == 200, image.text
    assert found.content == image.content
    assert found.headers["X-Scenes"] == image.headers["X-Scenes"] == "new,old"
    assert found.headers["ETag"] == image.headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "ours"),
    [
        ({"STYLES": "ramp"}, {"render": "ramp"}),
        ({"STYLES": "stretched,"}, {"render": "stretched"}),
        ({"STYLES": "default"}, {}),
        ({"RESCALE": "0,50", "Bidx": "2"}, {"rescale": "0,50", "bidx": "2"}),
        ({"STYLES": "ramp", "rescale": "0,50"}, {"render": "ramp", "rescale": "0,50"}),
        ({"TIME": "2026-01-01"}, {"datetime": "2026-01-01"}),
        ({"mosaicrule": '{"mosaicOperation":"MT_MEAN"}'}, {"operation": "mean"}),
        ({"filter": "id='old'", "FILTER-LANG": "cql2-text"}, {"filter": "id='old'"}),
    ],
    ids=["render", "comma", "default", "vendor", "over a render", "time", "rule", "filter"],
)  # fmt: skip
def test_styles_and_our_own_parameters(
    wms: Service, asked: dict[str, str], ours: dict[str, str]
) -> None:
    box = ",".join(map(str, (EDGE.left, EDGE.bottom, EDGE.right, EDGE.top)))
    url = f"/mosaics/m/bbox/{box}/256x256.png"
    assert wms.map(**asked).content == wms.server.get(url, coord_crs="EPSG:3857", **ours).content


def test_names_are_read_in_any_case(wms: Service) -> None:
    given = {name.lower(): value for name, value in dict(wms.map().request.url.params).items()}
    mixed = {name.title(): value for name, value in given.items()}
    assert wms.get(**given).content == wms.get(**mixed).content == wms.map().content


def test_it_is_the_same_among_all_mosaics(wms: Service) -> None:
    every = Service(wms.server, "/wms")
    assert every.map().content == wms.map().content


class TestBackground:
    def test_a_map_is_white_where_nothing_is(self, wms: Service) -> None:
        """TRANSPARENT is FALSE by default, and BGCOLOR white (OGC 06-042, 7.3.3.9)."""
        image = pixels(wms.map(TRANSPARENT=None))
        assert (image[:3, :, 200] == 255).all()
        assert (image[3] == 255).all()
        assert np.array_equal(image[:3, :, :192], pixels(wms.map())[:3, :, :192])

    @pytest.mark.parametrize("media_type", ["image/png", "image/webp", "image/jpeg"])
    @pytest.mark.parametrize("transparent", ["TRUE", "FALSE"])
    def test_it_may_have_another_color(
        self, wms: Service, media_type: str, transparent: str
    ) -> None:
        """A JPEG, which cannot be transparent, has it in any case."""
        answer = wms.map(FORMAT=media_type, BGCOLOR="0x2080F0", TRANSPARENT=transparent)
        assert answer.headers["Content-Type"] == media_type
        image = pixels(answer).astype(int)
        if transparent == "TRUE" and media_type != "image/jpeg":
            assert image[3, 9, 240] == 0
        else:
            assert np.abs(image[:3, 9, 240] - [0x20, 0x80, 0xF0]).max() <= 4
            assert len(image) == 3 or (image[3] == 255).all()

    def test_gray_stays_gray_on_gray(self, wms: Service) -> None:
        gray = pixels(wms.map(bidx=1, TRANSPARENT="FALSE", BGCOLOR="0x404040"))
        assert gray.shape[0] == 2
        assert (gray[0, :, 200] == 0x40).all()
        colored = pixels(wms.map(bidx=1, TRANSPARENT="FALSE", BGCOLOR="0x400000"))
        assert colored[:, 0, 200].tolist() == [0x40, 0, 0, 255]
        assert np.array_equal(colored[0, :, :192], gray[0, :, :192])
        assert np.array_equal(colored[2, :, :192], gray[0, :, :192])

    def test_a_translucent_color_is_mixed_with_it(self, wms: Service) -> None:
        colormap = "[[[0, 255], [100, 200, 0, 51]]]"
        image = pixels(wms.map(bidx=1, colormap=colormap, TRANSPARENT="FALSE"))
        assert image[:, 0, 0].tolist() == [224, 244, 204, 255]

    def test_a_geotiff_has_values_without_it(self, wms: Service) -> None:
        answer = wms.map(FORMAT="image/tiff", TRANSPARENT="FALSE")
        with MemoryFile(answer.content) as file, file.open() as image:
            assert image.crs == rasterio.CRS.from_epsg(3857)
            assert image.bounds == pytest.approx([*EDGE])
            assert not image.dataset_mask()[:, 200].any()

    def test_backgrounds_have_etags_of_their_own(self, wms: Service) -> None:
        found = [wms.map(TRANSPARENT="FALSE", BGCOLOR=c) for c in ("0xFFFFFF", "0x000000")]
        assert len({answer.headers["ETag"] for answer in found}) == 2
        again = wms.server.client.get(
            str(found[0].request.url), headers={"If-None-Match": found[0].headers["ETag"]}
        )
        assert again.status_code == 304


class TestWorld:
    """Maps of clients show more than the world, and below the minzoom: no request may fail."""

    def test_beyond_the_poles_is_nothing(self, wms: Service) -> None:
        asked = {"VERSION": "1.1.1", "SRS": "EPSG:4326", "WIDTH": 540, "HEIGHT": 240}
        large = wms.map(BBOX="-270,-120,270,120", **asked)
        assert (
            large.headers["X-Scenes"]
            == wms.map(**(asked | {"WIDTH": 360, "HEIGHT": 180}), BBOX="-180,-90,180,90").headers[
                "X-Scenes"
            ]
        )
        assert not pixels(large)[-1, :30].any()

    def test_the_world_is_shown_as_often_as_the_map_has_room(self, wms: Service) -> None:
        west, south, east, north = box_in("CRS:84")
        asked = {"VERSION": "1.1.1", "SRS": "EPSG:4326", "HEIGHT": 64, "WIDTH": 64}
        plain = pixels(wms.map(**asked, BBOX=f"{west},{south},{east},{north}"))
        for turns in (-30, -2, -1, 1, 2):
            box = f"{west + 360 * turns},{south},{east + 360 * turns},{north}"
            assert np.array_equal(pixels(wms.map(**asked, BBOX=box)), plain)

    @pytest.mark.parametrize("worlds", [2, 3, 6.25, 9.5])
    def test_and_three_times_at_most(self, wms: Service, worlds: float) -> None:
        """As OpenLayers asks for it at its lowest zooms, on a wide screen."""
        half = worlds * WORLD / 2
        width = round(1024 * worlds)
        asked = {"WIDTH": width, "HEIGHT": 64, "TRANSPARENT": "FALSE", "operation": "count"}
        wide = wms.map(BBOX=f"{-half},{5.7e6},{half},{8.2e6}", rescale="0,255", **asked)
        found = np.flatnonzero((pixels(wide)[0] < 255).any(axis=0))
        at = (EDGE.left + half) / (2 * half) * width
        turns = [at + n * 1024 for n in range(-1, 2) if 0 < at + n * 1024 < width]
        assert {min(range(len(turns)), key=lambda n: abs(turns[n] - c)) for c in found} == {
            *range(len(turns))
        }
        assert all(min(abs(c - turn) for turn in turns) < 3 for c in found)

    @pytest.mark.parametrize(
        "changed",
        [
            {"VERSION": "1.1.1", "SRS": "EPSG:4326", "BBOX": "0,95,10,110"},
            {"CRS": "EPSG:32632", "BBOX": "9e8,9e8,9.1e8,9.1e8"},
            {"CRS": "EPSG:3995", "BBOX": "8e8,8e8,8.1e8,8.1e8"},
        ],
    )
    def test_off_the_globe_is_nothing(self, wms: Service, changed: dict[str, str]) -> None:
        answer = wms.map(**changed)
        assert not pixels(answer)[-1].any()
        assert answer.headers["X-Scenes"] == ""
        assert wms.info(**changed, X=5, Y=7).json()["features"] == []

    def test_coarser_than_the_minzoom_is_nothing_and_says_so(self, wms: Service) -> None:
        coarse = Service(wms.server, "/mosaics/coarse/wms", "coarse")
        box = ",".join(str(edge * 40) for edge in (-1e6, -1e6, 1e6, 1e6))
        answer = coarse.map(BBOX=box)
        assert answer.headers["X-Truncated"] == "minzoom"
        assert not pixels(answer)[-1].any()
        assert "X-Truncated" not in coarse.map().headers

    def test_it_is_as_far_as_the_capabilities_say(self, wms: Service) -> None:
        """At the largest scale denominator the map has scenes, well above it has none."""
        coarse = Service(wms.server, "/mosaics/coarse/wms", "coarse")
        text = coarse.get(SERVICE="WMS", REQUEST="GetCapabilities").text
        largest = float(text.split("<MaxScaleDenominator>")[1].split("<")[0])
        middle = (EDGE.left + EDGE.right) / 2, (EDGE.bottom + EDGE.top) / 2
        shown = []
        for factor in (1.0, 1.3):
            half = factor * largest * 0.28e-3 * 256 / 2
            box = middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half
            shown.append(coarse.map(BBOX=",".join(map(str, box))).headers["X-Scenes"])
        assert shown == ["new", ""]


def test_a_map_of_values_needs_a_scale_or_a_geotiff(wms: Service) -> None:
    floats = Service(wms.server, "/mosaics/floats/wms", "floats")
    assert "float32 pixels need rescale" in floats.map().text
    assert pixels(floats.map(rescale="1,2"))[0, 0, 0] == 127
    assert (pixels(floats.map(FORMAT="image/tiff"))[0] == 1.5).all()
    formats = floats.get(SERVICE="WMS", REQUEST="GetCapabilities").text
    assert formats.index("image/tiff") < formats.index("image/png")


def test_unknown_parameters_are_named_and_those_of_other_servers_are_not(wms: Service) -> None:
    answer = wms.map(DPI=96, MAP_RESOLUTION=96, FORMAT_OPTIONS="dpi:96", TILED="true", speed=9)
    assert answer.content == wms.map().content
    assert answer.headers["X-Unknown-Parameters"] == "speed"


def test_items_that_are_not_there_are_named(wms: Service) -> None:
    answer = wms.map(ids="old,nowhere")
    assert (answer.headers["X-Missing-Items"], answer.headers["X-Scenes"]) == ("nowhere", "old")
    assert wms.map(ids="nowhere").status_code == 404


def test_head_and_ranges_are_those_of_images(wms: Service) -> None:
    url = str(wms.map().request.url)
    head = wms.server.client.head(url)
    assert (head.content, head.headers["ETag"]) == (b"", wms.map().headers["ETag"])


class TestPng8:
    """A PNG of a byte a pixel, as MapServer and GeoServer name it."""

    def _paletted(self, answer: Any) -> tuple[Any, Any]:
        """Red, green, blue and alpha of each pixel, shape (4, height, width), and the palette."""
        assert answer.headers["Content-Type"] == "image/png; mode=8bit", answer.text
        with MemoryFile(answer.content) as file, file.open() as image:
            assert (image.count, image.dtypes) == (1, ("uint8",))
            colors, places = image.colormap(1), image.read(1)
        table = np.array([colors[number] for number in range(len(colors))])
        return np.moveaxis(table[places], -1, 0), table

    @pytest.mark.parametrize(
        "name",
        ["image/png8", "image/png; mode=8bit", "image/png;mode=8bit", "IMAGE/PNG; MODE=8BIT"],
    )
    def test_few_colors_are_kept(self, wms: Service, name: str) -> None:
        asked = {"TIME": "2026-01-01"}
        found, _ = self._paletted(wms.map(FORMAT=name, **asked))
        assert np.array_equal(found, pixels(wms.map(**asked)))
        assert {*found[3].ravel()} == {0, 255}

    def test_many_colors_are_near(self, wms: Service) -> None:
        """Noise, which no palette has: Pillow's octree is the other one that knows alpha."""
        found, table = self._paletted(wms.map(FORMAT="image/png8"))
        plain = pixels(wms.map())
        theirs = Image.fromarray(plain.transpose(1, 2, 0)).quantize(256).convert("RGBA")
        seen = plain[3] > 0
        ours, other = (
            np.abs(one[:, seen].astype(int) - plain[:, seen]).mean()
            for one in (found, np.asarray(theirs).transpose(2, 0, 1))
        )
        assert len(table) == 256
        assert np.array_equal(found[3], plain[3])
        assert ours < other

    def test_a_ramp_keeps_its_colors(self, wms: Service) -> None:
        found, _ = self._paletted(wms.map(FORMAT="image/png8", STYLES="ramp"))
        assert np.array_equal(found, pixels(wms.map(STYLES="ramp")))

    def test_gray_is_gray(self, wms: Service) -> None:
        found, _ = self._paletted(wms.map(FORMAT="image/png8", bidx=1))
        gray, alpha = pixels(wms.map(bidx=1))
        assert all(np.array_equal(band, gray) for band in found[:3])
        assert np.array_equal(found[3], alpha)

    def test_translucent_colors_stay_so(self, wms: Service) -> None:
        colors = {str(n): f"#{n:02x}{255 - n:02x}0740" for n in range(200)}
        text = json.dumps(colors, separators=(",", ":"))
        asked = {"colormap": text, "bidx": 1}
        found, _ = self._paletted(wms.map(FORMAT="image/png8", **asked))
        assert np.array_equal(found, pixels(wms.map(**asked)))

    @pytest.mark.parametrize("time", ["2026-01-01", "1999"])
    def test_the_background_is_a_color_of_it(self, wms: Service, time: str) -> None:
        asked = {"TIME": time, "TRANSPARENT": "FALSE", "BGCOLOR": "0x2080F0"}
        found, _ = self._paletted(wms.map(FORMAT="image/png8", **asked))
        assert found[:, 9, 240].tolist() == [0x20, 0x80, 0xF0, 255]
        plain = np.broadcast_to(pixels(wms.map(**asked))[:3], (3, 256, 256))
        assert np.array_equal(found[:3], plain)

    @pytest.mark.parametrize("where", ["beyond the world", "too coarse", "no scene"])
    def test_nothing_is_transparent(self, wms: Service, where: str) -> None:
        service, asked = wms, {"TIME": "1999"}
        if where == "too coarse":
            service = Service(wms.server, "/mosaics/coarse/wms", "coarse")
            asked = {"BBOX": f"{-WORLD / 2},{-WORLD / 2},{WORLD / 2},{WORLD / 2}"}
        elif where == "beyond the world":
            asked = {"BBOX": f"0,{WORLD},{WORLD / 4},{WORLD * 2}"}
        found, _ = self._paletted(service.map(FORMAT="image/png8", **asked))
        assert not found[3].any()

    def test_it_has_an_etag_of_its_own(self, wms: Service) -> None:
        answer = wms.map(FORMAT="image/png8")
        assert answer.headers["ETag"] == wms.map(FORMAT="image/png;mode=8bit").headers["ETag"]
        assert answer.headers["ETag"] != wms.map().headers["ETag"]
        known = {"If-None-Match": answer.headers["ETag"]}
        again = wms.server.client.get(str(answer.request.url), headers=known)
        assert again.status_code == 304

    def test_values_that_are_no_colors_are_refused(self, wms: Service) -> None:
        floats = Service(wms.server, "/mosaics/floats/wms", "floats")
        assert "rescale=min,max" in floats.map(FORMAT="image/png8").text
        wms.server.create("words")
        wms.server.publish("w", 300, mosaic="words", dtype="uint16")
        words = Service(wms.server, "/mosaics/words/wms", "words")
        assert "uint16 pixels have no 8 bits" in words.map(FORMAT="image/png8").text
        found, _ = self._paletted(words.map(FORMAT="image/png8", rescale="0,600"))
        assert found[:, 9, 9].tolist() == [127, 127, 127, 255]

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    def test_the_capabilities_list_it(self, wms: Service, version: str) -> None:
        found = wms.get(SERVICE="WMS", REQUEST="GetCapabilities", VERSION=version).text
        assert found.index("<Format>image/png</Format>") < found.index("image/png; mode=8bit")
