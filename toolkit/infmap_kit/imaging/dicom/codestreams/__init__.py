"""Compressed pictures inside DICOM files: what each announces is checked before a decoder believes it.

The decoders reserve memory for the codestream's size, not for the data set's: a few bytes there can
announce gigabytes.
"""
