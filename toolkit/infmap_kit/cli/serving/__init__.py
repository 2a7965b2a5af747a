"""Commands that serve and measure."""
