"""Solves whose steps are compiled graphs, called without per-call overhead.

`capture` traces the vector field to a graph and checks once per solve that it is still valid;
`step_graphs` builds steps and their vector-Jacobian products from it; `lowering` compiles them.
"""
