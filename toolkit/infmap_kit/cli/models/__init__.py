"""Commands that make, prove and list models."""
