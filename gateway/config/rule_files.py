"""The files of rules, read and tried with config.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.files import read_file
from gateway.rules.loading import BadRule, RuleLoader, RuleSource

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config
    from gateway.config.problems import Problem
    from gateway.config.route_sections import RouteOptions


def with_rules(config: Config, folder: Path, document: Document) -> tuple[Config, list[Problem]]:
    """Read the files of all rules, and load each rule once; also return problems."""
    problems: list[Problem] = []
    files = _Files(folder)
    routes = list(config.routes)
    for at, route in enumerate(routes):
        if route.require is None or not route.require.rules:
            continue
        rules: list[RuleSource] = []
        for index, source in enumerate(route.require.rules):
            try:
                rules.append(files.tried(source))
            except BadRule as error:
                where = ("routes", at, "require", "rules", index)
                problems.append(document.problem(where, str(error)))
        routes[at] = _with(route, rules)
    return config.model_copy(update={"routes": tuple(routes)}), problems


def _with(route: RouteOptions, rules: list[RuleSource]) -> RouteOptions:
    assert route.require is not None
    require = route.require.model_copy(update={"rules": tuple(rules)})
    return route.model_copy(update={"require": require})


class _Files:
    """The files beside one config.yaml."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code: dict[Path, bytes] = {}
        self._loader = RuleLoader(read_file)

    def tried(self, source: RuleSource) -> RuleSource:
        """The rule with the code of its file and of the neighbours. Raises `BadRule`."""
        file = (self._folder / source.file).absolute()
        if file not in self._code:
            try:
                self._code[file] = read_file(file)
            except OSError as error:
                raise BadRule(f"cannot be read: {error.strerror}") from None
        found = replace(source, file=str(file), code=self._code[file])
        self._loader.function(found)
        return self._loader.with_neighbours(found)
