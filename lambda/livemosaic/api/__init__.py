"""The HTTP API: everything that knows HTTP."""
