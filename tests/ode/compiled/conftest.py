"""Compiled solves whose functions are called as they are, without a compiler."""

from weakref import WeakKeyDictionary

import pytest
import torch

from node_experiments.ode.compiled import capture, compilation


class Lowered:
    """Stands in for the compiler; counts what it is given, and the calls of that.

    Attributes:
        functions: What was to be compiled, in order.
        calls: How often these were called, together.
    """

    def __init__(self):
        self.functions, self.calls = [], 0

    def __call__(self, function, examples):
        self.functions.append(function)

        def call(inputs):
            self.calls += 1
            with torch.no_grad():
                return function(*inputs)

        return call


@pytest.fixture
def lowered(monkeypatch):
    """In place of the compiler."""
    counted = Lowered()
    monkeypatch.setattr(compilation, "lowering", lambda device: counted)
    monkeypatch.setattr(capture, "_CAPTURES", WeakKeyDictionary())
    return counted
