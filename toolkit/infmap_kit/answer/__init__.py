"""What a model says of one radiograph: finding, severity, grades."""
