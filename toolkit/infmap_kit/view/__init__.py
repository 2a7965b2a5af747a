"""A page to look through the results of `infmap-kit infer`, served on loopback or exported as a folder."""
