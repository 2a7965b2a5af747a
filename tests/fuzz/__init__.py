"""Fuzzing of everything that is read from outside: coverage-guided by Atheris, from a committed corpus.

``make fuzz`` runs campaigns; ``make test`` replays the corpus, where each input that ever broke
something lives on.
"""
