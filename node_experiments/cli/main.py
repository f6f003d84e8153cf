"""Entry point of `node-run`; installs the signal handlers before it imports the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..training.signals import LeaveAtOnce, ignore_signals, stop_on_signals
from .streams import discard_output, make_printable, select_agg_backend

__all__ = ["main"]

LINE = "node-run: interrupted while nothing was training; run the same command again"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        words: Arguments after the name of the program. When None, those of `sys.argv`, and the
            process ends with this call: a signal that comes later does not change the exit code.
    """
    make_printable()
    select_agg_backend()
    with stop_on_signals(request=LeaveAtOnce(LINE)) as stop:
        try:
            from .application import run

            code = run(sys.argv[1:] if words is None else words)
        except BrokenPipeError:
            code = discard_output()
        except KeyboardInterrupt as interruption:
            if interruption.args:  # raised by a job, which has reported it
                code = int(interruption.args[0])
            else:
                print(LINE, file=sys.stderr)
                code = 130 if stop.signum is None else stop.exit_code
        LeaveAtOnce.decided = True
        if words is None:
            ignore_signals()
    return code


if __name__ == "__main__":
    sys.exit(main())
