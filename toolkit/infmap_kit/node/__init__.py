"""The host beside the PACS: radiographs arrive by DICOM, results go back, and nothing accepted is lost.

::

    receiver, watch_folder ── intake ──> spool (files) + store (SQLite)
                                           │  claim             │ deliveries
                                         worker ── Triton     sender ── destinations (PACS)

Every entry of the store has its file on disk, synced. Every step is one transaction and can be done again, so a
crash at any point leads to a repetition, never to a loss; results have UIDs that follow from the radiograph and
the model, so that a repetition makes the same objects.
"""
