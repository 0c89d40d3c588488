"""From Python's values to requests, and from responses to values."""
