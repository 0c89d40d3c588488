"""Values that every other package works with. No I/O, no clock, no environment."""
