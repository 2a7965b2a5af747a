"""Tables, pages and charts for people to look at, made of nothing else of the toolkit."""
