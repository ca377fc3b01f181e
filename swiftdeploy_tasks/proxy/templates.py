"""Fills in templates in Jinja2's sandbox, as a project may bring its own.

A project may be untrusted, and `validate` and `plan` fill in its templates before any policy is asked. A
template runs no program, reads no file outside its folder and changes no value.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from swiftdeploy_tasks.errors import PreflightError

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment
    from jinja2.bccache import Bucket


def environment(folders: tuple[Path, ...], **options: Any) -> Environment:
    """Return an environment whose templates lie in the first of these folders that has them."""
    from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Loader(FileSystemLoader):
        def get_source(self, environment: Environment, template: str) -> Any:
            source, found, is_current = super().get_source(environment, template)
            if not any(Path(found).resolve().is_relative_to(folder.resolve()) for folder in folders):
                raise TemplateError(f"{found} is a link to {Path(found).resolve()}, outside the templates")
            return source, found, is_current

    class Sandbox(ImmutableSandboxedEnvironment):
        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            # A path opens files, and a function names the module that it comes from.
            if isinstance(obj, PurePath | ModuleType | functools.partial):
                return False
            return super().is_safe_attribute(obj, attr, value)

    return Sandbox(
        loader=Loader(folders),
        bytecode_cache=_compiled(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def for_text(folders: tuple[Path, ...], **filters: Callable[..., Any]) -> Environment:
    """Return the environment, with these filters, for files that are not HTML."""
    found = _for_text(folders)
    found.filters |= filters
    return found


@functools.lru_cache(maxsize=4)
def _for_text(folders: tuple[Path, ...]) -> Environment:
    # nginx and YAML, not HTML; every value is bounded by the schema.
    return environment(folders, keep_trailing_newline=True, autoescape=False)


def forget() -> None:
    """Read each template again when it is next used."""
    _for_text.cache_clear()


def fill(environment: Environment, name: str, values: Mapping[str, Any]) -> str:
    """Fill in a template; raises PreflightError that names the template and the line of a mistake."""
    with _refusing(environment, name):
        return environment.get_template(name).render(values)


def source(environment: Environment, name: str) -> str:
    """Return the text of a template, not filled in; raises PreflightError where it cannot be read."""
    assert environment.loader is not None
    with _refusing(environment, name):
        return environment.loader.get_source(environment, name)[0]


@contextmanager
def _refusing(environment: Environment, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        inner, line = _place(error, environment.list_templates())
        inner, line = getattr(error, "name", None) or inner or name, getattr(error, "lineno", None) or line
        where = f", line {line}" if line else ""
        words = str(error) or type(error).__name__
        raise PreflightError(f"the template {inner}{where}: {words}", f"correct templates/{inner}") from None


def _place(error: Exception, names: list[str]) -> tuple[str, int | None]:
    """Return the innermost template in which an error was raised, and the line there."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = Path(frame.filename).name
        if name in names:
            return name, frame.lineno
    return "", None


def _compiled() -> BytecodeCache | None:
    """Return where compiled templates are kept: Jinja2's own private folder, where there can be one.

    Compiled templates are run unchecked, so the folder is never inside a project.
    """
    from jinja2 import FileSystemBytecodeCache

    class Cache(FileSystemBytecodeCache):
        def dump_bytecode(self, bucket: Bucket) -> None:
            """Keep the template; one that cannot be kept is compiled again next time."""
            with suppress(OSError):
                super().dump_bytecode(bucket)

    try:
        # A name of its own: a template that was compiled without the sandbox lacks its checks.
        return Cache(pattern="__jinja2_sandboxed_%s.cache")
    except (RuntimeError, OSError):
        return None
