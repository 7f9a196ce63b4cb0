"""Environments of scikit-learn: built from nothing, built with full caches, with one requirement added, and known again.

Beside ours is what people do by hand: ``python -m venv`` and ``pip install``, and a Dockerfile that copies a requirements file and
installs it by pip. Both sides start from the same interpreter and the same base image, and get caches of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ours import NAME as OURS
from benchmarks.report import Goal, Table, ratio, under
from benchmarks.timing import median
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.engine import CLASSIC, Engine
from mlflows.environments.environment import Environment

NAME = "environments"
REQUIREMENTS = ["scikit-learn==1.5.2"]
ADDED = [*REQUIREMENTS, "tabulate==0.9.0"]
BASE_IMAGE, BASE_PYTHON = "mlflows-base:bookworm", "3.11"
MOST_RUNS = 3
"""Each run builds ten environments."""
GOAL_KNOWN_MS = 100.0

CACHES = "mlflows-bench"
"""BuildKit's caches are the engine's, not a folder's: these are the bench's own, and empty when a round begins."""

COLD, WARM, ONE_MORE = "nothing cached", "caches full", "one requirement added"
BY_HAND = {"venv": "python -m venv, pip install", "image": "Dockerfile with pip"}

ENSURE = {  # what a build prints is dropped, and it is never stopped
    "venv": "from mlflows.environments.builds import ensure; made = ensure(definition, write=len, stopped=bool).interpreter",
    "image": f"from mlflows.environments import dockerfile; dockerfile.CACHES = {CACHES!r}; "
    "from mlflows.environments.image import ensure_image; made = ensure_image(definition, write=len, stopped=bool).name",
}
BUILD = "import json, sys; definition = json.loads(sys.argv[1]); {ensure}; print(made)"
KNOWN = (
    "import json, sys, time; definition = json.loads(sys.argv[1]); "
    "began = time.perf_counter(); {ensure}; print(time.perf_counter() - began)"
)
"""Imports count, the start of the interpreter does not."""
CHECK = "import importlib.metadata as m, sklearn, sys; [m.version(line.split('==')[0]) for line in sys.argv[1:]]"

DOCKERFILE = """\
FROM {base}
COPY requirements.txt .
RUN python3 -m venv /environment && /environment/bin/pip install --no-cache-dir -r requirements.txt
"""

OWN_BASE = """\
FROM {base}
LABEL mlflows.bench={name}
"""
EMPTIED = f"""\
RUN --mount=type=cache,id={CACHES}-pip,target=/pip --mount=type=cache,id={CACHES}-uv,target=/uv find /pip /uv -mindepth 1 -delete
"""

Samples = dict[str, dict[str, list[float]]]
"""Side -> case -> seconds."""


def measure(runs: int) -> list[Table]:
    """Venvs, then images where an engine has the base image; the sides in turn."""
    runs = min(runs, MOST_RUNS)
    samples: dict[str, Samples] = {}
    known: dict[str, list[float]] = {}
    for kind, rounds in {"venv": _venvs, "image": _images}.items():
        if kind == "image" and not _has_base_image():
            print(f"no images: no engine answers that has {BASE_IMAGE} (infra/dev/base_image.sh)", file=sys.stderr)
            continue
        samples[kind], known[kind] = {OURS: {}, BY_HAND[kind]: {}}, []
        for _ in range(runs):
            with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
                for side, case, spent in rounds(Path(folder), known[kind]):
                    samples[kind][side].setdefault(case, []).append(spent)
    return [*(table(kind, sides, runs) for kind, sides in samples.items()), known_table(known, runs)]


def table(kind: str, sides: Samples, runs: int) -> Table:
    """Median seconds by side and case, each with its ratio to ours."""
    middle = {side: {case: median(values) for case, values in cases.items()} for side, cases in sides.items()}
    mine, theirs = middle[OURS], middle[BY_HAND[kind]]
    rows = [(case, [f"{mine[case]:.2f}", f"{theirs[case]:.2f}", ratio(theirs[case], mine[case])]) for case in mine]
    goals = [Goal(f"{case}: quicker than by hand", ratio(mine[case], theirs[case]), mine[case] < theirs[case]) for case in mine]
    title = f"{kind} with {' '.join(REQUIREMENTS)}, seconds, whole process (median of {runs})"
    return Table(title, [OURS, BY_HAND[kind], "ratio"], rows, goals)


def known_table(known: Mapping[str, Sequence[float]], runs: int) -> Table:
    """Milliseconds until a new process knows an environment that is there."""
    middle = {kind: median(values) * 1000 for kind, values in known.items()}
    return Table(
        f"an environment that is there, asked for in a new process (median of {runs})",
        ["ms"],
        [(kind, [f"{value:.1f}"]) for kind, value in middle.items()],
        [under(f"{kind} under {GOAL_KNOWN_MS:.0f} ms", value, GOAL_KNOWN_MS, "ms") for kind, value in middle.items()],
    )


def definition(requirements: Sequence[str], python: str, base_image: str | None = None) -> dict[str, Any]:
    """What a person writes for these requirements, in the form in which it is built."""
    environment = Environment("bench")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=list(requirements), python_version=python)
    if base_image:
        environment.docker.base_image = base_image
    written: dict[str, Any] = environment._serialize_to_dict()
    return written


def _venvs(folder: Path, known: list[float]) -> Iterator[tuple[str, str, float]]:
    """One round: (side, case, seconds)."""
    variables = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    cases = {COLD: ("first", REQUIREMENTS), WARM: ("second", REQUIREMENTS), ONE_MORE: ("second", ADDED)}
    for case, (place, requirements) in cases.items():
        asked = json.dumps(definition(requirements, version))
        ours = {**variables, "MLFLOWS_HOME": str(folder / f"home-{place}")}
        spent, interpreter = _ours("venv", asked, ours)
        yield OURS, case, spent
        _run([interpreter, "-c", CHECK, *requirements])
        known.append(_known("venv", asked, ours))

        by_hand = folder / place
        install = f'test -e "$1" || "$0" -m venv "$1"; "$1/bin/pip" install --quiet {" ".join(requirements)}'
        spent, _ = _timed(["sh", "-euc", install, sys.executable, str(by_hand)], variables)
        yield BY_HAND["venv"], case, spent
        _run([str(by_hand / "bin" / "python"), "-c", CHECK, *requirements])


def _images(folder: Path, known: list[float]) -> Iterator[tuple[str, str, float]]:
    """One round on a base image of its own, for which the engine has no layers: (side, case, seconds)."""
    with _removed_at_the_end() as images:
        base = _own_base(images)
        (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))
        ours = {"MLFLOWS_HOME": str(folder / "home")}
        for case, requirements in {COLD: REQUIREMENTS, ONE_MORE: ADDED}.items():
            asked = json.dumps(definition(requirements, BASE_PYTHON, base))
            spent, name = _ours("image", asked, ours)
            images.append(name)
            yield OURS, case, spent
            known.append(_known("image", asked, ours))

            (folder / "requirements.txt").write_text("\n".join(requirements))
            tag = f"mlflows-bench-by-hand:{uuid.uuid4().hex[:12]}"
            spent, _ = _timed(["docker", "build", "--tag", tag, str(folder)], {})
            images.append(tag)
            yield BY_HAND["image"], case, spent
        _own_base(images)


def _own_base(images: list[str]) -> str:
    """A base image that was never built on; what BuildKit keeps for us between builds is gone."""
    name, buildkit = f"mlflows-bench-base:{uuid.uuid4().hex[:12]}", Engine.find().builder() != CLASSIC
    text = OWN_BASE.format(base=BASE_IMAGE, name=name) + (EMPTIED if buildkit else "")
    _run(["docker", "build", "--quiet", "--tag", name, "-"], {"DOCKER_BUILDKIT": "1" if buildkit else "0"}, stdin=text)
    images.append(name)
    return name


@contextmanager
def _removed_at_the_end() -> Iterator[list[str]]:
    """A list of images, which are removed with their layers."""
    images: list[str] = []
    try:
        yield images
    finally:
        for image in reversed(images):
            _run(["docker", "rmi", "--force", image])


def _has_base_image() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "image", "inspect", BASE_IMAGE], capture_output=True).returncode == 0


def _ours(kind: str, asked: str, variables: Mapping[str, str]) -> tuple[float, str]:
    return _timed([sys.executable, "-c", BUILD.format(ensure=ENSURE[kind]), asked], variables)


def _known(kind: str, asked: str, variables: Mapping[str, str]) -> float:
    return float(_run([sys.executable, "-c", KNOWN.format(ensure=ENSURE[kind]), asked], variables))


def _timed(argv: Sequence[str], variables: Mapping[str, str]) -> tuple[float, str]:
    """Seconds, and the last line printed."""
    began = time.perf_counter()
    printed = _run(argv, variables)
    return time.perf_counter() - began, printed


def _run(argv: Sequence[str], variables: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """The last line printed; RuntimeError with everything if the command fails. Python keeps what it compiles, as it does for a person."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(variables or {})}
    done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    return (done.stdout.splitlines() or [""])[-1]
