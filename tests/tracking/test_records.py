"""What a run notes of the machine that it was made on."""

import torch

from node_experiments.tracking import records


def test_a_run_notes_the_processor_and_what_torch_makes_of_it(monkeypatch):
    """`AMD EPYC` alone hides whether a processor has AVX2 or AVX-512, and so how fast it is."""
    info = records.run_info(0, "cpu")
    assert info["cpu"] == records.cpu_name()
    assert info["cpu_instructions"] == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert records.run_info(0, "cpu")["cpu_instructions"] == "AVX512"
