"""What is known about a place without looking at its pixels. Every source is optional, names its version and licence, and works offline."""
