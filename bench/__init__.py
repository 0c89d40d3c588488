"""Benchmarks: what an event and a tile cost, side by side with the peers, as ratios.

They print what they measured in one run on one machine and assert no times.
"""
