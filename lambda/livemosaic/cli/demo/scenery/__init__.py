"""Scenes of an island that no map shows: dated, cloudy, overlapping COGs for `livemosaic demo`.

One world, made from a seed. Its relief is an eroded island in the Tasman Sea; all that is finer
than the relief's grid is noise hashed from world coordinates. Whichever scene looks at a place
sees the same ground, under its own sun, season and clouds.

Coordinates are metres east and north of `shots.ORIGIN` in UTM 57 south; rows of arrays go south.
"""

from livemosaic.cli.demo.scenery.scenes import make_scenes

__all__ = ["make_scenes"]
