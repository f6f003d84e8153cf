"""Networks. They import the solvers and nothing else of the project."""
