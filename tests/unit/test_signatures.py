"""Signatures against SDK v1's: every difference has a reason, everything absent is named.

``REFERENCE`` is azureml-core 1.61's public surface, class by class. A class whose module is not there yet is skipped; from then on each
of its methods must be there with the reference's parameters, or stand in ``DIFFERENCES`` or ``ABSENT``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import Any

import pytest

CONSTANTS = {
    "MAX_DURATION_SECONDS_DEFAULT": 2592000,
    "_DEFAULT_SHM_SIZE": "2g",
    "PYTHON_DEFAULT_VERSION": "3.10.18",
    "CPU": "cpu",
    "ActiveOnly": "ActiveOnly",
    "DIRECT_MODE": "direct",
}

CLASSES = {
    "ScriptRunConfig": "mlflows.config.script_run_config",
    "RunConfiguration": "mlflows.config.run_configuration",
    "EnvironmentDefinition": "mlflows.config.run_configuration",
    "HdiConfiguration": "mlflows.config.sections",
    "ApplicationEndpointConfiguration": "mlflows.config.sections",
    "ParallelTaskConfiguration": "mlflows.config.sections",
    "AmlComputeConfiguration": "mlflows.config.sections",
    "KubernetesComputeConfiguration": "mlflows.config.sections",
    "SparkConfiguration": "mlflows.config.sections",
    "HistoryConfiguration": "mlflows.config.sections",
    "DataReferenceConfiguration": "mlflows.config.sections",
    "DockerConfiguration": "mlflows.config.sections",
    "Data": "mlflows.config.sections",
    "OutputData": "mlflows.config.sections",
    "TensorflowConfiguration": "mlflows.config.distributed",
    "MpiConfiguration": "mlflows.config.distributed",
    "PyTorchConfiguration": "mlflows.config.distributed",
    "PythonSection": "mlflows.environments.sections",
    "DockerBuildContext": "mlflows.environments.sections",
    "DockerSection": "mlflows.environments.sections",
    "Environment": "mlflows.environments.environment",
    "EnvironmentReference": "mlflows.environments.environment",
    "CondaDependencies": "mlflows.environments.conda_dependencies",
    "TabularDatasetFactory": "mlflows.data.dataset_factory",
    "FileDatasetFactory": "mlflows.data.dataset_factory",
    "DataType": "mlflows.data.data_type",
    "AbstractDataset": "mlflows.data.abstract_dataset",
    "FileDataset": "mlflows.data.file_dataset",
    "TabularDataset": "mlflows.data.tabular_dataset",
    "DatasetConsumptionConfig": "mlflows.data.dataset_consumption_config",
    "OutputDatasetConfig": "mlflows.data.output_dataset_config",
    "OutputFileDatasetConfig": "mlflows.data.output_dataset_config",
    "Datastore": "mlflows.data.datastore",
    "AbstractDatastore": "mlflows.data.datastore_kinds",
    "LocalFolderDatastore": "mlflows.data.datastore_kinds",
    "S3Datastore": "mlflows.data.datastore_kinds",
    "UrlDatastore": "mlflows.data.datastore_kinds",
    "DataReference": "mlflows.data.data_reference",
    "DataPath": "mlflows.data.datapath",
    "DataPathComputeBinding": "mlflows.data.datapath",
    "Experiment": "mlflows.experiment",
    "Workspace": "mlflows.workspace",
    "Run": "mlflows.history.run",
    "ScriptRun": "mlflows.history.run",
    "Run in a job": "mlflows.job.run",
    "_SubmittedRun": "mlflows.job.run",
    "_OfflineRun": "mlflows.job.offline",
}
"""Class -> module. "X in a job" is class X of that module, held to X's reference."""

DATASTORES = ("LocalFolderDatastore", "S3Datastore", "UrlDatastore")
"""Held to what SDK v1's classes have in common; how one is made is our own."""

REFERENCE = {
    "ScriptRunConfig": """
        __init__(self, source_directory, script=None, arguments=None, run_config=None, _telemetry_values=None, compute_target=None,
            environment=None, distributed_job_config=None, resume_from=None, max_run_duration_seconds=MAX_DURATION_SECONDS_DEFAULT,
            command=None, docker_runtime_config=None)
    """,
    "RunConfiguration": """
        __init__(self, script=None, arguments=None, framework=None, communicator=None, conda_dependencies=None, _history_enabled=None,
            _path=None, _name=None, command=None)
        save(self, path=None, name=None, separate_environment_yaml=False)
        load(path, name=None)
        delete(path, name)
        properties: auto_prepare_environment environment_variables target
    """,
    "EnvironmentDefinition": "__init__(self, name=None)",
    "HdiConfiguration": "__init__(self)",
    "ApplicationEndpointConfiguration": "__init__(self, type=None, port=None, properties=None)",
    "ParallelTaskConfiguration": "__init__(self)",
    "AmlComputeConfiguration": "__init__(self)",
    "KubernetesComputeConfiguration": "__init__(self)",
    "SparkConfiguration": "__init__(self)",
    "HistoryConfiguration": "__init__(self)",
    "DataReferenceConfiguration": """
        __init__(self, datastore_name=None, mode='mount', path_on_datastore=None, path_on_compute=None, overwrite=False)
    """,
    "DockerConfiguration": "__init__(self, use_docker=False, shared_volumes=True, arguments=[], shm_size=_DEFAULT_SHM_SIZE)",
    "Data": """
        __init__(self, data_location=None, create_output_directories=None, mechanism='direct', environment_variable_name=None,
            path_on_compute=None, overwrite=False, options=None)
        create(data)
    """,
    "OutputData": "__init__(self, output_location=None, mechanism='mount', additional_options=None)",
    "TensorflowConfiguration": "__init__(self, worker_count=1, parameter_server_count=1)",
    "MpiConfiguration": "__init__(self, process_count_per_node=1, node_count=1)",
    "PyTorchConfiguration": "__init__(self, communication_backend='Nccl', process_count=None, node_count=1)",
    "PythonSection": """
        __init__(self, **kwargs)
        properties: conda_dependencies_file
    """,
    "DockerBuildContext": """
        __init__(self, location_type=None, location=None, dockerfile_path='Dockerfile')
        from_local_directory(workspace, path, dockerfile_path='Dockerfile')
    """,
    "DockerSection": """
        __init__(self, **kwargs)
        properties: base_image base_dockerfile build_context gpu_support enabled shared_volumes arguments shm_size
    """,
    "Environment": """
        __init__(self, name, **kwargs)
        __str__(self)
        register(self, workspace)
        label(workspace, name, version, labels)
        clone(self, new_name)
        get(workspace, name, version=None, label=None)
        list(workspace)
        from_dockerfile(name, dockerfile, conda_specification=None, pip_requirements=None)
        from_docker_image(name, image, container_registry=None, conda_specification=None, pip_requirements=None)
        from_docker_build_context(name, docker_build_context)
        from_conda_specification(name, file_path)
        from_existing_conda_environment(name, conda_environment_name)
        from_pip_requirements(name, file_path, pip_version=None)
        add_private_pip_wheel(workspace, file_path, exist_ok=False)
        get_image_details(self, workspace)
        build(self, workspace, image_build_compute=None)
        build_local(self, workspace, platform=None, **kwargs)
        save_to_directory(self, path, overwrite=False)
        load_from_directory(path)
        properties: environment_variables
    """,
    "EnvironmentReference": """
        __init__(self, name, version=None)
        get_environment(self, workspace)
    """,
    "CondaDependencies": """
        __init__(self, conda_dependencies_file_path=None, _underlying_structure=None)
        create(pip_indexurl=None, pip_packages=None, conda_packages=None, python_version=PYTHON_DEFAULT_VERSION, pin_sdk_version=True)
        merge_requirements(requirements)
        sdk_origin_url()
        set_pip_index_url(self, index_url)
        get_default_number_of_packages(self)
        get_python_version(self)
        set_python_version(self, version)
        add_channel(self, channel)
        remove_channel(self, channel)
        add_conda_package(self, conda_package)
        remove_conda_package(self, conda_package)
        add_pip_package(self, pip_package)
        set_pip_option(self, pip_option)
        remove_pip_option(self, pip_option)
        remove_pip_package(self, pip_package)
        set_pip_requirements(self, pip_requirements)
        add_cntk_package(self, core_type=CPU)
        add_tensorflow_pip_package(self, core_type=CPU, version=None)
        add_tensorflow_conda_package(self, core_type=CPU, version=None)
        save_to_file(self, base_directory, conda_file_path=None)
        save(self, path=None)
        serialize_to_string(self)
        as_dict(self)
        properties: conda_channels conda_packages pip_packages pip_options
    """,
    "Experiment": """
        __init__(self, workspace, name, _skip_name_validation=False, _id=None, _archived_time=None, _create_in_cloud=True,
            _experiment_dto=None, **kwargs)
        submit(self, config, tags=None, **kwargs)
        start_logging(self, *args, **kwargs)
        archive(self)
        reactivate(self, new_name=None)
        tag(self, key, value=None)
        set_tags(self, tags)
        remove_tags(self, tags)
        refresh(self)
        from_directory(path, auth=None)
        list(workspace, experiment_name=None, view_type=ActiveOnly, tags=None)
        delete(workspace, experiment_id)
        get_runs(self, type=None, tags=None, properties=None, include_children=False)
        get_docs_url(cls)
        __str__(self)
        properties: workspace workspace_object name id archived_time tags
    """,
    "Workspace": """
        __init__(self, subscription_id, resource_group, workspace_name, auth=None, _location=None, _disable_service_check=False,
            _workspace_id=None, sku='basic', tags=None, _cloud='AzureCloud')
        from_config(path=None, auth=None, _logger=None, _file_name=None)
        create(name, auth=None, subscription_id=None, resource_group=None, location=None, create_resource_group=True, sku='basic',
            tags=None, friendly_name=None, storage_account=None, key_vault=None, app_insights=None, container_registry=None,
            adb_workspace=None, primary_user_assigned_identity=None, cmk_keyvault=None, resource_cmk_uri=None, hbi_workspace=False,
            default_cpu_compute_target=None, default_gpu_compute_target=None, private_endpoint_config=None,
            private_endpoint_auto_approval=True, exist_ok=False, show_output=True, user_assigned_identity_for_cmk_encryption=None,
            system_datastores_auth_mode='accessKey', v1_legacy_mode=None)
        get(name, auth=None, subscription_id=None, resource_group=None, location=None, cloud='AzureCloud', id=None)
        list(subscription_id, auth=None, resource_group=None)
        write_config(self, path=None, file_name=None)
        update_dependencies(self, container_registry=None, force=False)
        delete(self, delete_dependent_resources=False, no_wait=False)
        get_details(self)
        get_mlflow_tracking_uri(self, _with_auth=False)
        get_default_compute_target(self, type)
        get_default_datastore(self)
        set_default_datastore(self, name)
        get_default_keyvault(self)
        add_private_endpoint(self, private_endpoint_config, private_endpoint_auto_approval=True, location=None, show_output=True, tags=None)
        delete_private_endpoint_connection(self, private_endpoint_connection_name)
        list_keys(self)
        diagnose_workspace(self, diagnose_parameters)
        set_connection(self, name, category, target, authType, value)
        list_connections(self, category=None, target=None)
        get_connection(self, name)
        delete_connection(self, name)
        get_run(self, run_id)
        update(self, friendly_name=None, description=None, tags=None, image_build_compute=None, service_managed_resources_settings=None,
            primary_user_assigned_identity=None, allow_public_access_when_behind_vnet=None, v1_legacy_mode=None)
        sync_keys(self, no_wait=False)
        setup()
        properties: name subscription_id resource_group location service_context sku tags discovery_url compute_targets datastores datasets
            private_endpoints experiments environments images models webservices linked_services
    """,
    "Run": """
        __init__(self, experiment, run_id, outputs=None, **kwargs)
        get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs)
        get_submitted_run(cls, **kwargs)
        get_secret(self, name)
        get_secrets(self, secrets)
        add_type_provider(runtype, run_factory)
        list(experiment, type=None, tags=None, properties=None, status=None, include_children=False, _rehydrate_runs=True)
        list_by_compute(compute, type=None, tags=None, properties=None, status=None)
        get(workspace, run_id)
        submit_child(self, config, tags=None, **kwargs)
        wait_for_completion(self, show_output=False, wait_post_processing=False, raise_on_error=True)
        clean(self)
        get_all_logs(self, destination=None)
        get_details_with_logs(self)
        get_status(self)
        get_detailed_status(self)
        get_environment(self)
        get_details(self)
        get_children(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True)
        get_metrics(self, name=None, recursive=False, run_type=None, populate=False)
        start(self)
        complete(self, _set_status=True)
        fail(self, error_details=None, error_code=None, _set_status=True)
        cancel(self)
        flush(self, timeout_seconds=300)
        __enter__(self)
        __exit__(self, exit_type, value, traceback)
        child_run(self, name=None, run_id=None, outputs=None)
        create_children(self, count=None, tag_key=None, tag_values=None)
        tag(self, key, value=None)
        set_tags(self, tags)
        get_tags(self)
        remove_tags(self, tags)
        add_properties(self, properties)
        get_properties(self)
        log(self, name, value, description='', step=None)
        log_list(self, name, value, description='')
        log_row(self, name, description=None, **kwargs)
        log_table(self, name, value, description='')
        log_confusion_matrix(self, name, value, description='')
        log_accuracy_table(self, name, value, description='')
        log_residuals(self, name, value, description='')
        log_predictions(self, name, value, description='')
        log_image(self, name, path=None, plot=None, description='')
        upload_file(self, name, path_or_stream, datastore_name=None)
        upload_folder(self, name, path, datastore_name=None)
        upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None)
        get_file_names(self)
        download_file(self, name, output_file_path=None, _validate_checksum=False)
        download_files(self, prefix=None, output_directory=None, output_paths=None, batch_size=100, append_prefix=True,
            timeout_seconds=None)
        take_snapshot(self, file_or_folder_path)
        restore_snapshot(self, snapshot_id=None, path=None)
        get_snapshot_id(self)
        register_model(self, model_name, model_path=None, tags=None, properties=None, model_framework=None, model_framework_version=None,
            description=None, datasets=None, sample_input_dataset=None, sample_output_dataset=None, resource_configuration=None, **kwargs)
        properties: id name display_name description type number parent status experiment tags properties
    """,
    "ScriptRun": """
        __init__(self, experiment, run_id, directory=None, _run_config=None, **kwargs)
        cancel(self)
    """,
    "_SubmittedRun": """
        __init__(self, *args, **kwargs)
        complete(self)
        fail(self, error_details=None, error_code=None)
        cancel(self)
        __enter__(self)
        __exit__(self, *args)
        properties: input_datasets output_datasets
    """,
    "_OfflineRun": """
        __init__(self, parent_logger=None, run_id=None, **kwargs)
        add_properties(self, properties)
        set_tags(self, tags)
        tag(self, name, value=None)
        complete(self)
        fail(self, error_details=None, error_code=None)
        cancel(self)
        log(self, name, value, description='')
        log_list(self, name, value, description='')
        log_table(self, name, value, description='')
        log_row(self, name, description=None, **kwargs)
        log_image(self, name, path=None, plot=None, description='')
        log_residuals(self, name, value, description=None)
        log_predictions(self, name, value, description=None)
        log_accuracy_table(self, name, value, description=None)
        log_confusion_matrix(self, name, value, description=None)
        upload_folder(self, name, path, datastore_name=None)
        upload_files(self, name, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None)
        upload_file(self, name, path_or_stream, datastore_name=None)
        child_run(self, name=None, run_id=None, outputs=None)
        __enter__(self)
        __exit__(self, exit_type, value, traceback)
        flush(self)
        properties: id
    """,
    "TabularDatasetFactory": """
        from_parquet_files(path, validate=True, include_path=False, set_column_types=None, partition_format=None)
        from_delimited_files(path, validate=True, include_path=False, infer_column_types=True, set_column_types=None, separator=',',
            header=True, partition_format=None, support_multi_line=False, empty_as_string=False, encoding='utf8')
        from_json_lines_files(path, validate=True, include_path=False, set_column_types=None, partition_format=None, invalid_lines='error',
            encoding='utf8')
        from_sql_query(query, validate=True, set_column_types=None, query_timeout=30)
        register_pandas_dataframe(dataframe, target, name, description=None, tags=None, show_progress=True, row_group_size=None,
            make_target_path_unique=True)
        register_spark_dataframe(dataframe, target, name, description=None, tags=None, show_progress=True)
        register_dask_dataframe(dataframe, target, name, description=None, tags=None, show_progress=True)
    """,
    "FileDatasetFactory": """
        from_files(path, validate=True, partition_format=None, is_file=False)
        upload_directory(src_dir, target, pattern=None, overwrite=False, show_progress=True)
    """,
    "DataType": """
        to_string()
        to_long()
        to_float(decimal_mark='.')
        to_bool()
        to_stream(workspace, escaped=False)
        to_datetime(formats=None)
    """,
    "AbstractDataset": """
        __init__(self)
        __getitem__(self, key)
        get_by_name(workspace, name, version='latest', **kwargs)
        get_by_id(workspace, id, **kwargs)
        get_all(workspace)
        as_named_input(self, name)
        register(self, workspace, name, description=None, tags=None, create_new_version=False)
        update(self, description=None, tags=None)
        add_tags(self, tags=None)
        remove_tags(self, tags=None)
        unregister_all_versions(self)
        get_partition_key_values(self, partition_keys=None)
        __str__(self)
        properties: id name version description tags data_changed_time partition_keys
    """,
    "FileDataset": """
        __init__(self)
        to_path(self)
        download(self, target_path=None, overwrite=False, ignore_not_found=False)
        mount(self, mount_point=None, **kwargs)
        as_mount(self, path_on_compute=None)
        as_download(self, path_on_compute=None)
        as_hdfs(self)
        skip(self, count)
        take(self, count)
        take_sample(self, probability, seed=None)
        random_split(self, percentage, seed=None)
        file_metadata(self, col)
        filter(self, expression)
        as_cache(self, datacache_store)
        hydrate(self, datacache_store, replica_count=None)
    """,
    "TabularDataset": """
        __init__(self)
        with_timestamp_columns(self, timestamp=None, partition_timestamp=None, validate=False, **kwargs)
        to_pandas_dataframe(self, on_error='null', out_of_range_datetime='null')
        to_dask_dataframe(self, sample_size=10000, dtypes=None, on_error='null', out_of_range_datetime='null')
        to_spark_dataframe(self)
        skip(self, count)
        take(self, count)
        take_sample(self, probability, seed=None)
        random_split(self, percentage, seed=None)
        keep_columns(self, columns, validate=False)
        partition_by(self, partition_keys, target, name=None, show_progress=True, partition_as_file_dataset=False)
        filter(self, expression)
        drop_columns(self, columns)
        to_parquet_files(self)
        to_csv_files(self, separator=',')
        time_before(self, end_time, include_boundary=True, validate=True)
        time_after(self, start_time, include_boundary=True, validate=True)
        time_recent(self, time_delta, include_boundary=True, validate=True)
        time_between(self, start_time, end_time, include_boundary=True, validate=True)
        submit_profile_run(self, compute_target, experiment, cache_datastore_name=None)
        get_profile(self, workspace=None)
        get_profile_runs(self, workspace=None)
        download(self, stream_column, target_path=None, overwrite=False, ignore_not_found=True)
        mount(self, stream_column, mount_point=None)
        properties: timestamp_columns
    """,
    "DatasetConsumptionConfig": """
        __init__(self, name, dataset, mode=DIRECT_MODE, path_on_compute=None)
        as_download(self, path_on_compute=None)
        as_mount(self, path_on_compute=None)
        as_hdfs(self)
        properties: name
    """,
    "OutputDatasetConfig": """
        __init__(self, mode, name=None, **kwargs)
        register_on_complete(self, name, description=None, tags=None)
        as_input(self, name=None)
        properties: name
    """,
    "OutputFileDatasetConfig": """
        __init__(self, name=None, destination=None, source=None, partition_format=None)
        as_mount(self, disable_metadata_cache=False)
        as_upload(self, overwrite=False, source_globs=None)
        as_input(self, name=None)
    """,
    "Datastore": """
        __new__(cls, workspace, name=None)
        __init__(self, workspace, name=None)
        set_as_default(self)
        unregister(self)
        get(workspace, datastore_name)
        get_default(workspace)
        register_azure_blob_container(workspace, datastore_name, container_name, account_name, sas_token=None, account_key=None,
            protocol=None, endpoint=None, overwrite=False, create_if_not_exists=False, skip_validation=False,
            blob_cache_timeout=None, grant_workspace_access=False, subscription_id=None, resource_group=None)
        register_azure_file_share(workspace, datastore_name, file_share_name, account_name, sas_token=None, account_key=None,
            protocol=None, endpoint=None, overwrite=False, create_if_not_exists=False, skip_validation=False)
        register_azure_data_lake(workspace, datastore_name, store_name, tenant_id=None, client_id=None, client_secret=None,
            resource_url=None, authority_url=None, subscription_id=None, resource_group=None, overwrite=False,
            grant_workspace_access=False)
        register_azure_data_lake_gen2(workspace, datastore_name, filesystem, account_name, tenant_id=None, client_id=None,
            client_secret=None, resource_url=None, authority_url=None, protocol=None, endpoint=None, overwrite=False,
            subscription_id=None, resource_group=None, grant_workspace_access=False)
        register_azure_sql_database(workspace, datastore_name, server_name, database_name, tenant_id=None, client_id=None,
            client_secret=None, resource_url=None, authority_url=None, endpoint=None, overwrite=False, username=None, password=None,
            subscription_id=None, resource_group=None, grant_workspace_access=False, **kwargs)
        register_azure_postgre_sql(workspace, datastore_name, server_name, database_name, user_id, user_password, port_number=None,
            endpoint=None, overwrite=False, enforce_ssl=True, **kwargs)
        register_azure_my_sql(workspace, datastore_name, server_name, database_name, user_id, user_password, port_number=None,
            endpoint=None, overwrite=False, **kwargs)
        register_dbfs(workspace, datastore_name)
        register_hdfs(workspace, datastore_name, protocol, namenode_address, hdfs_server_certificate, kerberos_realm,
            kerberos_kdc_address, kerberos_principal, kerberos_keytab=None, kerberos_password=None, overwrite=False)
    """,
    "AbstractDatastore": """
        __str__(self)
        path(self, path=None, data_reference_name=None)
        as_download(self, path_on_compute=None)
        as_upload(self, path_on_compute=None)
        as_mount(self)
        download(self, target_path, prefix=None, overwrite=False, show_progress=True)
        upload(self, src_dir, target_path=None, overwrite=False, show_progress=True)
        upload_files(self, files, relative_root=None, target_path=None, overwrite=False, show_progress=True)
        set_as_default(self)
        unregister(self)
        properties: is_sas name datastore_type account_name container_name
    """,
    "DataReference": """
        __init__(self, datastore, data_reference_name=None, path_on_datastore=None, mode='mount', path_on_compute=None,
            overwrite=False)
        path(self, path=None, data_reference_name=None)
        as_download(self, path_on_compute=None, overwrite=False)
        as_upload(self, path_on_compute=None, overwrite=False)
        as_mount(self)
        to_config(self)
        __str__(self)
        create(data_reference_name=None, datapath=None, datapath_compute_binding=None)
    """,
    "DataPath": """
        __init__(self, datastore=None, path_on_datastore=None, name=None)
        create_data_reference(self, data_reference_name=None, datapath_compute_binding=None)
        create_from_data_reference(data_reference)
        properties: datastore_name path_on_datastore
    """,
    "DataPathComputeBinding": """
        __init__(self, mode='mount', path_on_compute=None, overwrite=False)
        create_data_reference(self, data_reference_name=None, datapath=None)
        create_from_data_reference(data_reference)
    """,
}

NEVER_HERE = "refused whatever is given: the message says what to do instead"

DIFFERENCES: dict[tuple[str, str], str] = {
    ("Workspace", "list"): "all workspaces are on this machine, so the subscription may be left out",
    ("Workspace", "update"): "what only Azure knows is taken by **azure",
    ("Experiment", "start_logging"): "spelt out; SDK v1 passes them on unseen",
    ("Datastore", "__init__"): "__new__ returns a datastore of another class, so it is never called",
    **{("Datastore", f"register_{name}"): NEVER_HERE for name in ("azure_sql_database", "azure_postgre_sql", "azure_my_sql", "hdfs")},
    ("_SubmittedRun", "__init__"): "only Run.get_context makes it, from the job's folder",
    ("_SubmittedRun", "__exit__"): "Run's, which the with statement calls by position",
    ("_OfflineRun", "upload_files"): "names, as Run's: a call by keyword then works in a job and outside",
}
"""(class, method) -> why its parameters are not the reference's. An entry without a difference fails."""

OF_THE_SUBMITTER = "a job asks through its mailbox, which has no such question; comes with Run outside a job"

AZURE_ONLY = "names something that only Azure has"

NO_CACHE = "there is no second copy of data to manage"

WRITES = "made of to_pandas_dataframe() and Dataset.File.upload_directory; comes when somebody misses it"

STREAMS = "columns of files come with DataType.to_stream"

PROFILES = "to_pandas_dataframe().describe() says it"

OTHER_ENGINES = "needs a Spark or Dask cluster, or a database"

ABSENT: dict[tuple[str, str], str] = {
    ("TabularDatasetFactory", "from_sql_query"): OTHER_ENGINES,
    ("TabularDatasetFactory", "register_spark_dataframe"): OTHER_ENGINES,
    ("TabularDatasetFactory", "register_dask_dataframe"): OTHER_ENGINES,
    ("FileDataset", "as_cache"): NO_CACHE,
    ("FileDataset", "hydrate"): NO_CACHE,
    ("TabularDataset", "to_dask_dataframe"): OTHER_ENGINES,
    ("TabularDataset", "to_spark_dataframe"): OTHER_ENGINES,
    ("TabularDataset", "partition_by"): WRITES,
    ("TabularDataset", "to_parquet_files"): WRITES,
    ("TabularDataset", "to_csv_files"): WRITES,
    ("TabularDataset", "submit_profile_run"): PROFILES,
    ("TabularDataset", "get_profile"): PROFILES,
    ("TabularDataset", "get_profile_runs"): PROFILES,
    ("TabularDataset", "download"): STREAMS,
    ("TabularDataset", "mount"): STREAMS,
    ("Datastore", "set_as_default"): "what Datastore(workspace, name) returns has it",
    ("Datastore", "unregister"): "what Datastore(workspace, name) returns has it",
    **{(name, "is_sas"): "keys are not handed out, of whatever kind they are" for name in ("AbstractDatastore", *DATASTORES)},
    ("Workspace", "service_context"): AZURE_ONLY,
    ("Workspace", "discovery_url"): AZURE_ONLY,
    ("Workspace", "update_dependencies"): AZURE_ONLY,
    ("Workspace", "add_private_endpoint"): AZURE_ONLY,
    ("Workspace", "delete_private_endpoint_connection"): AZURE_ONLY,
    ("Workspace", "list_keys"): AZURE_ONLY,
    ("Workspace", "diagnose_workspace"): AZURE_ONLY,
    ("Workspace", "set_connection"): AZURE_ONLY,
    ("Workspace", "list_connections"): AZURE_ONLY,
    ("Workspace", "get_connection"): AZURE_ONLY,
    ("Workspace", "delete_connection"): AZURE_ONLY,
    ("Workspace", "sync_keys"): AZURE_ONLY,
    ("Experiment", "from_directory"): "reads a project.json that only Azure's command line wrote",
    ("Experiment", "get_docs_url"): "there is no page for each class",
    ("Run in a job", "add_type_provider"): "comes with HyperDrive and pipelines",
    ("Run in a job", "list"): OF_THE_SUBMITTER,
    ("Run in a job", "list_by_compute"): OF_THE_SUBMITTER,
    ("Run in a job", "submit_child"): OF_THE_SUBMITTER,
    ("Run in a job", "wait_for_completion"): OF_THE_SUBMITTER,
    ("Run in a job", "clean"): OF_THE_SUBMITTER,
    ("Run in a job", "get_all_logs"): OF_THE_SUBMITTER,
    ("Run in a job", "get_details_with_logs"): OF_THE_SUBMITTER,
    ("Run in a job", "get_detailed_status"): OF_THE_SUBMITTER,
    ("Run in a job", "get_environment"): OF_THE_SUBMITTER,
    ("Run in a job", "take_snapshot"): OF_THE_SUBMITTER,
    ("Run in a job", "restore_snapshot"): OF_THE_SUBMITTER,
}
"""(class, method or property) -> what it comes with. An entry that is there fails."""


def members(name: str) -> dict[str, str | None]:
    """Method -> signature, property -> None, as the reference has them."""
    text = REFERENCE["AbstractDatastore" if name in DATASTORES else name.removesuffix(" in a job")]
    methods, _, properties = text.partition("properties:")
    found: dict[str, str | None] = dict.fromkeys(properties.split())
    logical = methods.replace(",\n", ", ")
    for line in filter(None, map(str.strip, logical.splitlines())):
        method, bracket, rest = line.partition("(")
        found[method] = bracket + rest
    return found


CASES = [(name, member) for name in CLASSES for member in members(name)]


def class_of(name: str) -> Any:
    module = CLASSES[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    return getattr(importlib.import_module(module), name.removesuffix(" in a job"))


def has(cls: Any, member: str) -> bool:
    """Whether a class has a method or property, or declares an attribute of that name."""
    return hasattr(cls, member) or member in getattr(cls, "_fields", ())


def parameters_of_reference(signature: str) -> list[tuple[Any, ...]]:
    scope: dict[str, Any] = dict(CONSTANTS)
    exec(f"def reference{signature}: pass", scope)  # our own table above
    return parameters(scope["reference"])


def parameters(function: Any) -> list[tuple[Any, ...]]:
    """Name, kind and default of each parameter, the object or class itself left out."""
    found = [(p.name, p.kind.name, getattr(p.default, "name", p.default)) for p in inspect.signature(function).parameters.values()]
    return found[1:] if found and found[0][0] in ("self", "cls") else found


@pytest.mark.parametrize(("name", "member"), CASES, ids=[f"{name}.{member}" for name, member in CASES])
def test_member(name: str, member: str) -> None:
    cls = class_of(name)
    key = (name, member)
    if key in ABSENT:
        assert not has(cls, member), f"{name}.{member} is there: take it out of ABSENT"
        return
    assert has(cls, member), f"{name}.{member} is missing: write it, or say in ABSENT what it comes with"
    signature = members(name)[member]
    if signature is None:
        return
    ours, reference = parameters(getattr(cls, member)), parameters_of_reference(signature)
    if key in DIFFERENCES:
        assert ours != reference, f"{name}.{member} is as the reference: take it out of DIFFERENCES"
        return
    assert ours == reference, f"{name}.{member}: say why in DIFFERENCES"


def test_tables_name_members_of_the_reference() -> None:
    assert not (set(DIFFERENCES) | set(ABSENT)) - set(CASES)
    assert not set(DIFFERENCES) & set(ABSENT)


def test_every_difference_has_a_reason() -> None:
    assert all({**DIFFERENCES, **ABSENT}.values())
