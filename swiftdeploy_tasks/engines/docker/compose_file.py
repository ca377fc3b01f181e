"""docker-compose.yml: Specs as text, for review and as applied, and the text read back.

A project may bring a template of its own, so the isolation policy judges what is read back. Pure, but for
reading the templates.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swiftdeploy_tasks.engines.docker.client import HOME, PROJECT
from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.spec import IMAGE_USER, Document, Spec, Written, digest
from swiftdeploy_tasks.proxy import templates
from swiftdeploy_tasks.proxy.generated_files import headed

TEMPLATE = "docker-compose.yml.j2"
FILE = "compose.yml"
# A container's labels: the digest of its Spec, its release, and the mark of the folder that nginx mounts.
SPEC, RELEASE, MOUNT = "swiftdeploy.spec", "swiftdeploy.release", "swiftdeploy.mount"
# Before the name of a secret's source where compose gets its value: a name of compose's own, or PATH, would
# have another meaning there.
SECRET = "SWIFTDEPLOY_SECRET_"  # noqa: S105  (a name)
_SECRET = re.compile(rf"\$\{{{SECRET}(\w+)\}}")
_BARE = re.compile(r"-{0,2}[A-Za-z/][\w./-]*", re.ASCII)
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_OURS = ("container_name", "pull_policy", "labels")
_SHARED = ("networks", "volumes")


def for_review(specs: Sequence[Spec], folders: tuple[Path, ...]) -> str:
    """Return the file for people: what it would take to run these Specs by hand."""
    return _text(specs, folders, {spec.component: _labels(spec) for spec in specs}, applied=False)


def as_applied(specs: Sequence[Spec], folders: tuple[Path, ...], *, home: str, mark: str) -> Written:
    """Return the Specs as containers of this `home`; each carries the digest of its own Spec as a label.

    `mark` marks the folder that nginx mounts: a recreated folder has another one.
    """
    labels = {spec.component: _labels(spec) | _own_labels(spec, home, mark) for spec in specs}
    found, beyond = read(_text(specs, folders, labels, applied=True))
    if left_out := labels.keys() - found.keys():
        raise _unusable(f"leaves out {', '.join(sorted(left_out))}")
    digests = {name: digest(document) for name, document in found.items()}
    for name, own in labels.items():
        own[SPEC] = digests[name]
    if components.NGINX in labels:
        digests[components.NGINX] = form(labels[components.NGINX])
    strangers = [f"services.{name}" for name in found if name not in labels]
    # Docker would take IMAGE_USER for the name of a user.
    named = {spec.component: spec.user for spec in specs}
    strangers += [
        f"{name}.user"
        for name, document in found.items()
        if document.get("user") == IMAGE_USER != named.get(name, IMAGE_USER)
    ]
    text = _text(specs, folders, labels, applied=True)
    return Written(found, digests, (*strangers, *beyond), {FILE: text})


def form(labels: Mapping[str, str]) -> str:
    """Return what identifies how a container was started; nginx also by the folder that it mounted."""
    own = labels.get(SPEC, "")
    return f"{own}.{labels[MOUNT]}" if MOUNT in labels else own


def read(text: str) -> tuple[dict[str, Document], tuple[str, ...]]:
    """Return the Specs in an applied file by component, and what it says that is in none of them.

    The second names places in the file, and values that compose would fill in. Raises PreflightError where it
    is no compose file.
    """
    file = parsed(text)
    sections = (
        [file.get(key) or {} for key in ("services", *_SHARED)] if isinstance(file, Mapping) else [file]
    )
    if not all(isinstance(section, Mapping) for section in sections):
        raise _unusable("gives no mappings of services, networks and volumes")
    names = {kind: _names(file.get(kind)) for kind in _SHARED}
    found = {name: _document(service, names) for name, service in (file.get("services") or {}).items()}
    beyond = [*_shared(file), *_filled_in("", {key: own for key, own in file.items() if key != "services"})]
    beyond += [place for name, own in found.items() for place in _filled_in(name, own)]
    return {name: _plain(own) for name, own in found.items()}, tuple(beyond)


def parsed(text: str) -> Any:
    """Return a compose file as data; raises PreflightError where it is not YAML."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (a safe one)
    except yaml.YAMLError as error:
        raise _unusable(f"gives no YAML: {' '.join(str(error).split())}") from None


def _unusable(why: str) -> PreflightError:
    return PreflightError(f"the template {TEMPLATE} {why}", f"correct templates/{TEMPLATE}")


def _labels(spec: Spec) -> dict[str, str]:
    found = {PROJECT: spec.project}
    if spec.release and spec.slot:
        mode, version = spec.release.mode, spec.release.version
        found |= {"swiftdeploy.slot": spec.slot, "swiftdeploy.mode": mode, "swiftdeploy.version": version}
    return found


def _own_labels(spec: Spec, home: str, mark: str) -> dict[str, str]:
    found = {HOME: home, SPEC: ""}
    if spec.release:
        found[RELEASE] = spec.release.label
    return found | ({MOUNT: mark} if spec.component == components.NGINX else {})


def _text(
    specs: Sequence[Spec],
    folders: tuple[Path, ...],
    labels: Mapping[str, Mapping[str, str]],
    *,
    applied: bool,
) -> str:
    environment = templates.for_text(folders, yaml=_yaml, word=_word, words=_words)
    values = {
        "project": specs[0].project,
        "specs": specs,
        "labels": labels,
        "applied": applied,
        "networks": _distinct(name for spec in specs for name in spec.networks),
        "volumes": _distinct(one.source for spec in specs for one in spec.mounts if one.type == "volume"),
        "secret": SECRET,
    }
    return headed(templates.fill(environment, TEMPLATE, values))


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _document(service: Any, names: Mapping[str, Mapping[str, str]]) -> Document:
    """Return a service as its Spec says it: secrets apart, networks and volumes by their real names."""
    if not isinstance(service, Mapping):
        return {"service": service}
    found = {key: value for key, value in service.items() if key not in _OURS}
    environment = found.get("environment")
    if isinstance(environment, Mapping):
        secret = {name: ref[1] for name, own in environment.items() if (ref := _SECRET.fullmatch(str(own)))}
        found["environment"] = {name: own for name, own in environment.items() if name not in secret}
        found |= {"secrets": secret} if secret else {}
    if isinstance(mounts := found.get("volumes"), list):
        found["volumes"] = [_real_source(mount, names["volumes"]) for mount in mounts]
    if isinstance(joined := found.get("networks"), list):
        found["networks"] = [names["networks"].get(str(name), name) for name in joined]
    elif isinstance(joined, Mapping):
        found["networks"] = {names["networks"].get(str(name), name): own for name, own in joined.items()}
    return found


def _real_source(mount: Any, volumes: Mapping[str, str]) -> Any:
    if not isinstance(mount, Mapping) or mount.get("type") != "volume":
        return mount
    return {**mount, "source": volumes.get(str(mount.get("source")), mount.get("source"))}


def _names(shared: Any) -> dict[str, str]:
    """Return the real names of the networks or volumes that the file defines."""
    if not isinstance(shared, Mapping):
        return {}
    return {key: str(own.get("name", key)) for key, own in shared.items() if isinstance(own, Mapping)}


def _shared(file: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the file says beside its services and the names of networks and volumes made beforehand."""
    yield from (str(key) for key in file if key not in ("name", "services", *_SHARED))
    for kind in _SHARED:
        for key, own in (file.get(kind) or {}).items():
            held = own if isinstance(own, Mapping) else {}
            yield from (f"{kind}.{key}.{more}" for more in held if more not in ("name", "external"))
            if held.get("external") is not True:
                yield f"{kind}.{key}.external"


def _filled_in(path: str, value: Any) -> Iterator[str]:
    """Yield the paths of the texts into which compose would put the value of a variable."""
    if isinstance(value, Mapping):
        for key, own in value.items():
            yield from _filled_in(f"{path}.{key}" if path else str(key), own)
    elif isinstance(value, list):
        for own in value:
            yield from _filled_in(path, own)
    elif isinstance(value, str) and "$" in value.replace("$$", ""):
        yield path


def _plain(value: Any) -> Any:
    """Return the value as compose reads it: a dollar is written twice in the file."""
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_plain(own) for own in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


@functools.lru_cache(maxsize=1024)
def _yaml(value: str) -> str:
    """Quote a text so that YAML and compose both read it back as it is."""
    import yaml

    dumped = yaml.safe_dump(value.replace("$", "$$"), default_style='"', allow_unicode=True, width=2**31)
    return dumped.rstrip("\n")


def _word(value: str) -> str:
    """Return a key or a word as people write it, quoted where YAML could read it as something else."""
    return value if _BARE.fullmatch(value) and value.lower() not in _NO_TEXT else _yaml(value)


def _words(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_word, values))}]"


def secrets(values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which compose gets these secrets, given by their sources."""
    return {f"{SECRET}{source}": value for source, value in values.items()}
