"""Public data sets as they lie on disk after unpacking: one reader a file.

A file in ``masked`` or ``labelled`` with a :class:`~infmap_train.data.readers.reader.Reader` that is called
``READER`` is a reader; nothing else needs to know of it.
"""
