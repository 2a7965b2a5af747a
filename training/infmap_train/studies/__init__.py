"""The paper's comparisons: maps, detection and severity."""
