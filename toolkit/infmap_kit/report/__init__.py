"""What people look at: tables, pages and charts, made of nothing else of the toolkit."""
