"""What readers decide, and in which order they see it."""
