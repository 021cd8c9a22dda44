"""Models that know items by their text, images or vectors."""
