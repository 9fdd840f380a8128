"""The hierarchical cognitive chain of thought: six steps that build facts, and the statements that rest on them."""
