"""The header of a PNG, JPEG or TIFF file, read without decoding a pixel.

Only what has to be known before a decoder may be trusted with the file: the size, because a few
hundred bytes can announce gigabytes; whether the file is all there, because some decoders fill what
is missing with gray; and how its values are meant. A structure that decoders might walk in another way than
these modules, and find another size on their way, is refused.
"""
