"""What is kept between images, for a while: kinds of values, and GeoTIFFs just made."""
