"""Mosaics as Web Map Services: WMS 1.3.0 (OGC 06-042) and 1.1.1 (OGC 01-068r3).

Loaded when a request first asks for one: no tile needs it.
"""
