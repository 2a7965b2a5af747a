"""From radiographs to results: PNG, JSON and DICOM."""
