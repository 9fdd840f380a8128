"""The types everyone shares: grids, scenes, geographic properties, facts, statements, errors, paths and progress."""
