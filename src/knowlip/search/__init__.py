"""The search index over a corpus, and its queries."""
