"""Four steps of training one CNF layer of FFJORD: `ffjord_cnf.py <divergence> <solver>`."""

import sys

import torch
from lib.layers import CNF
from lib.layers.odefunc import ODEfunc, ODEnet

divergence, solver = sys.argv[1:]
torch.manual_seed(0)
net = ODEnet(
    hidden_dims=(32, 32), input_shape=(2,), strides=None, conv=False, layer_type="concat",
    nonlinearity="tanh",
)  # fmt: skip
layer = CNF(ODEfunc(net, divergence_fn=divergence), T=0.5, solver=solver)
if solver == "rk4":
    layer.solver_options = {"step_size": 0.05}
optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
for _ in range(4):
    x = torch.randn(64, 2) * 0.5 + 1
    z, delta_logp = layer(x, torch.zeros(64, 1))
    logp = torch.distributions.Normal(0, 1).log_prob(z).sum(1, keepdim=True) - delta_logp
    loss = -logp.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"loss {float(loss):.6f}")
