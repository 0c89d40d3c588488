"""What a command works on: an index at hand, or an API elsewhere."""
