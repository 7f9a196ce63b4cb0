"""Names of SDK v1 that are not here, and what works instead. A name stands for everything below it."""

_MODELS = "files under outputs/ are kept with the run; register them with run.register_model in the script, or in MLflow's UI"
_SERVING = "serve the model with `mlflow models serve`, or any server of your own"
_PIPELINES = "write a Prefect flow that calls experiment.submit for each step"
_SWEEPS = "submit one run per combination of parameters in a loop, and compare them in MLflow's UI"
_ESTIMATORS = "use ScriptRunConfig with an Environment; an Estimator is the same with other names"
_AUTOML = "train with a library of your choice in a script"
_INTERPRET = "use the library itself in the script, and keep its results with run.upload_folder"
_OUTPUTS = "use OutputFileDatasetConfig"
_LOCAL_TARGETS = "the compute target of this version is 'local'"

NAMES = {
    "azureml.core.Model": _MODELS,
    "azureml.core.model": _MODELS,
    "azureml.core.Webservice": _SERVING,
    "azureml.core.webservice": _SERVING,
    "azureml.core.Image": _SERVING,
    "azureml.core.image": _SERVING,
    "azureml.core.resource_configuration": _SERVING,
    "azureml.core.profile": _SERVING,
    "azureml.core.authentication.ArcTokenAuthentication": "no authentication is needed; leave the auth argument out",
    "azureml.core.LinkedService": "it named a Synapse workspace; there is nothing in its place",
    "azureml.core.linked_service": "it named a Synapse workspace; there is nothing in its place",
    "azureml.core.compute.AksCompute": _LOCAL_TARGETS,
    "azureml.core.compute.BatchCompute": _LOCAL_TARGETS,
    "azureml.core.compute.DataFactoryCompute": _LOCAL_TARGETS,
    "azureml.core.compute.DatabricksCompute": _LOCAL_TARGETS,
    "azureml.core.compute.AdlaCompute": _LOCAL_TARGETS,
    "azureml.core.compute.DsvmCompute": _LOCAL_TARGETS,
    "azureml.core.compute.HDInsightCompute": _LOCAL_TARGETS,
    "azureml.core.compute.RemoteCompute": _LOCAL_TARGETS,
    "azureml.core.compute.SynapseCompute": _LOCAL_TARGETS,
    "azureml.data.LinkFileOutputDatasetConfig": _OUTPUTS,
    "azureml.data.HDFSOutputDatasetConfig": _OUTPUTS,
    "azureml.data.output_dataset_config.LinkFileOutputDatasetConfig": _OUTPUTS,
    "azureml.data.output_dataset_config.HDFSOutputDatasetConfig": _OUTPUTS,
    "azureml.data.output_dataset_config.LinkTabularOutputDatasetConfig": _OUTPUTS,
    "azureml.data.azure_storage_datastore": "a datastore has the class of its place here; ask datastore.datastore_type",
    "azureml.pipeline": _PIPELINES,
    "azureml.train.hyperdrive": _SWEEPS,
    "azureml.train.automl": _AUTOML,
    "azureml.automl": _AUTOML,
    "azureml.train": _ESTIMATORS,
    "azureml.interpret": _INTERPRET,
    "azureml.explain": _INTERPRET,
    "azureml.contrib": "parts of contrib never left preview; look for the library it wraps",
    "azureml.tensorboard": "write event files to ./logs and run `tensorboard --logdir` on the run's logs",
    "azureml.mlflow": "it is not needed: MLFLOW_TRACKING_URI and MLFLOW_RUN_ID are set in every job",
    "azureml.opendatasets": "download the files from their publisher",
    "azureml.datadrift": "compare the data in a script of your own",
    "azureml.dataprep": "read files with pandas or pyarrow",
    "azureml.monitoring": "log what the service sees with a library of your choice",
    "azureml.accel": _SERVING,
}
