"""Faults that tests must find: each a change of one place, and the tests that must fail by it.

Chosen by hand where a fault would be silent: a wrong sign, a setting that never arrives, an error
that is judged at the wrong place, a number of the wrong epoch.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MUTATIONS", "Mutation"]


class Mutation(NamedTuple):
    """A fault.

    Attributes:
        name: What goes wrong.
        file: In `node_experiments/`; where it no longer holds `old`, the one file that does.
        old: Text that occurs there once.
        new: What it becomes.
        tests: Files and functions in `tests/`, one of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


ODE = (
    Mutation(
        "a stiff step is interpolated from its ends",
        "ode/inside_steps.py",
        'return problem.solver.properties.family == "implicit"',
        "return False",
        (
            "ode/test_events.py::test_events_inside_long_steps_of_a_stiff_problem",
            "ode/test_dense_output.py::test_inside_long_steps_of_a_stiff_problem",
        ),
    ),
    Mutation(
        "tolerances of components follow the memory of the state",
        "ode/solve.py",
        "keeps_layout=not by_position",
        "keeps_layout=True",
        ("ode/test_state_layout.py::test_tolerances_of_components_are_in_the_order_of_the_axes",),
    ),
    Mutation(
        "a coefficient of dopri5",
        "ode/methods/explicit_tableaus.py",
        "(19372 / 6561, -25360 / 2187,",
        "(19372 / 6561, -25361 / 2187,",
        ("ode/test_tableaus.py::test_order_conditions_hold_up_to_the_order_and_not_beyond",),
    ),
    Mutation(
        "the error norm divides by n and not by its root",
        "ode/norms.py",
        "dim=dim, dtype=dtype) / size**0.5",
        "dim=dim, dtype=dtype) / size",
        ("ode/test_step_size_control.py",),
    ),
    Mutation(
        "a step may grow right after a rejection",
        "ode/step_size_control.py",
        "limit = choose((one, max_factor), self._was_accepted)",
        "limit = max_factor",
        ("ode/test_step_size_control.py",),
    ),
    Mutation(
        "the gain on the error before has the wrong sign",
        "ode/step_size_control.py",
        '"pi": (0.7, -0.4, 0.0)',
        '"pi": (0.7, 0.4, 0.0)',
        ("ode/test_step_size_control.py",),
    ),
    Mutation(
        "the last of several events ends the solve",
        "ode/events.py",
        "zero, self.index = min((zero, i)",
        "zero, self.index = max((zero, i)",
        ("ode/test_events.py::test_the_first_of_several_events_within_one_step_counts",),
    ),
    Mutation(
        "the dense solution goes on beyond an event",
        "ode/solve.py",
        "output.end_at(float(ts[-1].detach()))",
        "output.end_at(output.steps[-1])",
        ("ode/test_dense_output.py::test_it_ends_at_an_event",),
    ),
    Mutation(
        "the fastest sample is named as the one that failed",
        "ode/per_sample_steps.py",
        "int(progress.argmin())",
        "int((self._direction * self._control.t).argmax())",
        ("ode/test_batched.py::test_the_sample_that_is_furthest_behind_is_named",),
    ),
    Mutation(
        "values of fixed steps that overflow are a success",
        "ode/solve.py",
        "status, ok = Status.NON_FINITE, False",
        "status, ok = status, True",
        (
            "ode/test_torchdiffeq_differences.py::test_values_that_are_not_finite_are_an_error_also_with_fixed_steps",
        ),
    ),
)

GRADIENTS = (
    Mutation(
        "a parameter that is read between the ends alone gets no gradient",
        "ode/gradients/augmented_solve.py",
        "if grads[index] is not None:",
        "if False:",
        (
            "ode/test_unread.py::test_a_network_that_is_read_between_the_ends_alone_gets_its_gradient",
        ),
    ),
    Mutation(
        "the end of a step is rebuilt from its size",
        "ode/integrate.py",
        "on_accept(t, t_next, y)",
        "on_accept(t, t + h, y)",
        (
            "ode/test_predictor_corrector.py::test_steps_are_replayed_by_their_ends_and_not_by_their_sizes",
        ),
    ),
    Mutation(
        "graphs inside a solve see the caller's hooks",
        "ode/methods/newton.py",
        "with torch.enable_grad(), own_saved_tensors():",
        "with torch.enable_grad():",
        ("ode/test_implicit_gradients.py::test_checkpointing_of_a_solve_computes_it_once_more",),
    ),
    Mutation(
        "a field may keep what it computed",
        "ode/captured_tensors.py",
        "            graph.reject_shared(graphs)\n",
        "",
        ("ode/test_unread.py::test_a_field_that_keeps_what_it_computed_is_rejected",),
    ),
    Mutation(
        "a retained gradient keeps what single evaluations add",
        "ode/gradients/backward_pass.py",
        "for p in parameters if p.retains_grad and not p.is_leaf]",
        "for p in parameters if False]",
        (
            "ode/test_models_around_fields.py::test_retained_gradient_of_a_computed_tensor_among_the_parameters",
        ),
    ),
    Mutation(
        "only the first derivative without a graph is checked",
        "ode/lost_graphs.py",
        "self._next *= 2",
        "self._next = 0",
        (
            "ode/test_models_around_fields.py::test_a_derivative_that_loses_its_graph_after_the_start",
        ),
    ),
    Mutation(
        "batch normalisation may update its statistics in the field",
        "ode/validation.py",
        "if module.training and threading.get_ident() == thread:",
        "if False:",
        (
            "ode/test_models_around_fields.py::"
            "test_batch_normalisation_that_the_field_calls_is_rejected_and_left_as_it_was",
        ),
    ),
    Mutation(
        "a format of times of day is one of dates",
        "chapters/irregular_series/user_tables/table_times.py",
        "if has_no_date(form.time_format):",
        "if False:",
        (
            "chapters/irregular_series/test_time_columns.py::"
            "test_a_format_without_a_date_is_of_times_of_day",
        ),
    ),
    Mutation(
        "leading zeros of digits that are dates stay lost",
        "chapters/irregular_series/user_tables/table_times.py",
        "text = to_fixed_width(text, time_format)",
        "text = text",
        (
            "chapters/irregular_series/test_time_columns.py::"
            "test_dates_of_eight_digits_in_other_orders",
        ),
    ),
    Mutation(
        "no tensor that changed is read",
        "ode/changed_field.py",
        "if not storages_of(x).isdisjoint(read.found):",
        "if False:",
        ("ode/test_unread.py::test_what_it_reads_at_one_time_alone_may_not",),
    ),
    Mutation(
        "a stage's time moves with the wrong end of its step",
        "ode/gradients/time_cotangents.py",
        "self.at(t, value * (1 - c))",
        "self.at(t, value * c)",
        ("ode/gradients/test_discrete.py::test_gradcheck_of_state_argument_parameters_and_times",),
    ),
    Mutation(
        "one state fewer is held than may be",
        "ode/gradients/checkpointed_steps.py",
        "free = limit - len(starts)\n",
        "free = limit - len(starts) - 1\n",
        (
            "ode/gradients/test_checkpoint.py::test_a_solve_evaluates_no_more_than_the_schedule_asks_for",
        ),
    ),
    Mutation(
        "an inexact reconstruction is warned of 100 times too late",
        "ode/gradients/reversible.py",
        "if not error <= ctx.options.reconstruction_tolerance:",
        "if not error <= 100 * ctx.options.reconstruction_tolerance:",
        ("ode/gradients/test_reversible.py::test_a_reconstruction_is_judged_by_its_tolerance",),
    ),
    Mutation(
        "only the interval that is solved last is judged",
        "ode/gradients/augmented_solve.py",
        "self._inaccuracy = torch.maximum(self._inaccuracy, apart)",
        "self._inaccuracy = apart",
        ("ode/gradients/test_adjoint.py::test_every_interval_of_the_backward_solve_is_judged",),
    ),
    Mutation(
        "the state of the backward solve is not renewed at outputs",
        "ode/gradients/augmented_solve.py",
        "self._state[: self._n].copy_(self._ys[i].reshape(-1))",
        "pass",
        ("ode/gradients/test_adjoint.py::test_the_backward_solve_starts_again_from_every_output",),
    ),
    Mutation(
        "a seminorm does not look at the parameter gradients",
        "ode/gradients/augmented_solve.py",
        "beside = beside / SEMINORM_FACTOR",
        "beside = beside * 0",
        (
            "ode/gradients/test_interpolated.py::test_parameters_that_neither_state_nor_adjoint_tells_of",
        ),
    ),
    Mutation(
        "quadratures of a backward step are not refined",
        "ode/gradients/adjoint_over_interpolants.py",
        "if error > allowed:",
        "if False:",
        (
            "ode/gradients/test_interpolated.py::test_parameters_that_neither_state_nor_adjoint_tells_of",
        ),
    ),
)

DROP_IN = (
    Mutation(
        "rtol and atol are exchanged",
        "ode/torchdiffeq/_impl/initial_value_problem.py",
        "default_solver(method, rtol, atol,",
        "default_solver(method, atol, rtol,",
        ("ode/test_torchdiffeq.py::test_options_reach_the_solver",),
    ),
    Mutation(
        "adjoint_rtol is ignored",
        "ode/torchdiffeq/_impl/adjoint.py",
        "rtol if adjoint_rtol is None else adjoint_rtol,",
        "rtol,",
        ("ode/test_torchdiffeq.py::test_the_backward_solve_has_its_own_tolerances",),
    ),
    Mutation(
        "a tableau of the user is taken at its word",
        "ode/methods/registry.py",
        "    check_tableau(tableau)\n",
        "",
        ("ode/test_own_methods.py::test_a_tableau_that_is_not_what_it_states_is_rejected",),
    ),
    Mutation(
        "values on a line through a step count as those of its interpolant",
        "ode/events.py",
        "on_line = self._is_coarse or not step.has_free_interpolant",
        "on_line = self._is_coarse",
        ("ode/test_own_methods.py::test_an_event_inside_a_long_step_is_where_the_interpolant_is",),
    ),
    Mutation(
        "the backward solve of an event starts at the time that gives the direction",
        "ode/torchdiffeq/_impl/adjoint.py",
        'open_end = problem.has_event or options.get("step_size") is not None',
        "open_end = False",
        ("ode/test_torchdiffeq_programs.py::test_the_adjoint_of_an_event_with_steps_of_one_size",),
    ),
    Mutation(
        "steps of one size are at other times than torchdiffeq's",
        "ode/torchdiffeq/_impl/solvers.py",
        "torch.arange(count, dtype=times.dtype, device=times.device)",
        "torch.arange(count, dtype=torch.float64, device=times.device)",
        (
            "ode/test_torchdiffeq_programs.py::"
            "test_steps_of_one_size_are_at_the_same_times_to_the_last_bit",
        ),
    ),
    Mutation(
        "rk4 is the classic rule and not torchdiffeq's",
        "ode/torchdiffeq/_impl/fixed_grid.py",
        'EXPLICIT_TABLEAUS["rk38"]',
        'EXPLICIT_TABLEAUS["rk4"]',
        ("ode/test_torchdiffeq.py::test_rk4_is_the_rule_of_three_eighths",),
    ),
    Mutation(
        "the default tolerance is another one",
        "ode/torchdiffeq/_impl/odeint.py",
        "    t: Tensor,\n    *,\n    rtol: Any = 1e-7,",
        "    t: Tensor,\n    *,\n    rtol: Any = 1e-6,",
        ("ode/test_torchdiffeq.py::test_defaults_are_those_of_torchdiffeq",),
    ),
    Mutation(
        "accepted and rejected steps are exchanged for callbacks",
        "ode/torchdiffeq/_impl/fields.py",
        "on_accept if accepted else on_reject",
        "on_reject if accepted else on_accept",
        ("ode/test_torchdiffeq.py::test_callbacks_are_told_of_every_step",),
    ),
    Mutation(
        "the norm of a tuple is joint",
        "ode/torchdiffeq/_impl/fields.py",
        "for leaf in leaves]).max()",
        "for leaf in leaves]).mean()",
        ("ode/test_torchdiffeq.py::test_the_norm_of_a_tuple_is_that_of_its_worst_part",),
    ),
    Mutation(
        "adjoint_params is ignored",
        "ode/torchdiffeq/_impl/adjoint.py",
        "parameters = None if adjoint_params is None else list(adjoint_params)",
        "parameters = None",
        ("ode/test_torchdiffeq.py::test_only_the_given_parameters_get_gradients",),
    ),
)

NN_AND_MODELS = (
    Mutation(
        "the wrong sign of the log-density's change",
        "chapters/normalizing_flows/continuous_flow.py",
        "return derivative, -trace",
        "return derivative, trace",
        (
            "chapters/normalizing_flows/test_flows.py::test_density_is_that_of_the_jacobian_of_the_flow",
        ),
    ),
    Mutation(
        "the divergence of planar units",
        "chapters/normalizing_flows/planar_cnf.py",
        "(1 - h.square()) @ (u * w).sum(1)",
        "(1 - h) @ (u * w).sum(1)",
        ("chapters/normalizing_flows/test_flows.py::test_traces_are_those_of_the_jacobian",),
    ),
    Mutation(
        "the KL of a Gaussian lacks its logarithm",
        "nn/likelihoods.py",
        "- 1 - log_variance).sum(-1)",
        "- 1).sum(-1)",
        ("chapters/latent_ode/test_tasks.py::test_kl_and_likelihood",),
    ),
    Mutation(
        "draws are spread by the variance",
        "nn/likelihoods.py",
        "mean + (log_variance / 2).exp() * noise",
        "mean + log_variance.exp() * noise",
        ("chapters/latent_ode/test_tasks.py::test_the_loss_is_the_negative_elbo",),
    ),
    Mutation(
        "penalties of a solve backwards in time are negative",
        "nn/ode_module.py",
        "return ys, -integrals if times[-1] < times[0] else integrals",
        "return ys, integrals",
        ("nn/test_regularizers.py::test_integrals_of_a_solve_backwards_in_time_are_positive",),
    ),
    Mutation(
        "the time channel of a convolution is another time",
        "chapters/image_classification/ode_block.py",
        "F.conv2d(channel, self.time_weight, self.bias, padding=1)",
        "F.conv2d(channel + 1, self.time_weight, self.bias, padding=1)",
        (
            "chapters/image_classification/test_image_classifiers.py::test_time_as_bias_field_equals_concatenation",
        ),
    ),
    Mutation(
        "a gap of an ODE-RNN is not in its derivative",
        "chapters/irregular_series/gap_dynamics.py",
        "return gaps * self.net(h)",
        "return self.net(h)",
        ("chapters/irregular_series/test_models.py::test_a_known_flow_between_observations",),
    ),
    Mutation(
        "a prediction reads the observation that it predicts",
        "chapters/irregular_series/recurrence.py",
        "times, right=including)",
        "times, right=True)",
        (
            "chapters/irregular_series/test_models.py"
            "::test_a_prediction_reads_only_what_came_before",
        ),
    ),
    Mutation(
        "the integral of a Poisson rate is left out",
        "chapters/latent_ode/poisson_model.py",
        "- self.mean_count * states[..., -1, -1]",
        "- states[..., -1, -1]",
        (
            "chapters/latent_ode/test_poisson_model.py::test_a_rate_that_is_constant_has_the_known_likelihood",
        ),
    ),
    Mutation(
        "a row whose gap ends early is read at the end of the longest",
        "chapters/irregular_series/gap_dynamics.py",
        "at = [len(stops)] * continuing + [1 + stops.index(n) for n in steps[continuing:left]]",
        "at = [len(stops)] * left",
        ("chapters/irregular_series/test_models.py::test_rows_take_the_steps_of_their_own_gaps",),
    ),
)

DATA = (
    Mutation(
        "forecasts of requested rows are in another order",
        "chapters/irregular_series/requested_times.py",
        "rows[order] = rank[order]",
        "rows[:] = rank[order]",
        ("chapters/irregular_series/test_requested_rows.py",),
    ),
    Mutation(
        "scales of a table are fitted to all series",
        "chapters/irregular_series/user_tables/series_schema.py",
        "np.arange(len(seen)) if training is None else np.asarray(training)",
        "np.arange(len(seen))",
        ("chapters/irregular_series/test_scales.py",),
    ),
    Mutation(
        "scales of Human Activity are fitted to all windows",
        "chapters/irregular_series/human_activity.py",
        "Scaling.fit(series.take(parts.train), settings.scaling)",
        "Scaling.fit(series, settings.scaling)",
        ("chapters/irregular_series/test_scales.py",),
    ),
    Mutation(
        "scales of Japanese Vowels are those of the test utterances",
        "chapters/irregular_series/japanese_vowels.py",
        "Scaling.fit(parts[0], settings.scaling)",
        "Scaling.fit(parts[2], settings.scaling)",
        ("chapters/irregular_series/test_scales.py",),
    ),
    Mutation(
        "images of an evaluation are changed",
        "chapters/image_classification/batches.py",
        "in pieces:\n            yield self.standardize(images), labels",
        "in pieces:\n            yield self.standardize(images.flip(-1)), labels",
        (
            "chapters/image_classification/test_images.py::test_an_evaluation_sees_every_image_as_it_is",
        ),
    ),
    Mutation(
        "what is seen of all parts is drawn alike",
        "chapters/irregular_series/forecast_data.py",
        "of_part = 3 * seed + number",
        "of_part = 3 * seed",
        (
            "chapters/irregular_series/test_datasets.py::test_what_is_seen_of_one_part_says_nothing_of_another",
        ),
    ),
    Mutation(
        "validation images are training images too",
        "chapters/image_classification/batches.py",
        "data.subset(order[validation_size : validation_size + size])",
        "data.subset(order[:size])",
        ("chapters/image_classification/test_mnist.py::test_splits_are_disjoint_and_sized",),
    ),
    Mutation(
        "every epoch has the same order",
        "data/seeded_batches.py",
        "manual_seed(seed * 1_000_003 + epoch)",
        "manual_seed(seed * 1_000_003)",
        (
            "chapters/image_classification/test_images.py::test_order_depends_on_seed_and_epoch_alone",
        ),
    ),
)

TRAINING = (
    Mutation(
        "the last checkpoint is evaluated and not the best",
        "training/checkpoints.py",
        "for name in (BEST, LAST, PREVIOUS)",
        "for name in (LAST, BEST, PREVIOUS)",
        ("training/test_checkpoints.py",),
    ),
    Mutation(
        "best.pt is that of every epoch",
        "training/checkpoints.py",
        "self.save(trainer, best=trainer.best_epoch.improved)",
        "self.save(trainer, best=True)",
        ("training/test_checkpoints.py",),
    ),
    Mutation(
        "NumPy's random numbers are not resumed",
        "training/random_state.py",
        "    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))",
        "    np.random.get_state()",
        ("training/test_checkpoints.py",),
    ),
    Mutation(
        "the means of a window are those of all steps before",
        "training/loop.py",
        "                self._window_means = Means()\n",
        "",
        (
            "training/test_loop.py::test_windows_hold_the_means_of_their_own_steps_at_the_steps_of_the_whole_run",
        ),
    ),
    Mutation(
        "a window is at the step inside its epoch",
        "training/loop.py",
        'self.windows.append({"step": float(self.step)',
        'self.windows.append({"step": float(self.index)',
        (
            "training/test_loop.py::test_windows_hold_the_means_of_their_own_steps_at_the_steps_of_the_whole_run",
        ),
    ),
    Mutation(
        "the best epoch is the worst",
        "training/best_epoch.py",
        "sign = 1 if higher else -1",
        "sign = -1 if higher else 1",
        ("training/test_checkpoints.py",),
    ),
    Mutation(
        "samples of vmap share steps that the easiest of them allows",
        "ode/norms.py",
        "return float(size.detach().max())",
        "return float(size.detach().min())",
        ("ode/test_transforms.py::test_the_hardest_sample_of_vmap_sets_the_steps",),
    ),
    Mutation(
        "Adam ignores weight_decay",
        "training/optimizers.py",
        "return adam(parameters, lr, (beta1, beta2), weight_decay=weight_decay,",
        "return adam(parameters, lr, (beta1, beta2),",
        ("training/test_loop.py::test_every_setting_of_an_optimizer_arrives",),
    ),
    Mutation(
        "losses of accumulated batches of unlike sizes count the same",
        "training/loop.py",
        "fraction = size / sum(sizes)",
        "fraction = 1 / len(sizes)",
        ("training/test_loop.py::test_accumulated_batches_are_one_large_batch",),
    ),
    Mutation(
        "all processes train on the same samples",
        "training/distributed.py",
        "return leaf[self.rank :: self.size]",
        "return leaf[:: self.size]",
        ("training/test_distributed.py::test_shards_of_a_batch",),
    ),
)

SETTINGS = (
    Mutation(
        "the default tolerance of all runs",
        "config/run.py",
        "    rtol: float = 1e-3",
        "    rtol: float = 1e-4",
        ("runner/test_build.py",),
    ),
    Mutation(
        "a setting of the solver never arrives",
        "runner/build_solves.py",
        "return Solver(**asdict(config))",
        'return Solver(**{**asdict(config), "controller": "i"})',
        ("runner/test_build.py",),
    ),
    Mutation(
        "a setting of the gradient method never arrives",
        "runner/build_solves.py",
        "for name in gradient_settings(config.name)}",
        'for name in gradient_settings(config.name) if name != "checkpoints"}',
        ("runner/test_build.py",),
    ),
    Mutation(
        "the seed of the weights is ignored",
        "runner/process.py",
        "prepare_process(config.seed,",
        "prepare_process(0,",
        ("runner/test_build.py",),
    ),
    Mutation(
        "the seed of the data is ignored",
        "runner/build.py",
        "seed=config.seed, device=device)\n",
        "seed=0, device=device)\n",
        ("runner/test_build.py",),
    ),
    Mutation(
        "a schedule is laid over one epoch",
        "runner/build.py",
        "total_steps = config.trainer.epochs * steps_per_epoch",
        "total_steps = steps_per_epoch",
        ("runner/test_build.py",),
    ),
    Mutation(
        "the seed is no part of what makes a run the same",
        "config/hashing.py",
        'NOT_HASHED = ("outputs", "resume", "places")',
        'NOT_HASHED = ("outputs", "resume", "places", "seed")',
        ("runner/test_build.py::test_runs_of_two_seeds_are_not_the_same_run",),
    ),
)

RUNS_AND_REPORTS = (
    Mutation(
        "TensorBoard's evaluations are at the epoch and not at the step",
        "tracking/loggers.py",
        "logger.scalars(named, trainer.step)",
        "logger.scalars(named, trainer.epoch)",
        ("tracking/test_loggers.py::test_what_is_logged_is_at_the_training_step",),
    ),
    Mutation(
        "TensorBoard's pictures are at the epoch",
        "tracking/figures.py",
        "self._show(name, figure, trainer.step)",
        "self._show(name, figure, trainer.epoch)",
        ("tracking/test_figures.py",),
    ),
    Mutation(
        "a resume drops the last good point of TensorBoard",
        "tracking/tensorboard.py",
        "0 if run.valid_until is None else run.valid_until + 1",
        "0 if run.valid_until is None else run.valid_until",
        ("tracking/test_tensorboard.py::test_a_resume_keeps_the_points_that_are_valid",),
    ),
    Mutation(
        "the reported numbers are of the last epoch",
        "runs/result.py",
        "return self.metrics if self.best is None else self.best.metrics",
        "return self.metrics",
        ("runs/test_result.py::test_a_result_stands_for_its_best_validation_epoch_else_the_last",),
    ),
    Mutation(
        "a seed counts as often as it was run",
        "reports/records.py",
        "return [found[key] for key in sorted(found)]",
        "return list(runs)",
        ("reports/test_records.py",),
    ),
    Mutation(
        "the rank test is one-sided",
        "reports/rank_test.py",
        "sum(abs(each - middle) >= found - 1e-9 for each in sums)",
        "sum(each - middle >= found - 1e-9 for each in sums)",
        ("reports/test_rank_test.py",),
    ),
    Mutation(
        "a score of an ensemble has no spread",
        "reports/mixtures.py",
        "parts.append(error - 0.5 * spread)",
        "parts.append(error)",
        (
            "reports/test_ensembles.py::test_crps_of_equal_components_is_that_of_one_and_of_points_the_energy_score",
        ),
    ),
    Mutation(
        "a value is carried forward to its own time",
        "chapters/irregular_series/simple_forecasts.py",
        "before = torch.searchsorted(shown, wanted) - 1",
        "before = torch.searchsorted(shown, wanted, right=True) - 1",
        ("chapters/irregular_series/test_mimic_demo.py",),
    ),
    Mutation(
        "the table of errors is in scaled units",
        "chapters/irregular_series/error_table.py",
        'float(joined[f"{name}_{d}"].mean().sqrt()) * float(scale[d])',
        'float(joined[f"{name}_{d}"].mean().sqrt())',
        ("chapters/irregular_series/test_error_table.py",),
    ),
    Mutation(
        "the regression of storms leaves out what grows with the square of the wind",
        "chapters/irregular_series/shipped/storm_regression.py",
        "return state[:, first] * state[:, second]",
        "return (state[:, first] * state[:, second])[:, :-1]",
        ("chapters/irregular_series/test_storms.py",),
    ),
    Mutation(
        "a file may be half written",
        "files.py",
        "        Path(temporary).unlink(missing_ok=True)\n        raise",
        "        Path(temporary).replace(path)\n        raise",
        ("test_files.py",),
    ),
)

MUTATIONS = (
    *ODE, *GRADIENTS, *DROP_IN, *NN_AND_MODELS, *DATA, *TRAINING, *SETTINGS, *RUNS_AND_REPORTS,
)  # fmt: skip
