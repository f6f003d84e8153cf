"""Densities of flows against Jacobians of solved flows; there and back; every gradient method."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.normalizing_flows.chapter import (
    FFJORDConfig,
    HamiltonianCNFConfig,
    PlanarCNFConfig,
)
from node_experiments.chapters.normalizing_flows.concat_squash import ConcatSquashMLP
from node_experiments.chapters.normalizing_flows.continuous_flow import ContinuousFlow
from node_experiments.chapters.normalizing_flows.divergence import Divergence, trace_of
from node_experiments.chapters.normalizing_flows.flow import DimensionError, normal_log_density
from node_experiments.chapters.normalizing_flows.flows import ffjord, hamiltonian_cnf, planar_cnf
from node_experiments.chapters.normalizing_flows.hamiltonian import HamiltonianField
from node_experiments.chapters.normalizing_flows.planar_cnf import PlanarField
from node_experiments.chapters.normalizing_flows.planar_nf import PlanarNF
from node_experiments.nn import ode_module
from node_experiments.ode import Adjoint, Backprop, Checkpoint, Discrete, Solver, solve
from tests.grids import always

TIGHT = Solver("dopri8", rtol=1e-9, atol=1e-9)


def stir(model):
    """Larger weights, so that the flow is far from the identity."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.0)
    return model


FLOWS = {
    "planar_cnf": lambda solver=TIGHT, gradient=None: planar_cnf(
        PlanarCNFConfig(units=8), SimpleNamespace(dim=2), solver, gradient or Backprop()
    ),
    "planar_cnf_official_code": lambda solver=TIGHT, gradient=None: planar_cnf(
        PlanarCNFConfig(
            units=8, hyper_hidden=16, variant="official_code", horizon=3.0, base_std=0.4
        ),
        SimpleNamespace(dim=2),
        solver,
        gradient or Backprop(),
    ),
    "ffjord": lambda solver=TIGHT, gradient=None: ffjord(
        FFJORDConfig(hidden=16, layers=2), SimpleNamespace(dim=2), solver, gradient or Backprop()
    ),
    "hamiltonian_cnf": lambda solver=TIGHT, gradient=None: hamiltonian_cnf(
        HamiltonianCNFConfig(hidden=16, base_std=0.7),
        SimpleNamespace(dim=2),
        solver,
        gradient or Backprop(),
    ),
    "planar_nf, sample": lambda: PlanarNF(2, 12, "sample", base_std=0.7),
    "planar_nf, density": lambda: PlanarNF(2, 12, "density"),
}
CONTINUOUS = [name for name in FLOWS if not name.startswith("planar_nf")]


@pytest.fixture(params=FLOWS)
def flow(request):
    return stir(FLOWS[request.param]().double()).eval()


def test_density_is_that_of_the_jacobian_of_the_flow(flow):
    """The instantaneous change of variables against log|det dx/dnoise| of the solved flow."""
    noise = torch.randn(2, 2, dtype=torch.float64)
    if isinstance(flow, PlanarNF) and flow.closed_form == "density":
        # Its way from noise has no graph: the Jacobian of the way to the noise is the inverse.
        x, found = flow.sample(noise)
        z = flow.base_std * noise
        jacobians = torch.stack(
            [
                torch.autograd.functional.jacobian(
                    lambda p: flow._apply_layers(p.unsqueeze(0), 0, flow.units)[0][0], point
                )
                for point in x
            ]
        )
        expected = normal_log_density(z, flow.base_std) + torch.linalg.slogdet(jacobians)[1]
    else:
        jacobians = torch.stack(
            [
                torch.autograd.functional.jacobian(
                    lambda p: flow.sample(p.unsqueeze(0))[0][0], point
                )
                for point in noise
            ]
        )
        expected = normal_log_density(noise, 1.0) - torch.linalg.slogdet(jacobians)[1]
        x, found = flow.sample(noise)
    assert float((x - noise).detach().abs().max()) > 0.1  # it is no identity
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_state_and_density_come_from_one_solve(name, monkeypatch):
    """From data to noise backwards in time for the density of a point, forwards for samples."""
    flow, asked = FLOWS[name]().double(), []

    def counted(func, y0, times, *arguments, **options):
        asked.append(times.tolist())
        return solve(func, y0, times, *arguments, **options)

    monkeypatch.setattr(ode_module, "solve", counted)
    flow.log_prob(torch.randn(3, 2, dtype=torch.float64))
    flow.sample(torch.randn(3, 2, dtype=torch.float64))
    assert asked == [[flow.horizon, 0.0], [0.0, flow.horizon]]


def test_a_hamiltonian_flow_keeps_the_height_of_the_density():
    """Appendix A: without a trace, the density of a point is that of the noise it came from."""
    flow = stir(FLOWS["hamiltonian_cnf"]().double())
    noise = torch.randn(20, 2, dtype=torch.float64)
    with torch.no_grad():
        x, found = flow.sample(noise)
    assert float((x - noise).abs().max()) > 0.1
    torch.testing.assert_close(found, normal_log_density(0.7 * noise, 0.7))


def test_there_and_back(flow):
    noise = torch.randn(50, 2, dtype=torch.float64)
    with torch.no_grad():
        x, log_density = flow.sample(noise)
        torch.testing.assert_close(flow.path(noise, [0.5, 1.0])[1], x, rtol=0, atol=1e-7)
        torch.testing.assert_close(flow.log_prob(x), log_density, rtol=0, atol=1e-7)
        half = flow.path(noise, [0.5, 1.0])[0]
        # The way to half is a flow as well; volumes of a Hamiltonian one are kept all along.
        assert torch.isfinite(flow.log_prob(half, 0.5)).all()


def test_density_on_the_way_is_that_of_a_shorter_flow():
    flow = stir(FLOWS["planar_cnf"]().double())
    points = torch.randn(20, 2, dtype=torch.float64)
    with torch.no_grad():
        found = flow.log_prob(points, 0.4)
        flow.horizon = 0.4
        torch.testing.assert_close(found, flow.log_prob(points))
    layers = stir(PlanarNF(2, 10, "sample").double())
    fewer = PlanarNF(2, 4, "sample").double()
    with torch.no_grad():
        for name in ("w", "u", "b"):
            getattr(fewer, name).copy_(getattr(layers, name)[:4])
        torch.testing.assert_close(layers.log_prob(points, 0.4), fewer.log_prob(points))


@pytest.mark.parametrize("closed_form", ["sample", "density"])
def test_steep_planar_layers_are_inverted(closed_form):
    flow = PlanarNF(2, 20, closed_form).double()
    with torch.no_grad():
        flow.w.mul_(10)
        flow.u.normal_(0, 2)
        assert ((flow.w * flow.invertible_u()).sum(1) > -1).all()
        noise = torch.randn(500, 2, dtype=torch.float64)
        if closed_form == "density":
            back = flow._apply_layers(flow.sample(noise)[0], 0, 20)[0]
        else:
            back = flow._invert_layers(flow.sample(noise)[0], 0, 20)
    # Where a layer is nearly flat its inverse cannot be better than rounding times its slope.
    assert float((back - noise).abs().median()) < 1e-9


def gradients(name, gradient, **solver):
    torch.manual_seed(3)
    way = FLOWS[name](Solver("dopri5", **solver), gradient).double()
    stir(way)
    points = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(4)
    loss = way.log_prob(points).sum() + way.sample(points)[1].sin().sum()
    return torch.autograd.grad(loss, [points, *way.parameters()], allow_unused=True)


@pytest.mark.parametrize("name", always(["planar_cnf", "ffjord"], CONTINUOUS))
def test_all_ways_to_gradients_agree(name):
    """The function itself differentiates: the trace is a derivative of the vector field."""
    steps = {"num_steps": 7}
    expected = gradients(name, Backprop(), **steps)
    for way in (Discrete(), Discrete(retain_graphs=True), Checkpoint(checkpoints=3)):
        for a, b in zip(gradients(name, way, **steps), expected, strict=True):
            if b is not None:
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    exact = gradients(name, Backprop(), rtol=1e-7, atol=1e-7)
    for a, b in zip(gradients(name, Adjoint(), rtol=1e-7, atol=1e-7), exact, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def jacobians(field, t, z):
    return torch.stack(
        [
            torch.autograd.functional.jacobian(lambda p: field(t, p.unsqueeze(0))[0], point)
            for point in z
        ]
    )


@pytest.mark.parametrize(
    "field",
    [
        PlanarField(3, 6, 32, "paper"),
        PlanarField(3, 6, 32, "official_code"),
        ConcatSquashMLP([3, 8, 8, 3]),
        HamiltonianField(3, 8, 2),
    ],
    ids=["planar paper", "planar official", "concatsquash", "hamiltonian"],
)
def test_traces_are_those_of_the_jacobian(field):
    field, t = field.double(), torch.tensor(0.3, dtype=torch.float64)
    z = torch.randn(4, 3, dtype=torch.float64)
    derivative, trace = field.with_divergence(t, z, torch.eye(3, dtype=torch.float64)[:, None])
    torch.testing.assert_close(derivative, field(t, z))
    expected = jacobians(field, t, z).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(trace, expected)
    if isinstance(field, HamiltonianField):
        assert (expected == 0).all()


def test_concatsquash_by_hand():
    """(W x + b) sigmoid(a t + c) + d t, with tanh between layers (Grathwohl et al. 2019)."""
    field, t, x = ConcatSquashMLP([2, 3, 2]), torch.tensor(0.4), torch.randn(5, 2)

    def by_hand(layer, x):
        w, b = layer.linear.weight, layer.linear.bias
        a, c, d = layer.gate.weight[:, 0], layer.gate.bias, layer.shift.weight[:, 0]
        return (x @ w.T + b) * torch.sigmoid(a * t + c) + d * t

    first, last = field.layers
    torch.testing.assert_close(field(t, x), by_hand(last, by_hand(first, x).tanh()))


def test_the_mean_over_all_signs_is_the_trace():
    """Hutchinson's estimate has no bias: its mean over all 2^d sign vectors is exact."""
    dim = 4
    field = ConcatSquashMLP([dim, 8, dim]).double()
    t, z = torch.tensor(0.2, dtype=torch.float64), torch.randn(3, dim, dtype=torch.float64)
    exact = field.with_divergence(t, z, torch.eye(dim, dtype=torch.float64)[:, None])[1]
    estimates = torch.stack(
        [
            field.with_divergence(t, z, torch.tensor([signs], dtype=torch.float64)[:, None])[1]
            for signs in itertools.product((-1, 1), repeat=dim)
        ]
    )
    torch.testing.assert_close(estimates.mean(0), exact)
    assert float(estimates.detach().std(0).min()) > 1e-3


def test_noise_is_drawn_once_a_solve():
    flow = ffjord(
        FFJORDConfig(trace="hutchinson"),
        SimpleNamespace(dim=3),
        Solver("dopri5", rtol=1e-5, atol=1e-5),
        Backprop(),
    )
    seen = []
    inner = flow.vector_field.dynamics.with_divergence

    def recorded(t, z, probes):
        seen.append(probes)
        return inner(t, z, probes)

    flow.vector_field.dynamics.with_divergence = recorded
    x = torch.randn(7, 3)
    flow.train()
    first = flow.log_prob(x)
    assert len(seen) > 6
    assert all(torch.equal(probes, seen[0]) for probes in seen)
    assert seen[0].abs().eq(1).all()
    assert not torch.allclose(first, flow.log_prob(x))  # other noise in the next solve
    torch.testing.assert_close(flow.eval().log_prob(x), flow.log_prob(x))  # and none here


def test_probes_by_hand():
    matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    unit = torch.eye(2)[:, None]
    assert trace_of(unit, (unit @ matrix.T).expand(2, 5, 2)).tolist() == [5.0] * 5


def test_the_equations_of_the_paper():
    """A sum over units with one gate each, against loops; the official code takes a mean."""
    t, z = torch.tensor(0.6), torch.randn(5, 2)
    for variant in ("paper", "official_code"):
        field = PlanarField(2, 4, 8, variant)
        sizes = [8, 8, 4, 4 if variant == "paper" else 8]
        w, u, b, gate = field.hypernetwork(t.reshape(1)).split(sizes)
        w, u, gate = w.view(4, 2), u.view(4, 2), gate.sigmoid().view(4, -1)
        expected = sum(torch.outer((z @ w[n] + b[n]).tanh(), gate[n] * u[n]) for n in range(4)) / (
            4 if variant == "official_code" else 1
        )
        torch.testing.assert_close(field(t, z), expected)
    official = PlanarField(2, 64, 32, "official_code")
    assert sum(p.numel() for p in official.parameters()) == 15_904


def test_one_linear_field_has_the_known_density():
    """dz/dt = a z: N(0, e^(2a) I) at time 1."""

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.tensor(0.7))

        def forward(self, t, z):
            return self.a * z

        def with_divergence(self, t, z, probes=None):
            return self.a * z, (2 * self.a).expand(len(z))

    flow = ContinuousFlow(Linear(), 2, TIGHT, Adjoint()).double()
    x = torch.randn(9, 2, dtype=torch.float64)
    expected = normal_log_density(x, float(torch.tensor(0.7).exp()))
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ffjord(FFJORDConfig(), SimpleNamespace(dim=17), TIGHT, Backprop()),
            "17 Jacobian products.*model.trace=hutchinson",
        ),
        (
            lambda: hamiltonian_cnf(
                HamiltonianCNFConfig(), SimpleNamespace(dim=1), TIGHT, Backprop()
            ),
            "at least 2 dimensions; found 1",
        ),
        (lambda: FLOWS["planar_cnf"]().log_prob(torch.zeros(4, 3)), r"\(batch, 2\); found \(4, 3"),
        (lambda: FLOWS["ffjord"]().sample(torch.zeros(2)), r"\(batch, 2\); found \(2,\)"),
        (lambda: PlanarNF(2, 3).log_prob(torch.zeros(4, 1)), r"found \(4, 1\)"),
    ],
)
def test_a_dimension_that_does_not_fit(make, message):
    with pytest.raises(DimensionError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
    ffjord(FFJORDConfig(trace="hutchinson"), SimpleNamespace(dim=17), TIGHT, Backprop())


def test_names_that_are_unknown():
    for make in (
        lambda: PlanarField(2, 3, 32, "mine"),
        lambda: Divergence("exakt"),
        lambda: PlanarNF(2, 3, "both"),
    ):
        with pytest.raises(ValueError, match="is unknown; allowed: "):
            make()
