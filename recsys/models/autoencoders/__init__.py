"""Autoencoders of histories and of ratings."""
