"""exportImage: any box, CRS, size, format and pixel type; errors as ArcGIS's clients know them."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds

from api.served import AUTHORIZED, EDGE, LEFT, Server, X, Y, Z, quiet, serving, tile_url
from arcgis.asking import BOX, asked, exported, pixels, url, written
from livemosaic.table.sqlite import SqliteTable

CRSS = (3857, 4326, 32632, 3035, 2056, 3395, 25832, 6933)
PHOTO = (
    np.sin(np.indices((256, 256)).sum(axis=0) * np.array([9, 7, 5])[:, None, None] / 500) * 90
    + np.hypot(*np.indices((256, 256)) - 99) / 3
    + np.random.default_rng(8).normal(90, 2, (3, 256, 256))
).clip(0, 255).astype("uint8")  # fmt: skip
"""Smooth, and with noise: thousands of colors."""
RAMP = np.arange(3 * 256 * 256).reshape(3, 256, 256) % 251


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The mosaic `m` of two scenes, `f` of heights, `r` with a render."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("a", RAMP.astype("uint8"))
        made.publish("b", [40, 50, 60], LEFT, day=2)
        made.create("f")
        heights = np.hypot(*np.indices((256, 256)) - 100).astype("float32")[None] * 9
        made.publish("h", heights, mosaic="f", nodata=-9999)
        made.create("r", renders={"red": {"bidx": [1], "rescale": [[0, 100]]}})
        made.publish("a", [10, 20, 30], mosaic="r")
        renders = {
            "second": {"bidx": [2]}, "ratio": {"expression": "b1/b2"},
            "drawn": {"rescale": [[0, 2000]]},
        }  # fmt: skip
        made.create("w", renders=renders)
        made.publish(
            "a", np.stack([RAMP[0] + 1000, RAMP[0] // 9 + 50]).astype("uint16"), mosaic="w"
        )
        yield made


def off(image: NDArray[np.uint8]) -> float:
    """How far the colors of an image, shape (256, 256, 3), are from `PHOTO`'s on average."""
    apart = np.moveaxis(image, -1, 0).astype(float) - PHOTO
    return float(np.sqrt((apart**2).sum(axis=0)).mean())


@pytest.fixture(scope="module")
def token(service: Server) -> str:
    """Of the private service `p`."""
    service.create("p", access="private")
    service.publish("a", [1, 2, 3], mosaic="p")
    answer = service.client.post("/mosaics/p/tokens", json={}, headers=AUTHORIZED)
    token: str = answer.json()["access_token"]
    return token


class TestPlaces:
    @pytest.mark.parametrize("code", CRSS)
    def test_an_export_has_the_pixels_of_our_own_box(self, service: Server, code: int) -> None:
        bounds = transform_bounds(3857, code, *EDGE)
        box = ",".join(map(repr, bounds))
        ours = service.get(f"/mosaics/m/bbox/{box}/120x80.tif", coord_crs=f"EPSG:{code}")
        theirs = exported(
            service, bbox=box, bboxSR=code, imageSR=code, size="120,80", format="tiff",
            adjustAspectRatio="false",
        )  # fmt: skip
        assert (pixels(ours) == pixels(theirs)).all()
        with MemoryFile(theirs.content) as file, file.open() as image:
            assert image.crs == CRS.from_epsg(code)
            assert image.bounds == pytest.approx(bounds)

    @pytest.mark.parametrize("code", CRSS)
    def test_a_box_of_one_reference_is_drawn_in_another(self, service: Server, code: int) -> None:
        ours = service.get(
            f"/mosaics/m/bbox/{BOX}/120x80.tif", coord_crs="EPSG:3857", dst_crs=f"EPSG:{code}"
        )
        theirs = exported(
            service, bboxSR=102100, imageSR={"wkid": code}, size="120,80", format="tiff",
            adjustAspectRatio="false",
        )  # fmt: skip
        assert (pixels(ours) == pixels(theirs)).all()

    def test_the_reference_is_that_of_the_service_without_one_and_may_be_wkt(self, service) -> None:
        plain = pixels(exported(service, format="tiff"))
        wkt = CRS.from_epsg(3857).to_wkt()
        assert (pixels(exported(service, format="tiff", bboxSR={"wkt": wkt})) == plain).all()
        own = service.get(f"{tile_url()}.tif")
        assert (pixels(own) == plain).all()

    def test_a_box_of_another_shape_grows_to_square_pixels(self, service: Server) -> None:
        found = asked(service, "exportImage", bbox=BOX, size="512,256")["extent"]
        height = EDGE.top - EDGE.bottom
        assert found["ymax"] - found["ymin"] == pytest.approx(height)
        assert found["xmax"] - found["xmin"] == pytest.approx(2 * height)
        assert (found["xmin"] + found["xmax"]) / 2 == pytest.approx((EDGE.left + EDGE.right) / 2)
        kept = asked(service, "exportImage", bbox=BOX, size="512,256", adjustAspectRatio=False)
        assert kept["extent"]["xmax"] == EDGE.right

    @pytest.mark.parametrize(
        ("box", "code"),
        [("-400,-200,400,200", 4326), ("-9e7,-9e7,9e7,9e7", 3857), ("-200,-100,-170,95", 4326)],
    )
    def test_a_box_beyond_the_globe_has_blank_edges(self, service: Server, box, code) -> None:
        found = pixels(exported(service, bbox=box, bboxSR=code, imageSR=code, format="png32"))
        assert found.shape[1:] == (256, 256)
        assert not found[:, 0].any()

    def test_a_box_may_have_its_sides_the_other_way_round(self, service: Server) -> None:
        """As esri-leaflet sends it: north before south."""
        turned = ",".join(map(repr, (EDGE.left, EDGE.top, EDGE.right, EDGE.bottom)))
        found = exported(service, bbox=turned, format="png32")
        assert found.content == exported(service, format="png32").content

    def test_pixels_lie_where_they_lie_without_the_edges(self, service: Server) -> None:
        """A map of three worlds, at a scale at which the scene is a pixel or two."""
        turn = 2 * 20037508.342789244
        wide = exported(
            service, bbox=f"{-turn},{-turn},{turn},{turn}", size="2048,2048", format="png32"
        )
        world = exported(
            service,
            bbox=f"{-turn / 2},{-turn / 2},{turn / 2},{turn / 2}",
            size="1024,1024",
            format="png32",
        )
        assert (pixels(wide)[:, 512:1536, 512:1536] == pixels(world)).all()
        assert pixels(world)[-1].any()


class TestFormats:
    def test_jpgpng_is_a_jpeg_where_all_is_valid_and_a_png_elsewhere(self, service: Server) -> None:
        left, bottom, right, top = EDGE
        beside = f"{left - 9},{bottom - 9},{right + 9e4},{top + 9e4}"
        assert exported(service).headers["Content-Type"] == "image/jpeg"
        assert exported(service, bbox=beside).headers["Content-Type"] == "image/png"

    def test_a_lower_quality_makes_a_smaller_jpeg(self, service: Server) -> None:
        sizes = [
            len(exported(service, format="jpg", compressionQuality=quality).content)
            for quality in (0, 40, 100)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] * 2 < sizes[2]

    @pytest.mark.parametrize("quality", [None, 60])
    def test_the_quality_is_the_one_that_the_service_states(self, service, quality) -> None:
        name = f"q{quality}"
        service.create(name, **({"quality": quality} if quality else {}))
        service.publish("a", RAMP.astype("uint8"), mosaic=name)
        stated = asked(service, mosaic=name)
        most = stated["defaultCompressionQuality"]
        assert most == stated["tileInfo"]["compressionQuality"] == (quality or 80)
        plain = exported(service, name, format="jpg").content
        assert exported(service, name, format="jpg", compressionQuality=most).content == plain

    def test_png32_has_alpha_and_png24_none(self, service: Server) -> None:
        with MemoryFile(exported(service, format="png32").content) as f, quiet(), f.open() as image:
            assert image.count == 4
        with MemoryFile(exported(service, format="png24").content) as f, quiet(), f.open() as image:
            assert image.count == 3

    def test_png8_has_the_colors_of_an_image_of_few(self, service: Server) -> None:
        left, bottom, right, top = EDGE
        beside = f"{left - 5000},{bottom},{(left + right) / 2},{top}"
        answer = exported(service, bbox=beside, format="png8", adjustAspectRatio=False)
        with MemoryFile(answer.content) as file, quiet(), file.open() as image:
            assert image.count == 1
            colors, places = image.colormap(1), image.read(1)
        shown = {colors[place] for place in np.unique(places)}
        assert shown == {(40, 50, 60, 255), (0, 0, 0, 0)}

    def test_png8_of_a_photograph_is_nearer_than_by_median_cut(self, service: Server) -> None:
        service.create("photo")
        service.publish("photo", PHOTO, mosaic="photo")
        answer = exported(service, "photo", format="png8")
        with Image.open(BytesIO(answer.content)) as image:
            assert image.mode == "P"
            found = np.asarray(image.convert("RGB"))
        cut = Image.fromarray(PHOTO.transpose(1, 2, 0)).quantize(256, dither=Image.Dither.NONE)
        theirs = np.asarray(cut.convert("RGB"))
        assert off(found) <= off(theirs) < 5
        assert exported(service, "photo", format="png8").content == answer.content

    def test_png8_has_all_256_grays(self, service: Server) -> None:
        service.create("grays")
        ramp = np.tile(np.arange(256, dtype="uint8"), (1, 256, 1))
        service.publish("grays", ramp, mosaic="grays")
        answer = exported(service, "grays", format="png8")
        with Image.open(BytesIO(answer.content)) as image:
            found = np.asarray(image.convert("RGB"))
        assert (found == np.arange(256)[None, :, None]).all()

    def test_png8_keeps_invalid_pixels_transparent(self, service: Server) -> None:
        left, bottom, right, top = EDGE
        given = {"bbox": f"{left - 9000},{bottom},{right},{top}", "format": "png8"}
        with Image.open(BytesIO(exported(service, **given).content)) as image:
            found = np.asarray(image.convert("RGBA"))
        plain = pixels(exported(service, **given | {"format": "png32"}))
        assert (found[..., 3] == plain[-1]).all()
        assert {*plain[-1].ravel()} == {0, 255}

    @pytest.mark.parametrize("kind", ["U8", "S16", "U16", "S32", "U32", "F32", "F64"])
    def test_a_tiff_has_the_pixel_type_asked_for(self, service: Server, kind: str) -> None:
        with (
            MemoryFile(exported(service, format="tiff", pixelType=kind).content) as f,
            f.open() as i,
        ):
            bits = int(kind[1:])
            name = {"U": "uint", "S": "int", "F": "float"}[kind[0]]
            assert i.dtypes[0] == f"{name}{bits}"
            assert (i.read([1, 2, 3])[:, :, 200] == RAMP[:, :, 200]).all()

    def test_values_beyond_a_pixel_type_become_its_ends(self, service: Server) -> None:
        heights = pixels(exported(service, "f", format="tiff"))[0]
        bytes_ = pixels(exported(service, "f", format="tiff", pixelType="U8"))[0]
        assert (bytes_ == np.clip(np.floor(heights + 0.5), 0, 255).astype("uint8")).all()
        assert heights.max() > 255

    def test_bsq_is_plain_bands_and_a_mask(self, service: Server) -> None:
        left, bottom, right, top = EDGE
        beside = f"{left - 4000},{bottom},{right},{top}"
        tiff = pixels(exported(service, bbox=beside, format="tiff"))
        body = exported(service, bbox=beside, format="bsq").content
        bands = np.frombuffer(body[: 3 * 256 * 256], "uint8").reshape(3, 256, 256)
        valid = np.unpackbits(np.frombuffer(body[3 * 256 * 256 :], "uint8")).reshape(256, 256)
        assert (bands == tiff[:3]).all()
        assert (valid * 255 == tiff[-1]).all()

    @pytest.mark.parametrize("mosaic", ["m", "f"])
    def test_lerc_is_read_by_the_library_of_its_authors(self, service: Server, mosaic: str) -> None:
        lerc = pytest.importorskip("lerc", reason="pylerc has no wheel for Linux on ARM")
        left, bottom, right, top = EDGE
        given = {"bbox": f"{left - 4000},{bottom},{right},{top}"}
        tiff = pixels(exported(service, mosaic, format="tiff", **given))
        answer = exported(service, mosaic, format="lerc", **given)
        error, data, valid = lerc.decode(answer.content)[:3]
        valid = valid if valid.ndim == 2 else valid[0]
        assert error == 0
        assert (valid == (tiff[-1] > 0)).all()
        bands = data if data.ndim == 3 else data[None]
        assert (bands[:, valid] == tiff[: len(bands), valid]).all()

    def test_heights_are_stretched_to_a_picture_by_the_range_of_the_service(self, service) -> None:
        values = pixels(exported(service, "f", format="tiff"))[0]
        picture = pixels(exported(service, "f", format="png32"))[0]
        assert np.corrcoef(values.ravel(), picture.ravel())[0, 1] > 0.99
        left, bottom, right, top = EDGE
        half = exported(
            service, "f", bbox=f"{left},{bottom},{(left + right) / 2},{top}", size="128,256",
            format="png32",
        )  # fmt: skip
        assert (pixels(half)[0] == picture[:, :128]).all()

    @pytest.mark.parametrize("name", ["second", "ratio"])
    def test_a_render_of_other_values_is_stretched_by_their_own_range(
        self, service: Server, name: str
    ) -> None:
        """Not by the one of the bands that the service has without it."""
        rule = {"renderingRule": {"rasterFunction": name}}
        values = pixels(exported(service, "w", format="tiff", **rule))[0]
        answer = exported(service, "w", format="png32", **rule)
        picture = pixels(answer)[0]
        assert picture.min() == 0
        assert picture.max() == 255
        assert np.corrcoef(values.ravel(), picture.ravel())[0, 1] > 0.99
        tile = service.get(url(f"tile/{Z}/{Y}/{X}", "w"), format="png32", **written(rule))
        assert (pixels(tile)[0] == picture).all()
        (layer,) = asked(service, "legend", "w", **rule)["layers"]
        assert [float(one["label"]) for one in layer["legend"]] == pytest.approx(
            [values.max(), values.min()], rel=1e-4
        )

    def test_scenes_that_are_drawn_already_are_not_stretched(self, service: Server) -> None:
        rule = {"mosaicRule": {"itemRenderingRule": {"rasterFunction": "drawn"}}}
        ours = service.get(tile_url(".png", "w"), item_render="drawn")
        theirs = exported(service, "w", format="png32", **rule)
        assert (pixels(theirs)[0] == pixels(ours)[0]).all()

    def test_sums_are_stretched_by_the_range_of_sums(self, service: Server) -> None:
        service.create("sums")
        for name in ("a", "b"):
            service.publish(name, RAMP[:1].astype("uint16") + 1000, mosaic="sums")
        picture = pixels(
            exported(service, "sums", format="png32", mosaicRule={"mosaicOperation": "MT_SUM"})
        )[0]
        assert (picture.min(), picture.max()) == (0, 255)
        assert len(np.unique(picture)) > 200

    def test_bands_are_counted_from_0(self, service: Server) -> None:
        found = pixels(exported(service, format="tiff", bandIds="2,0"))
        assert (found[:2] == pixels(exported(service, format="tiff"))[[2, 0]]).all()
        assert "band 3 is not there" in exported(service, bandIds="3").text

    def test_nodata_hides_pixels_of_a_value(self, service: Server) -> None:
        found = pixels(exported(service, "r", format="png32", noData=20, bandIds=1))
        assert not found[-1].any()
        assert not pixels(exported(service, "r", format="png32", noData=20))[-1].any()
        all_bands = {"noDataInterpretation": "esriNoDataMatchAll", "format": "png32"}
        assert pixels(exported(service, "r", noData=20, **all_bands))[-1].all()
        assert not pixels(exported(service, "r", noData="10,20,30", **all_bands))[-1].any()
        assert "2 values for 3 bands" in exported(service, noData="1,2").text

    def test_interpolation_is_that_of_our_own_kernels(self, service: Server) -> None:
        found = exported(
            service, size="300,300", format="tiff", interpolation="RSP_BilinearInterpolation"
        )
        ours = service.get(
            f"/mosaics/m/bbox/{BOX}/300x300.tif", coord_crs="EPSG:3857", resampling="bilinear"
        )
        assert (pixels(found) == pixels(ours)).all()
        assert "RSP_CubicConvolution" in exported(service, interpolation="cubic").text


class TestDocuments:
    def test_f_json_has_the_url_of_the_image_and_its_extent(self, service: Server) -> None:
        found = asked(service, "exportImage", bbox=BOX, size="256,256", format="png32")
        assert (found["width"], found["height"]) == (256, 256)
        assert found["extent"]["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}
        image = service.client.get(found["href"])
        assert image.content == exported(service, format="png32").content

    def test_a_form_is_read_as_a_query(self, service: Server) -> None:
        form = {"bbox": BOX, "size": "256,256", "format": "png32", "f": "image"}
        answer = service.client.post(url("exportImage"), data=form)
        assert answer.content == exported(service, format="png32").content
        answer = service.client.post(url(), data={"f": "json"})
        assert answer.json()["bandCount"] == 3

    def test_a_service_may_end_with_a_slash(self, service: Server) -> None:
        answer = service.client.get(f"{url()}/", params={"f": "json"}, follow_redirects=False)
        assert answer.json()["name"] == "m"

    def test_pjson_is_indented_and_html_a_page_that_escapes(self, service: Server) -> None:
        assert "\n  " in service.get(url(), f="pjson").text
        page = service.get(url(), f="html")
        assert page.headers["Content-Type"].startswith("text/html")
        hostile = service.get(url("exportImage"), bbox="<script>alert(1)</script>")
        assert "<script>" not in hostile.text

    def test_an_image_has_an_etag(self, service: Server) -> None:
        first = exported(service, format="lerc")
        again = service.client.get(first.url, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
        assert exported(service, format="bsq").headers["ETag"] != first.headers["ETag"]

    def test_errors_are_documents_of_200_for_json_and_statuses_of_images(self, service) -> None:
        for bad in ({"bbox": "1,2,3"}, {"size": "9999999,2"}, {"format": "gif"}, {"bboxSR": "0"}):
            found = asked(service, "exportImage", **{"bbox": BOX, **bad})
            assert found["error"]["code"] == 400
            assert exported(service, **bad).status_code == 400

    def test_what_is_not_there_is_a_404(self, service: Server) -> None:
        assert asked(service, "download")["error"]["code"] == 404
        assert service.get("/arcgis/nothing", f="image").status_code == 404

    def test_the_catalogue_lists_what_may_be_seen(self, service: Server) -> None:
        found = service.get("/arcgis/rest/services", f="json").json()
        assert {"name": "m", "type": "ImageServer"} in found["services"]
        assert service.get("/arcgis/rest/info", f="json").json()["currentVersion"]

    def test_a_tile_is_a_tile_of_the_mosaic_row_before_column(self, service: Server) -> None:
        found = service.get(url("tile/10/365/534"), format="png32")
        assert (pixels(found) == pixels(service.get(f"{tile_url()}.png"))).all()
        assert service.get(url("tile/10/9999/0")).status_code == 404


class TestDescriptions:
    def test_a_service_says_what_its_pixels_and_items_are(self, service: Server) -> None:
        found = asked(service)
        assert found["pixelType"] == "U8"
        assert found["bandCount"] == 3
        assert found["maxMosaicImageCount"] == 20
        assert found["objectIdField"] == "OBJECTID"
        assert found["pixelSizeX"] == pytest.approx((EDGE.right - EDGE.left) / 256)
        assert found["spatialReference"]["latestWkid"] == 3857
        extent = [found["extent"][name] for name in ("xmin", "ymin", "xmax", "ymax")]
        assert extent == pytest.approx(EDGE, abs=1)
        assert "Seamline" in found["allowedMosaicMethods"]
        assert asked(service, mosaic="f")["pixelType"] == "F32"
        assert "red" in [one["name"] for one in asked(service, mosaic="r")["rasterFunctionInfos"]]

    def test_a_mosaic_without_scenes_has_a_description_and_blank_images(self, service) -> None:
        service.create("empty")
        assert asked(service, mosaic="empty")["bandCount"] == 1
        assert not pixels(exported(service, "empty", format="png32")).any()


class TestAccess:
    def test_a_private_service_asks_for_a_token_as_a_missing_one_does(self, service, token) -> None:
        hidden, missing = asked(service, mosaic="p"), asked(service, mosaic="nothing")
        assert hidden["error"]["code"] == missing["error"]["code"] == 499
        assert asked(service, mosaic="p", token="wrong")["error"]["code"] == 498
        assert exported(service, "p").status_code == 401

    def test_a_token_opens_it_as_a_parameter_a_form_field_or_a_header(self, service, token) -> None:
        assert asked(service, mosaic="p", token=token)["name"] == "p"
        form = {"f": "json", "token": token}
        assert service.client.post(url(mosaic="p"), data=form).json()["name"] == "p"
        header = {"X-Esri-Authorization": f"Bearer {token}"}
        answer = service.client.get(url(mosaic="p"), params={"f": "json"}, headers=header)
        assert answer.json()["name"] == "p"
        assert answer.headers["Cache-Control"].startswith("private")
        image = exported(service, "p", token=token)
        assert image.status_code == 200
        assert image.headers["Cache-Control"].startswith("private")

    def test_a_token_is_in_the_link_of_an_export(self, service, token) -> None:
        found = asked(service, "exportImage", "p", bbox=BOX, token=token)
        assert service.client.get(found["href"]).status_code == 200

    def test_the_catalogue_lists_a_private_service_to_its_holder_alone(
        self, service, token
    ) -> None:
        names = [
            one["name"] for one in service.get("/arcgis/rest/services", f="json").json()["services"]
        ]
        assert "p" not in names
        shown = service.get("/arcgis/rest/services", f="json", token=token).json()["services"]
        assert "p" in [one["name"] for one in shown]
