"""Notifications of space agencies about their own products."""
