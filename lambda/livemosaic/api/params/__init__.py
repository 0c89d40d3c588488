"""Query parameters, and the values that they become."""
