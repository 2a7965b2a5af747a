"""Readers' decisions, and the order in which they see things."""
