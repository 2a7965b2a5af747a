"""Training a network, and handing it over as a run folder."""
