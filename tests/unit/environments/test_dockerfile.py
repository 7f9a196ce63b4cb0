"""The rendered build context: what a person reads, in which order, and that no secret is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import dockerfile, image_search
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.dockerfile import Recipe
from mlflows.environments.environment import Environment
from mlflows.environments.image_search import Base
from mlflows.environments.job_path import PTH_LINE
from mlflows.environments.sections import DockerBuildContext
from mlflows.exceptions import UserErrorException

BASE = Base("registry.example.org:5000/team/base:1.2", "sha256:" + "a" * 64)


def definition_of(environment: Environment) -> dict[str, Any]:
    return environment._serialize_to_dict()


def with_packages(*lines: str, python: str = "3.8.13", conda: tuple[str, ...] = ()) -> dict[str, Any]:
    environment = Environment("training")
    environment.python.conda_dependencies = CondaDependencies.create(python_version=python, conda_packages=conda)
    environment.python.conda_dependencies.set_pip_requirements(lines)
    return definition_of(environment)


def rendered(definition: dict[str, Any], base: Base | None = BASE, buildkit: bool = True, **more: Any) -> Recipe:
    return dockerfile.render(definition, digest="0123456789abcdef", base=base, buildkit=buildkit, **more)


def text_of(recipe: Recipe, name: str) -> str:
    content = recipe.files[f".mlflows/{name}"]
    assert isinstance(content, bytes)
    return content.decode()


def test_order_of_the_layers() -> None:
    text = rendered(with_packages("scikit-learn==1.5.2")).dockerfile
    parts = ["FROM registry.example.org:5000/team/base@sha256:", "--target /opt/mlflows uv", "COPY .mlflows/", "uv venv", "uv pip install"]
    places = [text.index(part) for part in [*parts, "mlflows_job.pth", 'ENV PATH="/azureml-envs/mlflows/bin:$PATH"', "LABEL mlflows."]]
    assert places == sorted(places)
    assert text.startswith("# registry.example.org:5000/team/base:1.2\nFROM ")
    assert 'LABEL mlflows.environment="training" mlflows.digest=0123456789abcdef' in text


def test_base_without_a_known_digest_is_named_by_its_tag() -> None:
    assert rendered(with_packages("six"), Base("base:1")).dockerfile.startswith("FROM base:1\n")


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("base", "base@sha256:1"),
        ("base:1", "base@sha256:1"),
        ("host:5000/base", "host:5000/base@sha256:1"),
        ("base@sha256:2", "base@sha256:2"),
    ],
)
def test_pinned(image: str, pinned: str) -> None:
    assert Base(image, "sha256:1").pinned == pinned


def test_requirements_are_kept_in_order_without_azureml() -> None:
    recipe = rendered(
        with_packages("azureml-defaults", "-i https://example.org/simple", "b==2", "--pre", "a>=1", "--upgrade", "azureml-core[x]")
    )
    assert text_of(recipe, "requirements.txt") == "--index-url https://example.org/simple\nb==2\na>=1\n"
    assert "--prerelease=allow --requirement" in recipe.dockerfile


def test_nothing_but_azureml_installs_nothing() -> None:
    recipe = rendered(with_packages("azureml-defaults"))
    assert "requirements.txt" not in recipe.dockerfile
    assert set(recipe.files) == {".mlflows/mlflows_job.pth", ".mlflows/usual.txt"}
    assert text_of(recipe, "mlflows_job.pth") == PTH_LINE + "\n"


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        ("3.8.13", '"$(command -v python3)"'),
        ("3.10.18", '"$(command -v python3)"'),
        ("3.9.7", "3.9"),
        ("3.11", "3.11"),
        (">=3.9,<3.12", "'>=3.9,<3.12'"),
    ],
)
def test_python_is_the_images_own_unless_one_is_asked_for(request_: str, asked: str) -> None:
    assert f"--python {asked} /azureml-envs/mlflows" in rendered(with_packages("six", python=request_)).dockerfile


def test_buildkit_has_caches_and_the_classic_builder_has_no_mounts() -> None:
    assert "--mount=type=cache,id=mlflows-uv,target=/var/cache/mlflows" in rendered(with_packages("six")).dockerfile
    classic = rendered(with_packages("six"), buildkit=False, arguments=["PIP_INDEX_URL", "HOME"]).dockerfile
    assert "--mount" not in classic and "UV_NO_CACHE=1" in classic and "PIP_NO_CACHE_DIR=1" in classic
    assert [line for line in classic.splitlines() if line.startswith("ARG ")] == ["ARG PIP_INDEX_URL"]


def test_secrets_are_mounted_by_name() -> None:
    reference = "{{prefect.blocks.secret.environment-index-1a2b}}"
    recipe = rendered(with_packages(f"--extra-index-url https://user:{reference}@example.org/simple", "six"))
    assert text_of(recipe, "requirements.txt") == "--extra-index-url https://user:${ENVIRONMENT_INDEX_1A2B}@example.org/simple\nsix\n"
    assert "--mount=type=secret,id=environment-index-1a2b,required=true" in recipe.dockerfile
    assert 'export ENVIRONMENT_INDEX_1A2B="$(cat /run/secrets/environment-index-1a2b)"' in recipe.dockerfile
    assert recipe.secrets == ("environment-index-1a2b",) and recipe.in_addresses == {"environment-index-1a2b"}
    first, second = recipe.dockerfile.split("COPY .mlflows/")
    assert "environment-index" not in first  # the layer that all environments share


def test_what_is_noted_of_an_address_is_masked_in_the_step_that_installs() -> None:
    recipe = rendered(with_packages("a @ https://example.org/a-1-py3-none-any.whl?sig={{prefect.blocks.secret.sig}}"))
    (step,) = [part for part in recipe.dockerfile.split("RUN ") if "/requirements.txt" in part]
    masking = "/azureml-envs/mlflows/bin/python /opt/mlflows/environment/direct_urls.py /azureml-envs/mlflows SIG"
    assert step.index("/requirements.txt") < step.index(masking)
    assert "direct_url.json" in text_of(recipe, "direct_urls.py") and step.index("export UV_NO_CACHE=1") < step.index("/requirements.txt")
    password = rendered(with_packages("-i https://me:{{prefect.blocks.secret.pw}}@example.org/simple", "six"))
    assert "UV_NO_CACHE" not in password.dockerfile
    assert "direct_urls.py" not in rendered(with_packages("six")).dockerfile


def test_secrets_need_buildkit() -> None:
    definition = with_packages("--index-url {{ prefect.blocks.secret.index }}", "six")
    assert rendered(definition, buildkit=False) == rendered(definition, buildkit=True)


def test_index_of_the_definition_is_stronger_than_the_machines() -> None:
    text = rendered(with_packages("-i https://{{prefect.blocks.secret.user}}@example.org/a$b", "six")).dockerfile
    settings, export = (
        text.rindex(". /run/secrets/mlflows-indexes"),
        text.index('export UV_DEFAULT_INDEX="https://${USER}@example.org/a\\$b"'),
    )
    assert settings < export < text.index("uv venv")
    assert "UV_DEFAULT_INDEX" not in rendered(with_packages("six")).dockerfile


def test_pip_comes_last_from_the_same_indexes() -> None:
    recipe = rendered(with_packages("--pre", "-f https://{{prefect.blocks.secret.user}}@example.org", "six", "--no-index"))
    lines = text_of(recipe, "usual.txt").splitlines()
    assert lines[:3] == ["--find-links https://${USER}@example.org", "--no-index", "pip"]
    assert recipe.dockerfile.index("requirements.txt") < recipe.dockerfile.index("usual.txt || echo")


def test_what_a_link_leads_to_goes_into_the_context(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"wheel")
    (tmp_path / "a-1-py3-none-any.whl").symlink_to(tmp_path / "real")
    rendered(with_packages(str(tmp_path / "a-1-py3-none-any.whl"))).write(tmp_path / "context")
    copied = tmp_path / "context/.mlflows/files/0/a-1-py3-none-any.whl"
    assert copied.read_bytes() == b"wheel" and not copied.is_symlink()


def test_local_files_go_into_the_context(tmp_path: Path) -> None:
    wheel, package, links = tmp_path / "a-1-py3-none-any.whl", tmp_path / "package", tmp_path / "links"
    wheel.write_bytes(b"wheel")
    package.mkdir()
    (package / "pyproject.toml").write_text("[project]")
    links.mkdir()
    (links / "b-1.tar.gz").write_bytes(b"b")
    lines = [str(wheel), f"{wheel.as_uri()}", f"c[x] @ {wheel.as_uri()}", f"-e {package}[dev]", f"--find-links {links}"]
    recipe = rendered(with_packages(*lines))
    files = "/opt/mlflows/environment/files"
    assert text_of(recipe, "requirements.txt").splitlines() == [
        f"{files}/0/a-1-py3-none-any.whl",
        f"file://{files}/1/a-1-py3-none-any.whl",
        f"c[x] @ file://{files}/2/a-1-py3-none-any.whl",
        f"--editable {files}/3/package[dev]",
        f"--find-links {files}/4/links",
    ]
    context = tmp_path / "context"
    recipe.write(context)
    assert (context / ".mlflows/files/0/a-1-py3-none-any.whl").read_bytes() == b"wheel"
    assert (context / ".mlflows/files/3/package/pyproject.toml").is_file()
    assert (context / ".mlflows/files/4/links/b-1.tar.gz").is_file()
    assert (context / "Dockerfile").read_text() == recipe.dockerfile


def test_conda_packages_are_solved_in_the_build() -> None:
    recipe = rendered(with_packages("six", conda=("numpy=1.26", "conda-forge::libfoo")))
    asked = json.loads(text_of(recipe, "conda.json"))
    assert asked["prefix"] == "/azureml-envs/mlflows"
    assert asked["specs"] == ["python=3.8.13", "numpy=1.26", "conda-forge::libfoo"]
    assert "import rattler" in text_of(recipe, "conda_solver.py")
    assert "uv venv" not in recipe.dockerfile
    assert recipe.dockerfile.index("conda_solver.py") < recipe.dockerfile.index("--python /azureml-envs/mlflows/bin/python")


def test_conda_packages_are_kept_between_builds_unless_their_addresses_are_secret() -> None:
    definition = with_packages(conda=("numpy",))
    assert "export RATTLER_CACHE_DIR=/var/cache/mlflows/rattler XDG_CACHE_HOME=/var/cache/mlflows;" in rendered(definition).dockerfile
    assert "export RATTLER_CACHE_DIR=/tmp/mlflows/" in rendered(definition, buildkit=False).dockerfile
    definition["python"]["condaDependencies"]["channels"] = ["https://example.org/t/{{prefect.blocks.secret.channel}}/team"]
    assert "export RATTLER_CACHE_DIR=/tmp/mlflows/" in rendered(definition).dockerfile


def test_secret_of_a_channel() -> None:
    definition = with_packages(conda=("numpy",))
    definition["python"]["condaDependencies"]["channels"] = ["https://example.org/t/{{prefect.blocks.secret.channel}}/team"]
    recipe = rendered(definition)
    asked = json.loads(text_of(recipe, "conda.json"))
    assert asked["channels"] == ["https://example.org/t/${CHANNEL}/team"] and asked["hidden"] == ["${CHANNEL}"]
    assert recipe.secrets == ("channel",)


def test_dockerfile_of_the_person_comes_first() -> None:
    environment = Environment.from_dockerfile("e", "# syntax=docker/dockerfile:1\nFROM debian\nRUN echo hello\n")
    text = rendered(definition_of(environment), None).dockerfile
    assert text.startswith("# syntax=docker/dockerfile:1\nFROM debian\nRUN echo hello\n\n")
    assert "uv" not in text and "COPY .mlflows/ " in text and "site.getsitepackages()" in text


def test_packages_on_top_of_a_dockerfile(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six\n")
    environment = Environment.from_dockerfile("e", "FROM a AS b\nUSER first\nFROM c\nUSER person\n", pip_requirements=requirements)
    lines = rendered(definition_of(environment), None).dockerfile.splitlines()
    assert lines.index("USER root") < lines.index("COPY .mlflows/ /opt/mlflows/environment/") < len(lines) - 1
    assert lines[-1] == "USER person"


def test_user_of_an_earlier_stage_is_not_that_of_the_image() -> None:
    environment = Environment.from_dockerfile("e", "FROM a AS b\nUSER first\nFROM c\n")
    assert "USER root" not in rendered(definition_of(environment), None).dockerfile


def test_user_of_a_stage_is_that_of_the_stages_on_it() -> None:
    text = "FROM a AS first\nUSER person\nFROM other AS second\nUSER nobody\nFROM First AS third\nRUN true\nFROM third\n"
    lines = rendered(definition_of(Environment.from_dockerfile("e", text)), None).dockerfile.splitlines()
    assert "USER root" in lines and lines[-1] == "USER person"


def test_user_of_the_base_image_is_kept() -> None:
    lines = rendered(with_packages("six"), Base("base", user="person:group")).dockerfile.splitlines()
    assert "USER root" in lines and lines[-1] == "USER person:group"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("FROM a:1\nRUN x\n", "a:1"),
        ("from --platform=linux/amd64 a as b\nFROM c AS d\n", "c"),
        ("FROM a AS b\nFROM B\n", "a"),
        ("FROM debian AS debian\nFROM c AS other\nFROM debian\n", "debian"),
        ("FROM scratch AS b\nFROM b\n", None),
        ("ARG V=1\nFROM a:$V\n", None),
        ("FROM scratch\n", None),
        ("RUN nothing\n", None),
    ],
)
def test_image_below_a_dockerfile(text: str, image: str | None) -> None:
    definition = definition_of(Environment.from_dockerfile("e", text + "\n"))
    assert dockerfile.image_below(definition) == image
    lines = rendered(definition, None, user="person").dockerfile.splitlines()
    assert lines[-1] == "USER person" and dockerfile.image_below(with_packages("six")) is None


def test_build_context_as_docker_sees_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "docker").mkdir(parents=True)
    (folder / "docker" / "Dockerfile").write_text("FROM base\nCOPY data /data\n")
    (folder / "data").write_text("data")
    (folder / "left_out").write_text("x")
    (folder / ".dockerignore").write_text("left_out\n.mlflows\n")
    environment = Environment.from_docker_build_context("e", DockerBuildContext.from_local_directory(None, folder, "docker/Dockerfile"))
    recipe = rendered(definition_of(environment), None)
    recipe.write(tmp_path / "context")
    written = sorted(str(path.relative_to(tmp_path / "context")) for path in (tmp_path / "context").rglob("*") if path.is_file())
    assert written == [".mlflows/mlflows_job.pth", "Dockerfile", "data", "docker/Dockerfile"]
    assert recipe.dockerfile.startswith("FROM base\nCOPY data /data\n")


def test_dockerignore_of_the_dockerfile_holds_before_that_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in {"Dockerfile": "FROM base\n", "data": "", "left_out": "", ".dockerignore": "data\n"}.items():
        (folder / name).write_text(text)
    (folder / "Dockerfile.dockerignore").write_text("left_out\n.mlflows\n")
    environment = Environment.from_docker_build_context("e", DockerBuildContext.from_local_directory(None, folder))
    rendered(definition_of(environment), None).write(tmp_path / "context")
    written = sorted(str(path.relative_to(tmp_path / "context")) for path in (tmp_path / "context").rglob("*") if path.is_file())
    assert written == [".mlflows/mlflows_job.pth", "Dockerfile", "data"]  # with its rules a builder would leave ours out


def test_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    recipe = rendered(with_packages("six"))
    (tmp_path / "context").mkdir()
    recipe.write(tmp_path / "context")
    with pytest.raises(UserErrorException, match=r"--output: .*context is not an empty folder\. Name another one, or remove it first"):
        recipe.write(tmp_path / "context")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserErrorException, match="--output: .*file is not an empty folder"):
        recipe.write(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_build_context_without_its_dockerfile(tmp_path: Path) -> None:
    environment = Environment.from_docker_build_context("e", DockerBuildContext("local", str(tmp_path), "Dockerfile.gpu"))
    with pytest.raises(UserErrorException, match="docker.build_context: there is no Dockerfile.gpu in .*Set dockerfile_path"):
        rendered(definition_of(environment), None)


def test_without_any_base() -> None:
    environment = Environment("e")
    environment.docker.base_image = None
    with pytest.raises(UserErrorException, match="neither base_image nor base_dockerfile nor build_context"):
        rendered(definition_of(environment), None)


def test_name_of_the_environment_is_quoted_in_the_label() -> None:
    definition = {**with_packages("six"), "name": 'a "b" $HOME'}
    assert 'LABEL mlflows.environment="a \\"b\\" \\$HOME"' in rendered(definition).dockerfile


def test_python_of_an_image() -> None:
    assert image_search.python_of(with_packages("six")) == "/azureml-envs/mlflows/bin/python"
    environment = Environment.from_docker_image("e", "image")
    assert image_search.python_of(definition_of(environment)) == "python"
    environment.python.interpreter_path = "/opt/conda/bin/python"
    assert image_search.python_of(definition_of(environment)) == "/opt/conda/bin/python"


def test_a_project_is_copied_with_a_package_called_build(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for folder in ("mine/build", "build", "mine/__pycache__", ".git", "mine.egg-info"):
        (project / folder).mkdir(parents=True)
        (project / folder / "code.py").write_text("")
    rendered(with_packages(f"-e {project}")).write(tmp_path / "context")
    copied = tmp_path / "context" / ".mlflows" / "files" / "0" / "project"
    assert [str(path.relative_to(copied)) for path in copied.rglob("*.py")] == ["mine/build/code.py"]


def test_the_log_says_that_the_images_own_python_is_used() -> None:
    text = rendered(with_packages("six")).dockerfile
    told = "python 3.8.13 is what SDK v1 asks for where nobody does: the image's own is used, $(python3 --version)"
    assert f'echo "{told}";' in text and text.index(told) < text.index("uv venv")
    assert "the image's own" not in rendered(with_packages("six", python="3.9.7")).dockerfile
