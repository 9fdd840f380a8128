"""The human check: a page on which a person judges slots, and what comes back of it."""
