"""Attributes of DICOM files that are not as the standard has them: texts and numbers, read right or named."""
