"""Responses: images, documents, explanations and errors."""
