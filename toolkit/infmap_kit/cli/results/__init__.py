"""Commands that judge radiographs."""
