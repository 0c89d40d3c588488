"""From the values of ArcGIS's requests to our own, and back."""
