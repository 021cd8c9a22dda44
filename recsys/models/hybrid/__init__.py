"""Models of several models."""
