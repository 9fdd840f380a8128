"""From scenes to a corpus on disk: tiling, geographic properties, splits by place, the store."""
