"""The steps of an acceptance: each looks at one thing and gives its lines."""
