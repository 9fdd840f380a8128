"""One protocol for all models: tasks on places never trained on, controls with the same data, and honest intervals."""
