"""Data sets with infection masks."""
