"""Concentrations of a drug under an infusion: mechanism, neural ODE, and their sum."""
