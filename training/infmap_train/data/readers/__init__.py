"""Public data sets as they lie on disk after unpacking: one reader a file.

A file here with a :class:`~infmap_train.data.readers.reader.Reader` named ``READER`` is a reader; nothing else
needs to know of it.
"""
