"""Query parameters: models that check them, and parsers to values."""
