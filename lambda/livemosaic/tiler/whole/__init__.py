"""Whole mosaics in few pixels: their statistics, the stretch that follows from them."""
