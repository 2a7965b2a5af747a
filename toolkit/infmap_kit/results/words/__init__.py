"""The words of results, in the language of their readers."""
