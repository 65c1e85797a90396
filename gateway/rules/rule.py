"""Runs rules, measures them, and ends those that take too long."""

from __future__ import annotations

import logging
from functools import cached_property, partial
from time import perf_counter

from gateway.rules import Request
from gateway.rules.loading import Function, RuleLoader, RuleSource, line_in
from gateway.rules.time_limit import TimeLimit

_log = logging.getLogger("gateway.rules")

# In seconds. A warm request takes a worker 0.05 ms, and all others wait for a rule.
SLOW_SECONDS = 0.001


class RuleFailed(Exception):
    """A rule has raised, has taken too long, or has returned something else than True or False."""


class Rule:
    """One rule, with its counts in this worker.

    calls: how often it was asked
    refusals: how often it has said no
    errors: how often it has failed
    slow: how often it took longer than `SLOW_SECONDS`
    seconds: how long it took in all
    """

    __slots__ = ("_function", "_limit", "calls", "errors", "refusals", "seconds", "slow", "source")

    def __init__(self, source: RuleSource, function: Function, limit: TimeLimit) -> None:
        self.source = source
        self._function = function
        self._limit = limit
        self.calls = self.refusals = self.errors = self.slow = 0
        self.seconds = 0.0

    def allows(self, request: Request) -> bool:
        """Whether the rule lets a request pass. Raises `RuleFailed`."""
        began = perf_counter()
        try:
            answer: object = self._limit.run(partial(self._function, request))
        except BaseException as error:
            self._measure(perf_counter() - began)
            place = line_in(self.source.file, error.__traceback__)
            raise self._failed("raised %s in line %d", type(error).__name__, place) from None
        self._measure(perf_counter() - began)
        if answer is True:
            return True
        if answer is not False:
            raise self._failed("returned %s, and not True or False", type(answer).__name__)
        self.refusals += 1
        return False

    def _measure(self, seconds: float) -> None:
        self.calls += 1
        self.seconds += seconds
        if seconds > SLOW_SECONDS:
            self.slow += 1
            _log.warning(
                "the rule %s took %.1f ms, and all other requests of the worker waited for it",
                self.source.label,
                seconds * 1000,
            )

    def _failed(self, message: str, *values: object) -> RuleFailed:
        """Log a failure. The text of an error may hold claims, and is left out."""
        self.errors += 1
        _log.error("the rule %s " + message, self.source.label, *values)
        return RuleFailed()


class RuleSet:
    """The rules of one configuration. Routes with the same rule share it."""

    def __init__(self) -> None:
        self._loader = RuleLoader()
        self._rules: dict[RuleSource, Rule] = {}

    def rule(self, source: RuleSource) -> Rule:
        """The rule of a source. Raises `BadRule`."""
        if source not in self._rules:
            self._rules[source] = Rule(source, self._loader.function(source), self._limit)
        return self._rules[source]

    @cached_property
    def _limit(self) -> TimeLimit:
        """Made for the first rule, since it takes a signal of the process."""
        return TimeLimit()

    def all(self) -> list[Rule]:
        """The rules so far, with their counts."""
        return list(self._rules.values())
