"""The results of radiographs: PNG, JSON and DICOM."""
