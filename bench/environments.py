"""The peers' libraries, each in a virtual environment of its own, made where it is missing."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

Name = Literal["titiler", "pgstac", "openapi"]
NAMES: Final[tuple[Name, ...]] = ("titiler", "pgstac")
"""The ones that are measured."""
PINS: Final = Path(__file__).with_name("peers")
_FOLDER: Final = Path(__file__).parent.parent / "build" / "peers"


class PeerError(Exception):
    """A peer is unavailable; the message gives the reason."""


def interpreter(name: Name) -> Path:
    """Python with the packages of `peers/{name}.txt`, of the version that runs this.

    titiler-pgstac 3.2 wants titiler.mosaic below 2.4, so the two cannot be in one environment.
    """
    folder = _FOLDER / name
    pins = PINS / f"{name}.txt"
    python = folder / "bin" / "python"
    made_of, stamp = _stamp(pins), folder / ".made-of"
    if stamp.exists() and stamp.read_text() == made_of:
        return python
    _run(name, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    _run(name, "pip", "install", "--quiet", "--python", str(python), "-r", str(pins))
    stamp.write_text(made_of)
    return python


def _stamp(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()


def _run(name: Name, *arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv) if uv.exists() else "uv", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise PeerError(f"the packages of {name} need uv to be installed ({error})") from error
    except subprocess.CalledProcessError as error:
        raise PeerError(f"the packages of {name} cannot be had: {error.stderr[-400:]}") from error
