"""The networks that a model is made of: infection, lungs, classifier, and whatever is registered besides."""
