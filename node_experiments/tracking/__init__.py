"""What a run leaves behind: TensorBoard events, metrics, results, figures, and lines to watch."""
