"""`livemosaic gdal`: files by which GDAL, rasterio and QGIS open a mosaic."""

from contextlib import closing
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import typer

from livemosaic.auth.signing import AwsSignature, Bearer
from livemosaic.cli.session import Session, clear_errors
from livemosaic.client.http import ApiClient
from livemosaic.storage.hrefs import path_segment

_HERE: Final = "http://127.0.0.1:8000"
"""Where `livemosaic serve` listens."""

GdalFile = Literal["mosaic.vrt", "wms.xml", "wmts.xml", "mosaic.qlr"]


def gdal(
    context: typer.Context,
    mosaic: Annotated[str, typer.Argument(help="The mosaic to open.")],
    file: Annotated[
        GdalFile,
        typer.Option(
            help="`mosaic.vrt`, or a file of GDAL's WMS or WMTS driver; `mosaic.qlr` is a layer of "
            "QGIS."
        ),
    ] = "mosaic.vrt",
    tms: Annotated[
        str | None, typer.Option(help="TileMatrixSet; the mosaic's own by default.")
    ] = None,
    query: Annotated[
        str, typer.Option(metavar="QUERY", help="Parameters of tiles: assets, rescale, rules, …")
    ] = "",
) -> None:
    """Print a file by which GDAL, rasterio or QGIS open a mosaic (docs/gdal.md).

    The file names tiles of the API of --api, of LIVEMOSAIC_PUBLIC_URL, or of `livemosaic serve` on
    this machine, which makes it.

    Examples:

    `livemosaic gdal alps > alps.vrt`

    `livemosaic --api https://HOST gdal alps --file mosaic.qlr > alps.qlr`

    `livemosaic gdal alps --query "expression=(nir-red)/(nir%2Bred)" > ndvi.vrt`
    """
    session: Session = context.obj
    token = session.settings.token
    parts = [urlencode({"tms": tms}) if tms else "", query.lstrip("?")]
    asked = "&".join(part for part in parts if part)
    path = f"/mosaics/{path_segment(mosaic)}/gdal/{file}"
    url = session.api or session.settings.public_url or _HERE
    with clear_errors():
        how = Bearer(token.get_secret_value()) if token else AwsSignature()
    with clear_errors(), closing(ApiClient(url, how)) as client:
        answer = client.ask("GET", f"{path}?{asked}" if asked else path)
        if answer.status != 200:
            raise client.refusal(answer)
    typer.echo(answer.body, nl=False)
