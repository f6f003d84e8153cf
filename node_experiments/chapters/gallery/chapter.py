"""Entries of the gallery: models that do what layers of discrete depth cannot."""

from __future__ import annotations

from ..chapter import Chapter, Dataset, Model, Task
from .settings import (
    BouncesConfig,
    BouncingBallConfig,
    FluidControlConfig,
    HareLynxConfig,
    ImageFlowConfig,
    LearnedPhysicsConfig,
    PendulumConfig,
    PopulationsConfig,
    ReactionRatesConfig,
    RobertsonConfig,
    SmokeConfig,
    SphereODEConfig,
    SpheresConfig,
    SwingUpConfig,
)

__all__ = ["CHAPTER"]

HERE = "node_experiments.chapters.gallery"

CHAPTER = Chapter(
    name="gallery",
    datasets={
        "bounces": Dataset(
            BouncesConfig, f"{HERE}.bounces:bounce_data", "bounces", recipe="bounces"
        ),
        "hare_lynx": Dataset(
            HareLynxConfig, f"{HERE}.hare_lynx:pelt_data", "pelts", recipe="hare_lynx"
        ),
        "pendulum": Dataset(
            PendulumConfig, f"{HERE}.pendulum:pendulum_data", "pendulum", recipe="pendulum"
        ),
        "robertson": Dataset(
            RobertsonConfig, f"{HERE}.kinetics:robertson_data", "reaction", recipe="robertson"
        ),
        "smoke": Dataset(SmokeConfig, f"{HERE}.smoke:smoke_data", "smoke", recipe="smoke"),
        "spheres": Dataset(
            SpheresConfig, f"{HERE}.spheres:sphere_data", "spheres", recipe="spheres"
        ),
    },
    models={
        "bouncing_ball": Model(
            BouncingBallConfig, f"{HERE}.ball:bouncing_ball", {"bounces": "ball_fit"}
        ),
        "image_flow": Model(
            ImageFlowConfig,
            f"{HERE}.image_flow:image_flow",
            {"images": "image_flow_matching"},
            recipe="image_flow",
        ),
        "learned_physics": Model(
            LearnedPhysicsConfig, f"{HERE}.ball:learned_physics", {"bounces": "ball_fit"}
        ),
        "fluid_control": Model(
            FluidControlConfig,
            f"{HERE}.fluid_control:fluid_control",
            {"smoke": "fluid_control"},
        ),
        "populations": Model(
            PopulationsConfig, f"{HERE}.populations:populations", {"pelts": "population_fit"}
        ),
        "reaction_rates": Model(
            ReactionRatesConfig, f"{HERE}.kinetics:reaction_rates", {"reaction": "reaction_fit"}
        ),
        "sphere_ode": Model(
            SphereODEConfig, f"{HERE}.sphere_ode:sphere_ode", {"spheres": "sphere_fit"}
        ),
        "swing_up": Model(SwingUpConfig, f"{HERE}.swing_up:swing_up", {"pendulum": "swing_up"}),
    },
    tasks={
        "ball_fit": Task(
            f"{HERE}.ball_fit:ball_fit",
            f"{HERE}.ball_figures:ball_figures",
            f"{HERE}.ball_figures:ball_callbacks",
        ),
        "fluid_control": Task(
            f"{HERE}.fluid_target:fluid_target",
            f"{HERE}.fluid_figures:fluid_figures",
            f"{HERE}.fluid_figures:fluid_callbacks",
        ),
        "image_flow_matching": Task(
            f"{HERE}.image_flow:image_flow_matching",
            f"{HERE}.image_flow_figures:image_flow_figures",
            f"{HERE}.image_flow_figures:image_flow_callbacks",
        ),
        "population_fit": Task(
            f"{HERE}.populations:population_fit",
            f"{HERE}.population_figures:population_figures",
        ),
        "reaction_fit": Task(
            f"{HERE}.kinetics:reaction_fit", f"{HERE}.kinetics_figures:kinetics_figures"
        ),
        "sphere_fit": Task(
            f"{HERE}.sphere_ode:sphere_fit",
            f"{HERE}.sphere_figures:sphere_figures",
            f"{HERE}.sphere_figures:sphere_callbacks",
        ),
        "swing_up": Task(
            f"{HERE}.swing_up:swing_up_task",
            f"{HERE}.swing_up_figures:swing_up_figures",
            f"{HERE}.swing_up_figures:swing_up_callbacks",
        ),
    },
    figures={"anode_spheres": f"{HERE}.spheres_report:flows"},
    tables={"anode_spheres": f"{HERE}.spheres_report:spheres_table"},
)
