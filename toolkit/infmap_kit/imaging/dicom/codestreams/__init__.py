"""What a compressed picture inside a DICOM file announces, checked before a decoder believes it.

The decoders reserve memory for the codestream's size, not for the data set's: a few bytes there can
announce gigabytes.
"""
