"""How long experiments take, for `node-run --list`."""

from __future__ import annotations

__all__ = ["MINUTES"]

# With protocol=quick on one CPU core: the median over the runs in outputs/reference/.
MINUTES = {
    "8gaussians_ffjord": 9,
    "energies_planar_cnf": 1,
    "energies_planar_nf": 3,
    "figure1": 1,
    "hopper_gru_d": 3,
    "hopper_latent_ode": 3,
    "hopper_ode_rnn": 7,
    "hopper_rnn_dt": 2,
    "hopper_rnn_vae": 3,
    "japanese_vowels_gru_d": 1,
    "japanese_vowels_latent_ode": 1,
    "japanese_vowels_ode_rnn": 1,
    "japanese_vowels_rnn_dt": 1,
    "japanese_vowels_rnn_vae": 1,
    "mnist_mlp": 2,
    "mnist_odenet": 5,
    "mnist_resnet": 159,
    "mnist_resnet_1block": 27,
    "mnist_rknet": 64,
    "mnist_stem_only": 25,
    "ode_demo": 2,
    "periodic_gru_d": 1,
    "periodic_latent_ode": 3,
    "periodic_ode_rnn": 4,
    "periodic_rnn_dt": 1,
    "periodic_rnn_vae": 2,
    "poisson_latent_ode": 8,
    "spirals_latent_ode": 7,
    "spirals_rnn": 2,
    "spirals_rnn_dt": 2,
    "two_circles_planar_cnf": 6,
    "two_circles_planar_nf": 8,
    "two_moons_planar_cnf": 6,
    "two_moons_planar_nf": 8,
}
