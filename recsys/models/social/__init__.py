"""Models of who trusts or befriends whom."""
