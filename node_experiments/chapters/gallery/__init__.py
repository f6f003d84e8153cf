"""Models that need an ODE solver inside: control, events, inputs, stiffness."""
