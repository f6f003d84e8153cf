"""The entry point of `node-run`: signals are handled first, then the rest is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..training.signals import stop_on_signals
from .streams import draw_into_files, end_of_reader, make_printable

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        words: Those after the name of the program; of `sys.argv` when None.
    """
    make_printable()
    draw_into_files()
    with stop_on_signals(at_once=True) as stop:
        try:
            from .application import run

            return run(sys.argv[1:] if words is None else words)
        except BrokenPipeError:
            return end_of_reader()
        except KeyboardInterrupt as interruption:
            if interruption.args:  # by a job, which has said so
                return int(interruption.args[0])
            line = "interrupted while nothing was training; run the same command again"
            print(f"node-run: {line}", file=sys.stderr)
            return 130 if stop.signum is None else stop.exit_code


if __name__ == "__main__":
    sys.exit(main())
