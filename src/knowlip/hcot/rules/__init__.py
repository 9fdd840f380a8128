"""The rule base of step 5: what contradicts what, as data, and how contradictions are settled."""
