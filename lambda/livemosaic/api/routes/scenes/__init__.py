"""Routes that say which scenes a tile shows, and which of them changed."""
