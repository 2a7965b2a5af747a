"""A course as files, pages and pictures."""
