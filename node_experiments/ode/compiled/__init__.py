"""Solves whose steps are compiled graphs, called without per-call overhead.

`capture` finds what the vector field computes, and is asked once per solve whether that still
holds; `step_graphs` makes steps and their products with the Jacobian of it; `lowering` compiles
them.
"""
