"""What fits on this host, what lies on it, and how a server is deployed on it."""
