"""Says which interpreter it runs in. Any Python from 3.6 on will do, and nothing needs to be installed in it."""

import platform
import sys

from azureml.core import Run

run = Run.get_context()
print(f"Python {platform.python_version()} at {sys.executable}")
run.log("major", sys.version_info[0])
run.log("minor", sys.version_info[1])
