"""The whole way in one command, with the demo model and synthetic radiographs."""
