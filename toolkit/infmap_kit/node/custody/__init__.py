"""What people do with a node's folder besides running it: forgetting one patient, backup and restore."""
