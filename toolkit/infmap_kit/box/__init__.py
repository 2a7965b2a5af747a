"""What fits on this box, and what lies on it."""
