"""Pretraining: data, losses, the loop, checkpoints."""
