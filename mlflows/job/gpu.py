"""What the GPUs do, every ten seconds, where there is an nvidia-smi."""

import json
import os
import time

from mlflows.job import mpi, processes

SECONDS = 10
FIELDS = ("index", "utilization.gpu", "utilization.memory", "memory.used", "memory.total", "temperature.gpu", "power.draw")
