"""Pictures of a run: those that fail do not take it with them."""

from types import SimpleNamespace

from node_experiments.tracking.figures import Figures


def test_a_figure_that_cannot_be_drawn_is_left_out(tmp_path, caplog):
    def draw(trainer):
        raise ValueError("no figure today")

    kept = []
    tensorboard = SimpleNamespace(add_figure=lambda name, figure, step: kept.append(name))
    callback = Figures(tmp_path, tensorboard, "a run", draw)
    window = {"step": 1.0, "loss/train": 1.0, "lr": 0.1}
    trainer = SimpleNamespace(
        epoch=1,
        epochs=1,
        step=1,
        task=SimpleNamespace(metric="loss"),
        windows=[window],
        history=[{"epoch": 1, "loss/test": 1.0, **window}],
    )
    callback.epoch_end(trainer)
    assert kept == ["training"]
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]
    assert "figures of the trained model are missing" in caplog.text
    assert "no figure today" in caplog.text
