"""Datasets and how they become batches."""
