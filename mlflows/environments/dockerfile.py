"""From a definition to a build context: a Dockerfile and a few small files, for a person to read and to build by hand.

Pure: nothing is asked and nothing is started. What the person wrote comes first (the image, their Dockerfile, their folder), the
packages on top of it, one layer per concern. No secret is in it: with BuildKit a secret is mounted while a step runs, and the Dockerfile
has its name; the classic builder has no such thing, so there an environment with secrets is refused.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflows.environments import conda_prefix, conda_solver, credentials, direct_urls, dockerignore, requirements, venv
from mlflows.environments.digest import not_a_part
from mlflows.environments.image_search import ENVIRONMENT, PYTHON, Base
from mlflows.environments.job_path import PTH_LINE, PTH_NAME
from mlflows.exceptions import UserErrorException

OWN = ".mlflows"
"""Folder of our files in the build context."""
SETTINGS = "mlflows-indexes"
"""The build secret with the settings of pip and uv, as lines of a shell; may be missing."""
CERTIFICATES = "mlflows-certificates"
"""The build secret with the certificates that the building machine trusts; no secret, but a file of that machine. May be missing."""
PASSED_ON = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_INDEX_STRATEGY"),
    *("UV_PYTHON_INSTALL_MIRROR",),
)
"""Settings of the building machine that hold in a build, too: where packages come from is a matter of the place, not of the result."""
LABEL = "mlflows."
CACHES = "mlflows"
"""How the ids of BuildKit's caches begin, which all builds of an engine share."""

NO_PYTHON = "mlflows: this image has no python3"
NO_PIP = "mlflows: python3 of this image has neither pip nor venv"

_TOOLS = "/opt/mlflows"
UV = f"{_TOOLS}/bin/uv"
_CACHE = "/var/cache/mlflows"
_FILES = f"{_TOOLS}/environment"
_REQUIREMENTS = "requirements.txt"
_USUAL = "usual.txt"
_UV_ALWAYS = f'UV_PYTHON_INSTALL_DIR={_TOOLS}/python UV_INDEX_STRATEGY="${{UV_INDEX_STRATEGY:-unsafe-best-match}}"'
"""pip takes the best version of all indexes, and requirements are written for pip."""
_VARIABLES = {
    ("pip", True): f"PIP_CACHE_DIR={_CACHE} PIP_ROOT_USER_ACTION=ignore",
    ("pip", False): "PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore",
    ("uv", True): f"UV_CACHE_DIR={_CACHE} UV_LINK_MODE=copy {_UV_ALWAYS}",
    ("uv", False): f"UV_NO_CACHE=1 {_UV_ALWAYS}",
}
"""(installer, with BuildKit) -> how it is to behave."""
_SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_TRUST = f'[ -n "$SSL_CERT_FILE" ] || [ ! -s {_SYSTEM_CERTIFICATES} ] || export SSL_CERT_FILE={_SYSTEM_CERTIFICATES}'
"""The image's own certificates, among which are a company's, where it has any; else those that the installer brings."""
_REFERENCE = re.compile(r"\{\{\s*prefect\.blocks\.secret\.([A-Za-z0-9-]+)\s*\}\}")
_FROM = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_USER = re.compile(r"\s*USER\s+(\S+)", re.IGNORECASE)

CLASSIC_HAS_NO_SECRETS = (
    "this environment needs secrets while it is built ({names}), and the builder of this engine would keep them in the image. Install "
    "BuildKit: the package docker-buildx-plugin (or docker-buildx), or an engine and a client of 20.10."
)


@dataclass(frozen=True)
class Recipe:
    """A build context.

    ``files`` are the others than the Dockerfile: path -> content, or a file or folder to copy. ``secrets`` are the Secret blocks that the
    steps need, each under its name; of those ``in_addresses`` the value is quoted as it must be there.
    """

    dockerfile: str
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    in_addresses: frozenset[str] = frozenset()

    def write(self, folder: Path) -> None:
        """Write it to a folder, which is made if it is not there.

        Raises:
            UserErrorException: it holds something, or is none.
        """
        import functools
        import shutil

        if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
            raise UserErrorException(f"--output: {folder} is not an empty folder. Name another one, or remove it first.")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            elif content.is_symlink():
                target.symlink_to(content.readlink())
            elif content.is_dir():
                shutil.copytree(content, target, symlinks=True, ignore=functools.partial(not_a_part, content))
            else:
                shutil.copy2(content, target)
        (folder / "Dockerfile").write_text(self.dockerfile, encoding="utf-8", errors="surrogateescape")


def render(
    definition: Mapping[str, Any], *, digest: str, base: Base | None, buildkit: bool, arguments: Collection[str] = (), user: str = ""
) -> Recipe:
    """The build context of an environment.

    Args:
        definition: in the form of azureml_environment.json, with absolute paths and secrets by reference.
        digest: the environment's, for a label.
        base: the image, where the definition has no Dockerfile of its own.
        buildkit: with mounts for caches and secrets; else for the classic builder, unless a step needs a secret, which only BuildKit has
            a place for.
        arguments: for the classic builder, names among ``PASSED_ON`` of what is given on its command line.
        user: whom the image runs as that a Dockerfile of the person is built on, where that is known.

    Raises:
        UserErrorException: there is neither image nor Dockerfile, or the Dockerfile of a build context is not there.
    """
    docker, python = definition.get("docker") or {}, definition.get("python") or {}
    steps = _Steps(buildkit, arguments)
    theirs = _theirs(docker, base, steps.files)
    if python.get("userManagedDependencies"):
        steps.job_path(python.get("interpreterPath") or "python")
    else:
        steps.environment(definition)
    steps.label(str(definition.get("name") or ""), digest)
    if steps.secrets and not buildkit:
        return render(definition, digest=digest, base=base, buildkit=True, user=user)
    user = base.user if base is not None else _last_stage(theirs)[1] or user
    ours = steps.lines if user in ("", "root", "0") else ["USER root", "", *steps.lines, f"USER {user}"]
    return Recipe("\n".join([theirs.rstrip("\n"), "", *ours, ""]), steps.files, tuple(steps.secrets), frozenset(steps.in_addresses))


class _Steps:
    """What we add: lines of the Dockerfile, files of the context, names of secrets."""

    def __init__(self, buildkit: bool, arguments: Collection[str]) -> None:
        self._buildkit = buildkit
        self._arguments = [] if buildkit else [name for name in PASSED_ON if name in arguments]
        self.lines: list[str] = []
        self.files: dict[str, bytes | Path] = {}
        self.secrets: list[str] = []
        self.in_addresses: set[str] = set()

    def environment(self, definition: Mapping[str, Any]) -> None:
        """The installer, the packages, the job's import path."""
        lines, conda = requirements.pip_lines(definition), requirements.needs_conda(definition)
        options, kept = self._translated([*([] if conda else venv.asked_of_conda(definition)), *lines])
        self._add_file(PTH_NAME, PTH_LINE + "\n")
        if self._arguments:
            self.lines += ["# Where packages come from: docker build --build-arg", *(f"ARG {name}" for name in self._arguments), ""]
        self._uv()
        if conda:
            self._add_conda_files(definition)
        self.lines += ["# What is to be installed", f"COPY {OWN}/ {_FILES}/", ""]
        if conda:
            self._conda(definition)
        steps, install = _index_of(lines), f"{UV} pip install --compile-bytecode --python {PYTHON}"
        if not conda:
            steps += _venv(requirements.python_request(definition))
        if any(not line.startswith("-") or line.startswith("--editable") for line in kept):
            self._add_file(_REQUIREMENTS, _lines(kept))
            if any(map(credentials.in_path_or_query, kept)):
                steps.append("export UV_NO_CACHE=1")  # which every build of the engine can read
            steps.append(f"{install} {options}--requirement {_FILES}/{_REQUIREMENTS}")
            steps += self._masking(self._referred(kept))
        if not conda:
            self._add_file(_USUAL, _lines([*(line for line in kept if line.startswith(venv.INDEXES)), *venv.USUAL]))
            steps.append(f"{install} --quiet --requirement {_FILES}/{_USUAL} || echo 'Without pip, which cannot be had.'")
        steps.append(f'cp {_FILES}/{PTH_NAME} "$({PYTHON} -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')"')
        self.lines.append("# The packages, and the import path of jobs")
        self._run(steps, "uv", self._referred(kept))
        self.lines += [f'ENV PATH="{ENVIRONMENT}/bin:$PATH"', ""]

    def job_path(self, interpreter: str) -> None:
        """The job's import path for the python that is there; without one, nothing."""
        self._add_file(PTH_NAME, PTH_LINE + "\n")
        pythons = " ".join(dict.fromkeys([shlex.quote(interpreter), "python3"]))
        put = f"import shutil, site; shutil.copy('{_FILES}/{PTH_NAME}', site.getsitepackages()[0])"
        self.lines += [
            "# The import path of jobs, for the python that is there",
            f"COPY {OWN}/ {_FILES}/",
            f"RUN for python in {pythons}; do \\",
            f'        if command -v "$python" >/dev/null; then "$python" -c "{put}"; fi; \\',
            "    done",
            "",
        ]

    def label(self, name: str, digest: str) -> None:
        """What it is, for who finds it."""
        quoted = json.dumps(name, ensure_ascii=False).replace("$", "\\$")
        self.lines.append(f"LABEL {LABEL}environment={quoted} {LABEL}digest={digest}")

    def _uv(self) -> None:
        self.lines.append("# uv, the installer: a layer that all environments on this image share")
        with_venv = f"pip=/tmp/mlflows/bin/pip; python3 -m venv /tmp/mlflows || {{ echo '{NO_PIP}' >&2; exit 1; }}"
        steps = [
            f"command -v python3 >/dev/null || {{ echo '{NO_PYTHON}' >&2; exit 1; }}",
            "pip='python3 -m pip'",
            f"$pip --version >/dev/null 2>&1 || {{ {with_venv}; }}",
            f"$pip install --quiet --disable-pip-version-check --target {_TOOLS} uv",
            "rm -rf /tmp/mlflows",
        ]
        self._run(steps, "pip")

    def _add_conda_files(self, definition: Mapping[str, Any]) -> None:
        channels = conda_prefix.channels_of(definition)
        asked = {
            "prefix": ENVIRONMENT,
            "channels": [_by_variable(channel) for channel in channels],
            "specs": conda_prefix.specs_of(definition),
            "alias": conda_prefix.channel_alias(),
            "hidden": [f"${{{_variable(name)}}}" for name in self._referred(channels)],
        }
        self._add_file("conda.json", json.dumps(asked, indent=1) + "\n")
        self._add_file("conda_solver.py", Path(conda_solver.__file__).read_text(encoding="utf-8"))

    def _conda(self, definition: Mapping[str, Any]) -> None:
        """The conda packages, python among them, by py-rattler, which is in no layer."""
        told = "import os, sys; sys.stdout.write(os.path.expandvars(sys.stdin.read()))"
        solver = f"PYTHONPATH=/tmp/mlflows python3 {_FILES}/conda_solver.py"
        steps = [
            f"{UV} pip install --quiet --python python3 --target /tmp/mlflows py-rattler",
            f'python3 -c "{told}" <{_FILES}/conda.json | {solver}',
            "rm -rf /tmp/mlflows ~/.cache/rattler",
        ]
        secrets = self._referred(conda_prefix.channels_of(definition))
        # what is kept has the addresses it came from, for every build of the engine to read
        kept = _CACHE if self._buildkit and not secrets else "/tmp/mlflows"
        self.lines.append("# The conda packages, python among them")
        self._run([f"export RATTLER_CACHE_DIR={kept}/rattler XDG_CACHE_HOME={kept}", *steps], "uv", secrets)

    def _translated(self, lines: Sequence[str]) -> tuple[str, list[str]]:
        """pip's lines for uv: options for its command line, and lines for a file, with local files where they will be."""
        options, kept = "", []
        for line in lines:
            name, value = requirements.option_of(line) if line.startswith("-") else ("", "")
            if name in requirements.ON_THE_COMMAND_LINE:
                options += " ".join([requirements.ON_THE_COMMAND_LINE[name], *([shlex.quote(value)] if value else [])]) + " "
            elif name not in requirements.WITHOUT_EFFECT:
                long_name = requirements.IN_THE_FILE.get(name)
                kept.append(self._placed(f"{long_name} {value}".strip() if long_name else line))
        return options, kept

    def _placed(self, line: str) -> str:
        """A line with the path that a local file of this machine, which goes into the context, will have in the image."""
        path = requirements.path_in(line)
        if path is None:
            return line
        name = f"files/{sum(each.startswith(f'{OWN}/files/') for each in self.files)}/{os.path.basename(path.rstrip('/'))}"
        self.files[f"{OWN}/{name}"] = Path(path).resolve()  # what a link leads to
        if "file:" in line:
            return re.sub(r"file:[^\s\[;#]+", lambda found: f"file://{_FILES}/{name}", line)
        return line.replace(path, f"{_FILES}/{name}", 1)

    def _referred(self, lines: Sequence[str]) -> list[str]:
        """The secrets that lines refer to."""
        found = [(match.group(1), "://" in line[: match.start()]) for line in lines for match in _REFERENCE.finditer(line)]
        self.in_addresses |= {name for name, in_address in found if in_address}
        return list(dict.fromkeys(name for name, _ in found))

    def _masking(self, secrets: Sequence[str]) -> list[str]:
        """What is noted of the addresses of packages keeps no secret of theirs."""
        if not secrets:
            return []
        self._add_file("direct_urls.py", Path(direct_urls.__file__).read_text(encoding="utf-8"))
        return [f"{PYTHON} {_FILES}/direct_urls.py {ENVIRONMENT} {' '.join(map(_variable, secrets))}"]

    def _add_file(self, name: str, text: str) -> None:
        self.files[f"{OWN}/{name}"] = text.encode()

    def _run(self, steps: Sequence[str], tool: str, secrets: Sequence[str] = ()) -> None:
        self.secrets += [name for name in secrets if name not in self.secrets]
        mounts: list[str] = []
        before = ["set -e", f"export {_VARIABLES[tool, self._buildkit]}"]
        if self._buildkit:
            settings, certificates = f"/run/secrets/{SETTINGS}", f"/run/secrets/{CERTIFICATES}"
            mounts = [f"--mount=type=cache,id={CACHES}-{tool},target={_CACHE}"]
            mounts += [f"--mount=type=secret,id={name}" for name in (SETTINGS, CERTIFICATES)]
            mounts += [f"--mount=type=secret,id={name},required=true" for name in secrets]
            before.append(f"[ ! -f {settings} ] || {{ set -a; . {settings}; set +a; }}")
            before.append(f"[ ! -f {certificates} ] || export SSL_CERT_FILE={certificates} PIP_CERT={certificates}")
            before += [f'export {_variable(name)}="$(cat /run/secrets/{name})"' for name in secrets]
        run = [*mounts, *(f"{step};" for step in [*before, _TRUST, *steps[:-1]]), steps[-1]]
        self.lines += ["RUN " + " \\\n    ".join(run), ""]


def _theirs(docker: Mapping[str, Any], base: Base | None, files: dict[str, bytes | Path]) -> str:
    """What the person wrote, as the beginning of the Dockerfile; the files of their folder, in its place in ours."""
    context = docker.get("buildContext") or {}
    if context.get("location"):
        folder, name = Path(context["location"]), context.get("dockerfilePath") or "Dockerfile"
        if not (folder / name).is_file():
            raise UserErrorException(
                f"docker.build_context: there is no {name} in {folder}. Set dockerfile_path to its path in the folder."
            )
        of_builder = ("Dockerfile", dockerignore.NAME, f"Dockerfile{dockerignore.NAME}")
        files.update((path, folder / path) for path in dockerignore.files(folder, name) if path not in of_builder)
        return (folder / name).read_text(encoding="utf-8", errors="surrogateescape")
    if docker.get("baseDockerfile"):
        return str(docker["baseDockerfile"])
    if base is None:
        raise UserErrorException("docker: there is neither base_image nor base_dockerfile nor build_context. Set one of them.")
    comment = f"# {base.image}\n" if base.pinned != base.image else ""
    return f"{comment}FROM {base.pinned}"


def image_below(definition: Mapping[str, Any]) -> str | None:
    """The image that a Dockerfile of the person is built on, if it says so without arguments."""
    docker = definition.get("docker") or {}
    if not docker.get("buildContext") and not docker.get("baseDockerfile"):
        return None
    image, _ = _last_stage(_theirs(docker, None, {}))
    return None if "$" in image or image.lower() == "scratch" else image


def _last_stage(dockerfile: str) -> tuple[str, str]:
    """The image that the last stage is built on, through the stages between, and the user it ends with; empty if none of them says."""
    stages: dict[str, tuple[str, str]] = {}
    name, image, user = "", "scratch", ""
    for line in dockerfile.splitlines():
        below, as_user = _FROM.match(line), _USER.match(line)
        if below:
            image, user = stages.get(below.group(1).lower(), (below.group(1), ""))
            name = (below.group(2) or "").lower()
        elif as_user:
            user = as_user.group(1)
        stages[name] = image, user
    return image, user


def _venv(request: str | None) -> list[str]:
    """An empty environment; the log says so where its python is another than the one asked for."""
    told = f"python {request} is what SDK v1 asks for where nobody does: the image's own is used, $(python3 --version)"
    make = f"{UV} venv --quiet --python {_python(request)} {ENVIRONMENT}"
    return [f'echo "{told}"', make] if request in requirements.PYTHON_BY_DEFAULT else [make]


def _python(request: str | None) -> str:
    """What uv is asked for: the image's own python where none is asked for but by default, else one of this minor version."""
    if request is None or request in requirements.PYTHON_BY_DEFAULT:
        return '"$(command -v python3)"'
    wanted = requirements.conditions(request)
    if len(wanted) == 1 and wanted[0][0] in ("=", "=="):
        return ".".join(map(str, wanted[0][1][:2]))
    return shlex.quote(request)


def _index_of(lines: Sequence[str]) -> list[str]:
    """The index that the lines name is stronger than the machine's; uv would see it the other way round."""
    named = [requirements.option_of(line) for line in lines if line.startswith("-")]
    urls = [value for name, value in named if requirements.IN_THE_FILE.get(name) == "--index-url"]
    quoted = re.sub(r'(["`\\]|\$(?!\{))', r"\\\1", _by_variable(urls[-1])) if urls else ""
    return [f'export UV_DEFAULT_INDEX="{quoted}"'] if urls else []


def _lines(lines: Sequence[str]) -> str:
    """Lines of a file, with ``${NAME}`` in the place of references."""
    return _by_variable("\n".join(lines) + "\n")


def _by_variable(text: str) -> str:
    """A text with ``${NAME}`` in the place of references."""
    return _REFERENCE.sub(lambda found: f"${{{_variable(found.group(1))}}}", text)


def _variable(block: str) -> str:
    """The variable that has the value of a secret while a step runs; uv knows those in capitals only."""
    return re.sub(r"[^A-Z0-9]", "_", block.upper())
