"""Benchmarks of events, tiles and cold starts, next to the peers, with ratios.

They print the results of one run on one machine and assert no times.
"""
