"""The style of all figures, and the pictures that several chapters and reports share."""
