"""Methods of solution: Butcher tableaus and other coefficients, and the steps made of them."""
