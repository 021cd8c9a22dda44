"""Models of the graph of users and items."""
