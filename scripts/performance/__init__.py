"""The parts of the README's section on speed."""
