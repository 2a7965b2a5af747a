"""The node's durable queue: every radiograph and every delivery in one SQLite file."""
