"""The self-consistent loop: find statements that disagree with their image, mask them, and rebuild them."""
