"""Simulated, georeferenced radar scenes of city regions whose truth is known exactly.

`world` lays out the ground and what floats or stands on it, `imaging` turns such arrays into backscatter as a radar
would see it, and neither imports the other: `scene_files` joins the two and writes the scene and its truth.
"""
