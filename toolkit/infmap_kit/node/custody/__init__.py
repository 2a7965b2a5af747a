"""Maintenance of a node's folder: removing one patient, backup and restore."""
