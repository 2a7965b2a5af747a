"""The host: its checks, the files on it, and the deployment of a server."""
