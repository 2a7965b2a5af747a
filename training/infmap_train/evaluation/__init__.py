"""What a network is worth: metrics, tables and plots."""
