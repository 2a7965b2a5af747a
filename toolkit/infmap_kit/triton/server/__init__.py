"""A Triton server as a child process, and the releases that it follows."""
