"""What rows of overview cells hold."""
