"""Radiographs in DICOM files: parsing, acceptance, decoding and display."""
