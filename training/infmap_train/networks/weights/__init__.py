"""What an encoder starts from: public weights, read without running anything of theirs."""
