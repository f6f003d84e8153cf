"""Entry point of `node-run`; installs the signal handlers before it imports the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..training.signals import stop_on_signals
from .streams import discard_output, make_printable, select_agg_backend

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        words: Arguments after the name of the program; those of `sys.argv` when None.
    """
    make_printable()
    select_agg_backend()
    with stop_on_signals(at_once=True) as stop:
        try:
            from .application import run

            return run(sys.argv[1:] if words is None else words)
        except BrokenPipeError:
            return discard_output()
        except KeyboardInterrupt as interruption:
            if interruption.args:  # raised by a job, which has reported it
                return int(interruption.args[0])
            line = "interrupted while nothing was training; run the same command again"
            print(f"node-run: {line}", file=sys.stderr)
            return 130 if stop.signum is None else stop.exit_code


if __name__ == "__main__":
    sys.exit(main())
