"""One sdist and one wheel for all tests of this folder."""

import pytest

from packaged.building import UV, Built, run, sources


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = sources(tmp_path_factory.mktemp("sources"))
    ended = run(UV, "build", cwd=place)  # the wheel is built from the sdist
    assert ended.returncode == 0, ended.stderr
    dist = place / "dist"
    return Built(next(dist.glob("*.tar.gz")), next(dist.glob("*.whl")))
