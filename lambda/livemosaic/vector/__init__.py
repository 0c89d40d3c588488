"""Use case: the index as vector tiles: footprints of scenes, how dense they lie, valid pixels."""
