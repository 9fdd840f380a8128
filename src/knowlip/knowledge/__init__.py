"""What is known about a place without its pixels. Each source is optional, offline, and names version and licence."""
