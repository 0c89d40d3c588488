"""The OpenAPI document, of which programs make clients and pages make forms."""
