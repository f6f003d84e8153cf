"""Figure 1 and the demo."""
