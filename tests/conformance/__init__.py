"""A set of DICOM files in which all pairs of their properties occur, with the picture that each must give."""
