"""The file format of trained models."""
