"""What a task returns is checked where it returns it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from node_experiments.errors import UserError
from tests.training.test_loop import Regression, accumulating


def trained(task, **data):
    trainer = accumulating([6, 6], 1, epochs=1, task=task)
    trainer.data = SimpleNamespace(**{**vars(trainer.data), **data})
    trainer.fit()
    return trainer


def returning(**metrics):
    class Own(Regression):
        def evaluate(self, model, batches):
            return {**super().evaluate(model, batches), **metrics}

    return Own()


@pytest.mark.parametrize(
    "value",
    [torch.tensor(0.5), torch.tensor([0.5]), np.float32(0.5), np.float64(0.5), 0.5],
    ids=["0-d tensor", "tensor of one", "float32", "float64", "float"],
)
def test_every_kind_of_number_is_a_metric(value):
    row = trained(returning(own=value)).history[-1]
    assert row["own/test"] == 0.5
    assert type(row["own/test"]) is float


@pytest.mark.parametrize(
    ("value", "kind"),
    [(torch.zeros(3), "Tensor"), ([0.5], "list"), (None, "NoneType"), ("high", "str")],
)
def test_what_is_no_number_is_named_with_its_task_and_metric(value, kind):
    with pytest.raises(UserError) as error:
        trained(returning(own=value))
    assert str(error.value) == (
        f"evaluate of the task Own returned a {kind} for 'own'; it must be one number, such as "
        "float(values.mean())"
    )


def test_an_evaluation_without_metrics_is_named():
    class Forgot(Regression):
        def evaluate(self, model, batches):
            super().evaluate(model, batches)

    with pytest.raises(UserError, match="evaluate of the task Forgot returned a NoneType; it mus"):
        trained(Forgot())


@pytest.mark.parametrize("validation", [True, False])
def test_a_metric_that_is_never_returned_is_named_with_those_that_are(validation):
    class Misspelt(Regression):
        metric = "errror"

    batch = accumulating([12], 1).data.test
    with pytest.raises(UserError) as error:
        trained(Misspelt(), validation=batch if validation else None)
    assert str(error.value) == (
        "the task Misspelt names the metric 'errror', but its evaluate returned loss, error; name "
        "one of them, or return 'errror'"
    )


def test_a_metric_that_is_undefined_where_a_class_is_missing_is_no_mistake():
    class Rare(Regression):
        metric = "auc"

    batch = accumulating([12], 1).data.test
    with pytest.warns(UserWarning, match="auc is undefined on the validation data"):
        trainer = trained(Rare(), validation=batch, class_counts={"test": {"ill": 12}})
    assert trainer.best_epoch.chosen_by == "loss"
