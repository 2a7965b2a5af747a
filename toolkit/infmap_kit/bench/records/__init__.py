"""Measurements as they are kept, compared and shown."""
