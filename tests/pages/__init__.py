"""The code blocks of README and site: taken apart, run, read and counted."""
