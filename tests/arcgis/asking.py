"""Requests to image services, as ArcGIS's clients make them. For any test to use."""

import json
import warnings
from typing import Any

import numpy as np
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from api.served import EDGE, Server

BOX = ",".join(map(repr, EDGE))
ROOT = "/arcgis/rest/services"


def url(operation: str = "", mosaic: str = "m") -> str:
    return f"{ROOT}/{mosaic}/ImageServer" + (f"/{operation}" if operation else "")


def written(parameters: dict[str, Any]) -> dict[str, Any]:
    """Objects as JSON, truth in lower case."""
    return {
        name: json.dumps(value) if isinstance(value, dict | list | bool) else value
        for name, value in parameters.items()
    }


def asked(server: Server, operation: str = "", mosaic: str = "m", **parameters: Any) -> Any:
    """The document of an operation; errors are documents, too."""
    answer = server.get(url(operation, mosaic), **{"f": "json", **written(parameters)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def exported(server: Server, mosaic: str = "m", **parameters: Any) -> Any:
    """The response of an export of the tile that scenes are made on, pixel by pixel."""
    given = {"bbox": BOX, "size": "256,256", "f": "image", **written(parameters)}
    return server.get(url("exportImage", mosaic), **given)


def pixels(answer: Any) -> np.ndarray[Any, Any]:
    """All bands of an image, with a last one that is its validity, shape (bands, height, width)."""
    assert answer.status_code == 200, answer.text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(answer.content) as file, file.open() as image:
            return np.concatenate([image.read(), image.dataset_mask()[None]])
