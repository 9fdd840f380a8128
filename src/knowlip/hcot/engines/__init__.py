"""The engines that describe tiles. Each takes a `TileView` and gives a `Description`."""
