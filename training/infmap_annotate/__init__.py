"""Collaborative human-machine annotation in the browser (Degerli et al., II-B).

Imports run one way: database, masks, sequence <- study <- readers, verdict <- worklist <- decisions,
shelf <- api <- web; collection, candidates, predict, statistics, export and backup stand beside, cli on
top. Nothing here needs TensorFlow.
"""
