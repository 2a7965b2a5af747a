"""From the machine that trained to the box that serves: bundles, signatures, installation."""
