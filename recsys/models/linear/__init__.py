"""Linear models of items."""
