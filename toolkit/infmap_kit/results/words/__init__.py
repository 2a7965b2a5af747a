"""What results say to their readers, in their language."""
