"""Places that nobody gets in to by chance: what each asks for, and the prefix that gives it.

Only what is documented as never public is here, since what is here is refused without a request.
"""

import re
from typing import Final

REQUESTER_PAYS: Final = {
    "astraea-opendata": "us-west-2",
    "cbers-pds": "us-east-1",
    "naip-analytic": "us-west-2",
    "naip-source": "us-west-2",
    "naip-visualization": "us-west-2",
    "sentinel-s1-l1c": "eu-central-1",
    "sentinel-s2-l1c": "eu-central-1",
    "sentinel-s2-l2a": "eu-central-1",
    "usgs-landsat": "us-west-2",
}
"""Region of each bucket of imagery that the Registry of Open Data on AWS lists as `RequesterPays`
(github.com/awslabs/open-data-registry, `datasets/`)."""

CREDENTIAL_ENDPOINTS: Final = {
    "asdc-prod-protected": "https://data.asdc.earthdata.nasa.gov/s3credentials",
    "asf-cumulus-prod-opera-products": "https://cumulus.asf.earthdatacloud.nasa.gov/s3credentials",
    "gesdisc-cumulus-prod-protected": "https://data.gesdisc.earthdata.nasa.gov/s3credentials",
    "ghrcw-protected": "https://data.ghrc.earthdata.nasa.gov/s3credentials",
    "lp-prod-protected": "https://data.lpdaac.earthdatacloud.nasa.gov/s3credentials",
    "nsidc-cumulus-prod-protected": "https://data.nsidc.earthdatacloud.nasa.gov/s3credentials",
    "ornl-cumulus-prod-protected": "https://data.ornldaac.earthdata.nasa.gov/s3credentials",
    "podaac-ops-cumulus-protected": "https://archive.podaac.earthdata.nasa.gov/s3credentials",
    "podaac-swot-ops-cumulus-protected": (
        "https://archive.swot.podaac.earthdata.nasa.gov/s3credentials"
    ),
}
"""Endpoint that gives keys to each bucket of NASA's Earthdata Cloud, as the collections of NASA CMR
name it (UMM-C, `DirectDistributionInformation.S3CredentialsAPIEndpoint`)."""

EARTHDATA_REGION: Final = "us-west-2"
"""The region of Earthdata Cloud, in which alone its keys are of use ("S3 access" of Earthdata)."""

_CDSE: Final = "eodata"
"""Bucket of the Copernicus Data Space Ecosystem, which is on no AWS (documentation.dataspace.
copernicus.eu, "S3 access")."""
_CDSE_HOSTS: Final = frozenset(
    f"{name}.dataspace.copernicus.eu:443" for name in ("catalogue", "download", "zipper")
)
_USGS: Final = "landsatlook.usgs.gov:443"
"""Its `/data/` redirects to USGS's login page."""
_SAS_ACCOUNTS: Final = frozenset(
    f"{name}.blob.core.windows.net:443"
    for name in ("landsateuwest", "modiseuwest", "sentinel1euwest", "sentinel1euwestrtc",
                 "sentinel2l2a01")
)  # fmt: skip
"""Accounts of the Planetary Computer that give nothing without a SAS token ("Using tokens for data
access" of its documentation)."""
_EARTHDATA_PATH: Final = re.compile(r"/([\w.-]*-protected|asf-cumulus-prod-[\w-]+-products)/")
"""Path of what Earthdata gives to users only: the first folder is the bucket (NASA's Thin Egress
App), and Cumulus names buckets after their access: `…-protected`, `…-public`."""
_ON_S3: Final = re.compile(
    r"(?:(?P<host_bucket>[a-z0-9][a-z0-9.-]+)\.)?"
    r"s3[.-](?:dualstack\.)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.)?amazonaws\.com(?::443)?"
)
"""Hosts of S3 (Amazon S3, "Virtual hosting of buckets"), in the path and virtual-hosted style."""


def bucket_and_key(host: str, path: str, endpoint: str = "") -> tuple[str, str] | None:
    """Returns bucket and encoded key of an HTTPS URL of S3; None for any other host.

    `endpoint`: origin of another S3, which is addressed in the path style.
    """
    if endpoint:
        there = endpoint.partition("://")[2].lower()
        if host not in (there, f"{there}:443"):
            return None
        bucket, _, key = path.removeprefix("/").partition("/")
        return bucket, key
    if not (found := _ON_S3.fullmatch(host)):
        return None
    if bucket := found["host_bucket"]:
        return bucket, path.removeprefix("/")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def prefix_of_bucket(bucket: str, *, pays: bool, keys: bool) -> str | None:
    """Returns the prefix line that opens a bucket, if it is known to be closed.

    `pays`: whether the requester pays already; `keys`: whether there may be keys for this bucket.
    """
    if bucket in REQUESTER_PAYS and not pays:
        return f"s3://{bucket}/ requester-pays region={REQUESTER_PAYS[bucket]}"
    if bucket in CREDENTIAL_ENDPOINTS and not keys:
        return f"s3://{bucket}/ earthdata"
    if bucket == _CDSE:
        return "s3://eodata/ endpoint=https://eodata.dataspace.copernicus.eu keys=env:VARIABLE"
    return None


def prefix_of_url(scheme: str, host: str, path: str) -> str | None:
    """Returns the prefix line that opens an unsigned URL, if it is known to be closed."""
    origin = f"{scheme}://{host.removesuffix(':443')}"
    if _EARTHDATA_PATH.match(path):
        return f"{origin}/ earthdata"
    if host in _SAS_ACCOUNTS:
        return f"{origin}/ planetary-computer"
    if host in _CDSE_HOSTS:
        return f"{origin}/ bearer=env:VARIABLE"
    if host == _USGS and path.startswith("/data/"):
        return "s3://usgs-landsat/ requester-pays region=us-west-2"
    if (found := bucket_and_key(host, path)) and found[0] in REQUESTER_PAYS:
        return prefix_of_bucket(found[0], pays=False, keys=True)
    return None
