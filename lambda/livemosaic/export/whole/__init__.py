"""Exports of whole mosaics to files, which the command writes: Lambda has none of them."""
