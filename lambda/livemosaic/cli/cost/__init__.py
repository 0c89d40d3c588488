"""What a mosaic costs on AWS, at list prices."""
