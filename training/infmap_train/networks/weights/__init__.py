"""The weights that an encoder starts from: public ones, read without running anything of theirs."""
