"""What is optimised, measured and drawn. A task knows one batch; the trainer knows epochs."""
