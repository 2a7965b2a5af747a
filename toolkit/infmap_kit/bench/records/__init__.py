"""Records of measurements: their files, comparison and reports."""
