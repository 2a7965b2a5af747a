"""Serving a repository on this host: by a server that fits, told what its target needs, and started again."""
