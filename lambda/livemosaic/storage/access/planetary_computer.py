"""SAS tokens of Microsoft's Planetary Computer, one for each container of its blob storage.

As `obstore.auth.planetary_computer`, with which the tests compare it: that one needs `requests`,
which no Lambda bundle has.
"""

import os
from datetime import datetime
from threading import Lock
from typing import Final

from cachetools import LRUCache

from livemosaic.storage.access.endpoints import Endpoints, secret_member
from livemosaic.storage.access.expiring import Expiring
from livemosaic.storage.objects import DeniedError

_URL: Final = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
_CONTAINERS: Final = 256


class SasTokens:
    """The tokens of many containers. Thread-safe."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._lock = Lock()
        self._tokens: LRUCache[tuple[str, str], Expiring[str]] = LRUCache(_CONTAINERS)

    def of(self, account: str, container: str) -> Expiring[str]:
        """Returns the token of a container, which is a query string without `?`."""
        with self._lock:
            key = account, container
            if key not in self._tokens:
                self._tokens[key] = Expiring(lambda: self._fetch(account, container))
            return self._tokens[key]

    def _fetch(self, account: str, container: str) -> tuple[str, float]:
        """Fetches a token, from where and as which subscriber the SDK's variables say."""
        url = (os.environ.get("PC_SDK_SAS_URL") or _URL).rstrip("/")
        key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY")
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
        whose = f"the Planetary Computer's token endpoint, for {account}/{container},"
        found = self._endpoints.json("GET", f"{url}/{account}/{container}", headers, whose=whose)
        try:
            end = datetime.fromisoformat(found["msft:expiry"]).timestamp()
            return secret_member(found, "token"), end
        except (KeyError, TypeError, ValueError) as error:
            raise DeniedError(f"may not be read: {whose} gives no token") from error
