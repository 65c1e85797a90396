"""`gateway rules test`: try rules in Python on examples, without a gateway."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, add_config, fail
from gateway.config.files import read_file
from gateway.core.http import path_patterns, paths
from gateway.rules import Request
from gateway.rules.loading import BadRule, Function, RuleLoader, RuleSource, line_in, parse_source
from gateway.rules.time_limit import TimeLimit

if TYPE_CHECKING:
    from gateway.config.model import Config

_HELP = """Try rules on their examples, or one rule on a request.

Without a rule: all rules of config.yaml, on the examples beside their files (rules.examples.yaml
beside rules.py). With a rule alone: on its examples. With a rule, a method and a path: on that
request."""

_EXAMPLE_KEYS = frozenset({"allow", "refuse", "claims", "subject", "host", "route", "params"})


class _Unusable(Exception):
    """A file of examples, or an option, cannot be used."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and what a rule is to say of it; None: whatever it says."""

    request: Request
    allowed: bool | None

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.path}"


class _AnyOrder(argparse.ArgumentParser):
    """Takes options also between the words of a request."""

    _is_sorting = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._is_sorting:
            return super().parse_known_args(args, namespace)
        self._is_sorting = True
        return self.parse_known_intermixed_args(args, namespace)


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `rules`."""
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_AnyOrder
    )
    testing = commands.add_parser("test", help=_HELP.partition("\n")[0], description=_HELP)
    testing.set_defaults(command=test)
    add_config(testing)
    testing.add_argument("rule", nargs="?", metavar="RULE", help="such as ./rules.py:may_edit")
    testing.add_argument("method", nargs="?", metavar="METHOD", help="such as GET")
    testing.add_argument("path", nargs="?", metavar="PATH", help="such as /items/7")
    testing.add_argument("--claims", default="{}", metavar="JSON", help="the claims of the token")
    testing.add_argument("--subject", metavar="SUBJECT", help="the user (default: the claim sub)")
    testing.add_argument("--host", default="", metavar="HOST", help="the host that is asked")
    testing.add_argument(
        "--route", metavar="PATTERN", help="the route's path, such as /items/{id}, for its params"
    )


def test(options: argparse.Namespace) -> int:
    """Print what the rules say. Exit code 1 if it is not what examples expect."""
    loader = RuleLoader(read_file)
    try:
        tried = [(rule, loader.function(rule), examples) for rule, examples in _tried(options)]
    except _Unusable as error:
        return fail(str(error), EXIT_USAGE)
    except BadRule as error:
        return fail(f"{options.rule} {error}", EXIT_USAGE)
    wrong = sum(_try_rule(*rule) for rule in tried)
    number = sum(len(examples) for _, _, examples in tried)
    if not number:
        return fail("there are no examples of it", EXIT_FAILED)
    print(f"{number} tried, {wrong} wrong")
    return EXIT_FAILED if wrong else 0


def _tried(options: argparse.Namespace) -> Iterator[tuple[RuleSource, list[Example]]]:
    """The rules with their examples. Raises `_Unusable` and `BadRule`."""
    if options.rule is None:
        for source, routes in _configured(options.config).items():
            yield source, _examples(source, routes)
        return
    source = _read(parse_source(options.rule))
    if options.method is None:
        yield source, _examples(source, ())
        return
    if options.path is None:
        raise _Unusable("name a method and a path, such as GET /items/7")
    try:
        claims = json.loads(options.claims)
    except ValueError:
        raise _Unusable("--claims is not JSON") from None
    fields = {
        "claims": claims,
        "subject": options.subject,
        "host": options.host,
        "route": options.route,
    }
    text = f"{options.method} {options.path}"
    yield source, [Example(_request(text, fields, ()), None)]


def _configured(config: str) -> dict[RuleSource, list[str]]:
    """The rules of a configuration, with the paths of their routes."""
    from gateway.config.load import load
    from gateway.config.problems import ConfigError

    try:
        loaded: Config = load(config)
    except ConfigError as error:
        raise _Unusable(str(error)) from None
    found: dict[RuleSource, list[str]] = {}
    for route in loaded.routes:
        for source in route.require.rules if route.require is not None else ():
            found.setdefault(source, []).append(route.path)
    if not found:
        raise _Unusable(f"{config} names no rules")
    return found


def _read(source: RuleSource) -> RuleSource:
    file = Path(source.file)
    try:
        return replace(source, file=str(file.absolute()), code=read_file(file))
    except OSError as error:
        raise BadRule(f"cannot be read: {error.strerror}") from None


def _examples(source: RuleSource, routes: Iterable[str]) -> list[Example]:
    """The examples of a rule in the file beside its own. Raises `_Unusable`."""
    import yaml

    file = Path(source.file).with_suffix(".examples.yaml")
    try:
        data = yaml.safe_load(read_file(file))
    except OSError as error:
        raise _Unusable(f"{file}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise _Unusable(f"{file}: is not YAML: {error}") from None
    listed = data.get(source.function, []) if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise _Unusable(f"{file}: needs a list of examples under the name of each rule")
    found = []
    for number, fields in enumerate(listed, 1):
        try:
            found.append(_example(fields, routes))
        except _Unusable as error:
            raise _Unusable(f"{file}: example {number} of {source.function} {error}") from None
    return found


def _example(fields: Any, routes: Iterable[str]) -> Example:
    """An example of the file. Raises `_Unusable`."""
    if not isinstance(fields, dict) or ("allow" in fields) == ("refuse" in fields):
        raise _Unusable("needs one of allow and refuse, such as allow: GET /items/7")
    unknown = fields.keys() - _EXAMPLE_KEYS
    if unknown:
        raise _Unusable(f"has an unknown key: {min(map(str, unknown))}")
    allowed = "allow" in fields
    return Example(_request(fields["allow" if allowed else "refuse"], fields, routes), allowed)


def _request(text: Any, fields: Mapping[str, Any], routes: Iterable[str]) -> Request:
    """The request that a rule is asked about. Raises `_Unusable`.

    text: method and path
    fields: what else is given of it
    routes: patterns that may name segments of the path
    """
    method, _, target = text.partition(" ") if isinstance(text, str) else ("", "", "")
    path = paths.strict(target.partition("?")[0].encode()).decode()  # as a rule sees it
    claims = fields.get("claims") or {}
    if not method or not path.startswith("/"):
        raise _Unusable("needs a method and a path, such as GET /items/7")
    if not isinstance(claims, dict):
        raise _Unusable("needs claims that are an object of names and values")
    subject = fields.get("subject") or claims.get("sub")
    return Request(
        method=method,
        path=path,
        host=fields.get("host") or "",
        params=fields.get("params") or _params(path, fields.get("route"), routes),
        subject=subject,
        claims={**claims, "sub": subject},
    )


def _params(path: str, route: str | None, routes: Iterable[str]) -> dict[str, str]:
    """The segments that the route names; that of the example, or one that fits."""
    for pattern in routes if route is None else [route]:
        try:
            readings = paths.read(path.encode())
            return path_patterns.parse(pattern).values(readings.strict, readings.resolved)
        except ValueError:
            continue
    if route is not None:
        raise _Unusable(f"has a path that does not fit its route {route}")
    return {}


def _try_rule(source: RuleSource, function: Function, examples: Iterable[Example]) -> int:
    """Print what a rule says of each example. Returns how many are wrong."""
    print(source.label)
    wrong = 0
    for example in examples:
        allowed, word = _answer(function, source, example.request)
        is_right = allowed is not None and example.allowed in (None, allowed)
        wrong += not is_right
        print(f"  {'ok   ' if is_right else 'WRONG'} {word} {example}")
    return wrong


def _answer(function: Function, source: RuleSource, request: Request) -> tuple[bool | None, str]:
    """A rule's verdict on a request (None if it fails), and the same in a word."""
    try:
        with TimeLimit() as limit:
            allowed: object = limit.run(lambda: function(request))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit would say how this command has ended
        place = line_in(source.file, error.__traceback__)
        return None, f"raises {type(error).__name__} in line {place} ({error}) on"
    if not isinstance(allowed, bool):
        return None, f"returns {type(allowed).__name__}, and not True or False, for"
    return allowed, "allows" if allowed else "refuses"
