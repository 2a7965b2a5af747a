"""Site acceptance: one run on a host that proves the whole path there, and a report to be signed."""
