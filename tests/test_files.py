"""A file is either whole or as it was before."""

import os
from pathlib import Path

import pytest

from node_experiments.files import write_atomically, write_json


class Stop(BaseException):
    """An interruption in the middle of writing."""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stop()])
@pytest.mark.parametrize("before", [b"whole", None])
def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path, error, before):
    path = tmp_path / "result.json"
    if before is not None:
        path.write_bytes(before)

    def write(file):
        file.write(b"half")
        file.flush()
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write, keep=tmp_path / "kept")
    assert [p.name for p in tmp_path.iterdir()] == (["result.json"] if before else [])
    assert (path.read_bytes() if before else None) == before


def test_what_was_there_is_kept_under_another_name(tmp_path):
    path, kept = tmp_path / "last.pt", tmp_path / "previous.pt"
    for content in (b"1", b"2", b"3"):
        write_atomically(path, lambda file, content=content: file.write(content), keep=kept)
    assert (path.read_bytes(), kept.read_bytes()) == (b"3", b"2")


def test_a_device_is_written_into_and_stays_one():
    write_atomically(Path("/dev/null"), lambda file: file.write(b"x"))
    assert Path("/dev/null").is_char_device()


def test_a_pipe_is_replaced_and_no_reader_waited_for(tmp_path):
    path = tmp_path / "metrics.jsonl"
    os.mkfifo(path)
    write_atomically(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"x"


def test_files_are_for_whom_the_user_allows(tmp_path):
    path, own = tmp_path / "a.json", tmp_path / "b"
    write_json(path, {"x": [1.0, float("nan")], "é": float("inf")})
    own.touch()
    assert path.stat().st_mode == own.stat().st_mode
    assert path.read_text() == '{\n  "x": [\n    1.0,\n    null\n  ],\n  "é": null\n}\n'
