"""URLs of indexes: an SQLite file or a DynamoDB table."""

import re
from typing import Final

SQLITE: Final = re.compile(r"sqlite:///(?P<path>[^?#]+)")
DYNAMODB: Final = re.compile(r"dynamodb://(?P<region>[a-z0-9-]+)/(?P<name>[A-Za-z0-9_.-]{3,255})")
