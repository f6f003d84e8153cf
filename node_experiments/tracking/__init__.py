"""Outputs of a run: TensorBoard events, metrics, results, figures and progress."""
