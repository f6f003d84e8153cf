"""What an ODE solver in the middle of a model buys: control, events, inputs, stiffness."""
