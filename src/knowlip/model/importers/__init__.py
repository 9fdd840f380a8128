"""Weights that others have published, read into this model's shape; never by unpickling.

`weights` reads files, `layouts` knows the names of others, `towers` makes one encoder of them, `models` a whole model.
"""
