"""What a picture looks like: a chest or not, of which polarity, mirrored, written upon."""
