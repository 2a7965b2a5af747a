"""The audit log: who received and sent what, as DICOM's audit messages (PS3.15, A.5), without names."""
