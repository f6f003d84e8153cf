"""Figures. The only place that imports matplotlib."""
