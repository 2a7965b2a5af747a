"""Commands that make results of radiographs."""
