"""The check of a node's TOML file: its faults, each at its line and key."""
