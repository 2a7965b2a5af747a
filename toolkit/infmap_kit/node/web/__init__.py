"""The node over HTTP, to be read only."""
