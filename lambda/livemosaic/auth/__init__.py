"""Credentials, signing keys and access tokens."""
