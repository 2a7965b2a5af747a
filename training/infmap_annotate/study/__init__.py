"""The study folder and its contents."""
