"""The way from the machine that trained to the host that serves: bundles, signatures, installation."""
