"""`gateway reload`: have the running gateway reload, and wait for the outcome."""

from __future__ import annotations

import argparse
import sys

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, fail
from gateway.processes.control import ControlError, Outcome, Result, request_reload

_EXIT_CODES = {
    Result.RELOADED: 0,
    Result.WRONG_CONFIGURATION: EXIT_USAGE,
    Result.FAILED: EXIT_FAILED,
}


def reload(options: argparse.Namespace) -> int:
    """Reload, and say what has become of it. The exit code."""
    try:
        outcome = request_reload(options.config)
    except ControlError as error:
        return fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return fail("the gateway may still reload", EXIT_FAILED)
    return _report(outcome)


def _report(outcome: Outcome) -> int:
    if outcome.result == Result.RELOADED:
        print("reloaded")
    elif outcome.result == Result.WRONG_CONFIGURATION:
        print(outcome.text, file=sys.stderr)
        fail("the old configuration stays", EXIT_USAGE)
    else:
        fail(f"the old configuration stays: {outcome.text}", EXIT_FAILED)
    return _EXIT_CODES[outcome.result]
