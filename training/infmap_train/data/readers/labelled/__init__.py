"""Data sets whose tables, names or folders say what a radiograph shows; none has an infection mask."""
