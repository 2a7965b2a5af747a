"""The demo model of infmap-kit: the run folder ``model``, which `infmap-kit demo` exports and serves."""
