"""The texts of notifications: Jinja2 files, shipped in templates/ beside this file, or those of the same names in a
folder of the operator's.

A text template's first line is the subject. Every field that a template names is checked when the templates are loaded:
one that does not exist is an error with file, line and the fields that do, before anything is sent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import BaseLoader, StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import TemplateNotFound
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alerts.notify.facts import SAMPLE, alert_facts
from metering.errors import SettingError

LANGUAGES = ("zh", "en")
_SETTING = "NENGLIU_NOTIFY_TEMPLATES"
#: Fields beside those of the alert.
_OWN = {
    "language": "zh",
    "name": "",
    "key": "",
    "node": "",
    "is_test": False,
    "link": "",
    "link_days": 0,
    "chart": "",
}
_DIGEST = {
    "language": "zh",
    "name": "",
    "key": "",
    "node": "",
    "link_days": 0,
    "day": "",
    "entries": [],
    "more": 0,
}


@dataclass(frozen=True, slots=True)
class Text:
    """A notification's words: subject, plain text and HTML."""

    subject: str
    plain: str
    html: str


class Templates:
    """The templates in force. Raises SettingError, naming file, line and field, for any that cannot be used."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise SettingError(f"{_SETTING}: {folder} is no folder")
        self._folder = folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=_Loader(folder),
            autoescape=lambda name: name is not None and name.endswith(".html.j2"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._check()

    def alert(self, context: Mapping[str, Any]) -> Text:
        """The words about one alert."""
        return self._text("alert", context)

    def digest(self, context: Mapping[str, Any]) -> Text:
        """The words about what was held back."""
        return self._text("digest", context)

    def _text(self, kind: str, context: Mapping[str, Any]) -> Text:
        language = context["language"]
        plain = self._environment.get_template(f"{kind}.{language}.txt.j2").render(context)
        subject, _, body = plain.partition("\n")
        html = self._environment.get_template(f"{kind}.{language}.html.j2").render(context)
        return Text(" ".join(subject.split()), body.strip("\n") + "\n", html)

    def _check(self) -> None:
        for name, context in _samples():
            known = {*context, "range"}
            try:
                source, path, _ = _Loader(self._folder).get_source(self._environment, name)
                tree = self._environment.parse(source)
            except TemplateSyntaxError as e:
                raise SettingError(f"{_SETTING}: {self._where(name)}:{e.lineno}: {e.message}") from e
            # Blocks see what their template imports; the finder does not know that.
            imported = {n.target for n in tree.find_all(nodes.Import)}
            unknown = sorted(find_undeclared_variables(tree) - known - imported)
            if unknown:
                line = _line_of(tree, unknown[0])
                raise SettingError(
                    f"{_SETTING}: {path}:{line}: there is no field {', '.join(map(repr, unknown))}; there are "
                    f"{', '.join(sorted(context))}"
                )
            try:
                self._environment.get_template(name).render(context)
            except UndefinedError as e:
                fields = ", ".join(sorted(alert_facts(SAMPLE, "en", ZoneInfo("UTC"))))
                raise SettingError(f"{_SETTING}: {path}: {e.message}; an entry has {fields}, link") from e
            except (TemplateError, ValueError, TypeError, ArithmeticError) as e:
                raise SettingError(f"{_SETTING}: {path}: cannot be rendered: {e}") from e

    def _where(self, name: str) -> str:
        return str(self._folder / name) if self._folder is not None else name


def _samples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every template with what it may be rendered with."""
    for language in LANGUAGES:
        facts = alert_facts(SAMPLE, language, ZoneInfo("Asia/Shanghai"))
        alert = {**facts, **_OWN, "language": language}
        digest = {**_DIGEST, "language": language, "entries": [{**facts, "link": ""}]}
        for kind in ("txt", "html"):
            yield f"alert.{language}.{kind}.j2", alert
            yield f"digest.{language}.{kind}.j2", digest


def _line_of(tree: nodes.Template, name: str) -> int:
    return next((n.lineno for n in tree.find_all(nodes.Name) if n.name == name), 1)


class _Loader(BaseLoader):
    """Templates of a folder before those that are shipped."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get_source(self, environment: Any, template: str) -> tuple[str, str, Any]:  # noqa: ARG002
        """Text and place of a template."""
        if "/" in template or template.startswith("."):
            raise TemplateNotFound(template)
        own = self._folder / template if self._folder is not None else None
        if own is not None and own.is_file():
            return own.read_text(encoding="utf-8"), str(own), lambda: True
        try:
            return _shipped(template), template, lambda: True
        except FileNotFoundError as e:
            raise TemplateNotFound(template) from e


@functools.cache
def _shipped(name: str) -> str:
    return files("alerts.notify").joinpath("templates", name).read_text(encoding="utf-8")
