"""Results as DICOM objects: written with highdicom, for any PACS and viewer."""
