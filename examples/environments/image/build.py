"""Build an image with what the quickstart needs: python build.py base-image | dockerfile | build-context | private-wheel WHEEL

Written with Azure ML SDK v1's names only. The last line printed is the image's name.
"""

import os
import sys

from azureml.core import Environment, Workspace
from azureml.core.environment import DockerBuildContext

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, "..", "requirements.txt")
BASE_IMAGE = "python:3.11-slim"


def base_image(ws):
    """Packages on an image that is there."""
    return Environment.from_docker_image("image-on-base", BASE_IMAGE, pip_requirements=REQUIREMENTS)


def dockerfile(ws):
    """Packages on what a Dockerfile makes."""
    return Environment.from_dockerfile("image-of-dockerfile", os.path.join(HERE, "Dockerfile"), pip_requirements=REQUIREMENTS)


def build_context(ws):
    """Packages on what a folder with a Dockerfile and other files makes."""
    context = DockerBuildContext.from_local_directory(ws, os.path.join(HERE, "context"))
    env = Environment.from_docker_build_context("image-of-context", context)
    env.python = Environment.from_pip_requirements("packages", REQUIREMENTS).python  # without this line: the image's python as it is
    return env


def private_wheel(ws):
    """A package that no index has, besides the others."""
    env = base_image(ws).clone("image-with-wheel")
    url = Environment.add_private_pip_wheel(ws, sys.argv[2], exist_ok=True)
    env.python.conda_dependencies.add_pip_package(url)
    return env


KINDS = {"base-image": base_image, "dockerfile": dockerfile, "build-context": build_context, "private-wheel": private_wheel}

ws = Workspace.from_config()
env = KINDS[sys.argv[1]](ws).register(ws)
env.build(ws).wait_for_completion(show_output=True)
print(env.get_image_details(ws).repository)
