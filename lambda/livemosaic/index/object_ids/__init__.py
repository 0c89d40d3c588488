"""Numbers of scenes, for ArcGIS clients, which name scenes by numbers alone."""
