"""Integration methods: Butcher tableaus and other coefficients, and the steps that use them."""
