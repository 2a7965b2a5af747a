"""The answer of a model about one radiograph: finding, severity, grades."""
