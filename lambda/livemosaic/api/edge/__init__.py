"""Between clients and the routes: by which URL requests come, and whether through the CDN."""
