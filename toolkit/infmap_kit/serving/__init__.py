"""Serving a repository on this host, by a server that fits and is started again, or in this process."""
