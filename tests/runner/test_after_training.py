"""What follows the last epoch is the same in a process that was started after it."""

from types import SimpleNamespace

from node_experiments.runner.after_training import calibrate


def test_a_calibration_reads_the_training_series_as_the_last_epoch_did(tmp_path):
    orders = []

    class Task:
        def calibrate(self, model, data):
            orders.append(data.train.epoch)
            return {"coverage": 0.9}

        def coverage_metrics(self, model, data):
            return {}

    for left_by in (0, 4):  # a new process, and that of the training
        row = {}
        trainer = SimpleNamespace(
            task=Task(), history=[row], reported=row, epoch=5, model=None,
            best_epoch=SimpleNamespace(value=None),
            data=SimpleNamespace(train=SimpleNamespace(epoch=left_by)),
        )  # fmt: skip
        calibrate(trainer, None, tmp_path)
        assert trainer.history[-1] == {"coverage/validation": 0.9}
    assert orders == [4, 4]
