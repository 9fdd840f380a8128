"""The `knowlip` command: one module per verb, each parses, calls one function, prints."""
