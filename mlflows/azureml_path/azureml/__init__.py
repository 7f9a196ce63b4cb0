"""The import names of Azure ML SDK v1, each a re-export from mlflows.

A genuine azureml package further down on sys.path stays reachable for everything that is not here.
"""

from mlflows._lazy import explain_absent_modules, extend_path

__path__ = extend_path(__path__, __name__)
explain_absent_modules("azureml.")
