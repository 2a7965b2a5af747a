"""The study folder and what goes into it."""
