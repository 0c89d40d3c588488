"""Live overviews: cells of pixels for low zooms, made anew where scenes change."""
