"""Answers: images, documents, explanations and errors."""
