"""The node's DICOM side: receiving radiographs, sending results."""
