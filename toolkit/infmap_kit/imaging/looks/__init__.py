"""The look of a picture: a chest or not, of which polarity, mirrored, written upon."""
