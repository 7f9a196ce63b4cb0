"""Experiment, Workspace, Keyvault and the command line against a real MLflow server and a real Prefect server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlflows import experiment as experiment_module
from mlflows.cli import main
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.exceptions import ActivityFailedException, ExperimentExecutionException, ServiceException, UserErrorException
from mlflows.experiment import Experiment
from mlflows.flows import services
from mlflows.history.run import Run, ScriptRun
from mlflows.keyvault import Keyvault
from mlflows.rest import RestClient
from mlflows.workspace import Workspace


@pytest.fixture(scope="module")
def ws(mlflow_server, tmp_path_factory):
    """A workspace with the session's MLflow server, and a Prefect server and a runner of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOWS_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
        patch.delenv("PREFECT_API_URL", raising=False)
        yield Workspace.get("team")
        services.down(announce=lambda line: None)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("import sys\nprint('trained', *sys.argv[1:])\n")
    return tmp_path / "src"


class TestExperiment:
    def test_made_when_needed(self, ws):
        experiment = Experiment(ws, "made late")
        assert "made late" not in ws.experiments
        assert experiment.id == ws.experiments["made late"].id
        assert experiment.get_portal_url().endswith(f"/#/experiments/{experiment.id}")
        assert f"/#/experiments/{experiment.id}" in experiment._repr_html_()

    def test_tags(self, ws):
        experiment = Experiment(ws, "tagged")
        experiment.tag("a", "1")
        experiment.set_tags({"b": 2, "c": None})
        assert Experiment(ws, "tagged").tags == {"a": "1", "b": "2", "c": ""}
        experiment.remove_tags(["b", "missing"])
        assert experiment.tags == {"a": "1", "c": ""}
        assert [found.name for found in Experiment.list(ws, tags={"a": "1"})] == ["tagged"]
        assert Experiment.list(ws, tags={"a": "2"}) == [] and [found.name for found in Experiment.list(ws, tags="c")] == ["tagged"]

    def test_archive(self, ws):
        experiment = Experiment(ws, "old")
        experiment.archive()
        assert experiment.archived_time and Experiment.list(ws, "old") == []
        assert [found.name for found in Experiment.list(ws, "old", view_type="ArchivedOnly")] == ["old"]
        experiment.reactivate()
        assert experiment.archived_time is None and len(Experiment.list(ws, "old")) == 1

    def test_delete(self, ws):
        experiment = Experiment(ws, "empty")
        Experiment.delete(ws, experiment.id)
        assert "empty" not in ws.experiments
        with Experiment(ws, "full").start_logging(snapshot_directory=None):
            pass
        with pytest.raises(UserErrorException, match="has runs. Delete them in MLflow first, or archive it"):
            Experiment.delete(ws, Experiment(ws, "full").id)


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    """start_logging makes ./outputs."""
    monkeypatch.chdir(tmp_path)


class TestStartLogging:
    @pytest.mark.parametrize(("outputs", "folder"), [(None, "outputs"), ("kept/here", "kept/here"), (False, None)])
    def test_the_folder_of_the_outputs_is_there(self, ws, tmp_path, outputs, folder):
        with Experiment(ws, "interactive").start_logging(snapshot_directory=None, outputs=outputs) as run:
            assert [str(path.relative_to(tmp_path)) for path in tmp_path.iterdir()] == ([folder.split("/")[0]] if folder else [])
            (tmp_path / (folder or ".") / "m.txt").write_text("m")
        assert run.get_file_names() == (["outputs/m.txt"] if folder else [])

    def test_with_block_snapshot_and_outputs(self, ws, tmp_path, capsys):
        (tmp_path / "notebook.py").write_text("x")
        (tmp_path / "outputs").mkdir()
        with Experiment(ws, "interactive").start_logging(display_name="shown") as run:
            run.log("loss", 0.5)
            (tmp_path / "outputs" / "deep").mkdir()
            (tmp_path / "outputs" / "deep" / "model.txt").write_text("m")
            assert run.get_status() == "Running"
        assert "left out of the snapshot" not in capsys.readouterr().err
        again = ws.get_run(run.id)
        assert (again.get_status(), again.display_name, again.get_metrics()) == ("Completed", "shown", {"loss": 0.5})
        assert "outputs/deep/model.txt" in again.get_file_names()
        restored = again.restore_snapshot(path=str(tmp_path / "back"))
        assert (Path(restored) / "notebook.py").read_text() == "x"

    def test_an_exception_fails_it(self, ws):
        with pytest.raises(ZeroDivisionError), Experiment(ws, "interactive").start_logging(snapshot_directory=None) as run:
            1 / 0  # noqa: B018
        assert ws.get_run(run.id).get_status() == "Failed"

    def test_a_taken_id(self, ws):
        experiment = Experiment(ws, "interactive")
        experiment.start_logging(snapshot_directory=None, run_id="mine").complete()
        with pytest.raises(UserErrorException, match="there is a run 'mine' already"):
            experiment.start_logging(snapshot_directory=None, run_id="mine")
        with pytest.raises(UserErrorException, match="outputs: expected the path"):
            experiment.start_logging(snapshot_directory=None, outputs=3)

    @pytest.mark.parametrize(
        ("last_line", "status"), [("", "Completed"), ("raise ValueError('x')", "Failed"), ("run.complete()", "Completed")]
    )
    def test_the_end_of_the_process_ends_it(self, ws, tmp_path, last_line, status):
        code = (
            "from mlflows import Experiment, Workspace\n"
            "run = Experiment(Workspace.get('team'), 'ends').start_logging(snapshot_directory=None)\n"
            f"print(run.id)\n{last_line}\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ))
        assert ws.get_run(done.stdout.split()[0]).get_status() == status, done.stderr


class TestSubmit:
    def test_to_the_end(self, ws, source):
        run = Experiment(ws, "submitted").submit(ScriptRunConfig(source, script="train.py", arguments=["--a", "b c"]), tags={"k": "v"})
        assert isinstance(run, ScriptRun) and run.wait_for_completion()["status"] == "Completed"
        again = ws.get_run(run.id)
        assert again.get_tags() == {"k": "v"} and again.get_properties()["ContentSnapshotId"] == again.get_snapshot_id()
        assert [found.id for found in Experiment(ws, "submitted").get_runs(tags={"k": "v"}, type="azureml.scriptrun")] == [run.id]
        with pytest.raises(UserErrorException, match="there is a run .* already"):
            Experiment(ws, "submitted").submit(ScriptRunConfig(source, script="train.py"), run_id=run.id)

    def test_a_name_for_this_machine(self, ws, source):
        from mlflows.compute.targets import AmlCompute, ComputeTarget

        target = ComputeTarget.create(ws, "gpu-cluster", AmlCompute.provisioning_configuration(max_nodes=4))
        run = Experiment(ws, "submitted").submit(ScriptRunConfig(source, script="train.py", compute_target=target))
        assert run.wait_for_completion()["target"] == "gpu-cluster"

    def test_a_run_whose_runner_died_before_it_told_that_history_is_made(self, ws, source, monkeypatch):
        made = experiment_module.Handoff.history
        monkeypatch.setattr(experiment_module.Handoff, "history", lambda handoff: made(handoff) and None)
        experiment = Experiment(ws, "told nobody")
        run = experiment.submit(ScriptRunConfig(source, script="train.py"))
        assert run.wait_for_completion()["status"] == "Completed"
        assert [found.id for found in experiment.get_runs()] == [run.id]

    def test_a_run_nobody_takes_is_failed(self, ws, source, monkeypatch):
        class Nobody(experiment_module.Handoff):
            def go(self):
                raise ExperimentExecutionException("nobody took it")

        monkeypatch.setattr(experiment_module, "Handoff", Nobody)
        experiment = Experiment(ws, "not taken")
        with pytest.raises(ExperimentExecutionException, match="nobody took it"):
            experiment.submit(ScriptRunConfig(source, script="train.py"))
        [run] = experiment.get_runs()
        assert run.get_status() == "Failed"
        with pytest.raises(ActivityFailedException, match="nobody took it"):
            run.wait_for_completion()


class TestModels:
    def test_the_newest_of_each(self, ws, tmp_path):
        with Experiment(ws, "models").start_logging(snapshot_directory=None, outputs=tmp_path) as run:
            (tmp_path / "m.pkl").write_text("m")
            run.upload_file("outputs/m.pkl", tmp_path / "m.pkl")
            for _ in range(2):
                run.register_model("front-model", "outputs/m.pkl")
        assert ws.models["front-model"].id == "front-model:2"


class TestKeyvault:
    @pytest.fixture
    def vault(self, ws):
        vault = ws.get_default_keyvault()
        yield vault
        vault.delete_secrets(vault.list_secrets())

    def test_set_get_list_delete(self, vault):
        vault.set_secret("Db-Password", "hunter2")
        assert vault.get_secret("Db-Password") == vault.get_secret("db-password") == "hunter2"
        vault.set_secret("db-password", "new")
        vault.set_secrets({"number": "123", "json": '{"a": 1}', "unicode": "ü\n"})
        assert vault.get_secrets(["db-password", "number", "json", "unicode"]) == {
            "db-password": "new",
            "number": "123",
            "json": '{"a": 1}',
            "unicode": "ü\n",
        }
        assert vault.list_secrets() == ["db-password", "json", "number", "unicode"]
        vault.delete_secret("number")
        vault.delete_secret("number")
        with pytest.raises(UserErrorException, match="no secret 'number' in workspace 'team'. There are: db-password, json, unicode"):
            vault.get_secret("number")

    def test_each_workspace_has_its_own(self, vault):
        vault.set_secret("shared-name", "1")
        other = Workspace.get("team-2").get_default_keyvault()
        assert other.list_secrets() == []
        with pytest.raises(UserErrorException, match="no secret 'shared-name' in workspace 'team-2'. There are: none"):
            other.get_secret("shared-name")

    def test_prefect_hides_the_value_and_resolves_the_reference(self, ws, vault):
        vault.set_secret("token", "hunter2")
        name = vault.reference("token").split(".")[-1].rstrip(" }")
        shown = ws._prefect().get(f"/block_types/slug/secret/block_documents/name/{name}")
        assert "hunter2" not in json.dumps(shown)

    @pytest.mark.parametrize("name", ["", "a b", "a_b", "a/b", "ü", "x" * 128, None, 3])
    def test_bad_names(self, vault, name):
        for call in (lambda: vault.get_secret(name), lambda: vault.set_secret(name, "x"), lambda: vault.delete_secret(name)):
            with pytest.raises(UserErrorException, match="name: .* is not the name of a secret"):
                call()

    def test_bad_values(self, vault):
        with pytest.raises(UserErrorException, match="value: the secret 'a' must be a string, not a int"):
            vault.set_secret("a", 123456)
        for call in (lambda: vault.get_secrets("a"), lambda: vault.delete_secrets("a")):
            with pytest.raises(UserErrorException, match="secrets: expected a list of names"):
                call()
        with pytest.raises(UserErrorException, match="secrets_batch: expected a dict"):
            vault.set_secrets(["a"])
        with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
            Keyvault("team")

    def test_no_server(self):
        class Away:
            name = "team"

            def _prefect(self):
                return RestClient("http://127.0.0.1:1/api")

        with pytest.raises(ServiceException, match="No answer from the Prefect server at http://127.0.0.1:1/api"):
            Keyvault(Away()).get_secret("a")


class TestCommandLine:
    @pytest.fixture(scope="class")
    def run(self, ws, tmp_path_factory):
        folder = tmp_path_factory.mktemp("cli")
        (folder / "train.py").write_text("print('line one')\nraise ValueError('no such column')\n")
        run = Experiment(ws, "cli").submit(ScriptRunConfig(folder, script="train.py"))
        run.wait_for_completion(raise_on_error=False)
        return run

    def test_runs(self, run, capsys):
        assert main(["runs", "-e", "cli"]) == 0
        [header, line] = capsys.readouterr().out.splitlines()
        assert header.split() == ["RUN", "EXPERIMENT", "STATUS", "STARTED", "TOOK"] and line.split()[:3] == [run.id, "cli", "Failed"]
        assert main(["runs", "--status", "Failed", "-e", "cli", "--json"]) == 0
        [found] = json.loads(capsys.readouterr().out)
        assert (found["run_id"], found["status"], found["target"]) == (run.id, "Failed", "local") and found["url"].startswith("http")
        assert main(["runs", "--status", "Completed", "-e", "cli", "--json"]) == 0 and json.loads(capsys.readouterr().out) == []
        assert main(["runs", "-n", "1", "--json"]) == 0 and len(json.loads(capsys.readouterr().out)) == 1

    def test_an_unknown_experiment(self, run, capsys):
        assert main(["runs", "-e", "clii"]) == 1 and "There is no experiment 'clii'. There are: " in capsys.readouterr().err

    def test_show(self, run, capsys):
        assert main(["show", run.id]) == 0
        assert "ValueError: no such column" in capsys.readouterr().out
        assert main(["show", run.id, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["status"] == "Failed"

    def test_the_beginning_of_an_id_is_enough(self, run, capsys):
        assert main(["show", run.id[:-4], "--json"]) == 0 and json.loads(capsys.readouterr().out)["runId"] == run.id

    def test_logs(self, run, capsys):
        assert main(["logs", run.id]) == 0 and capsys.readouterr().out.startswith("line one\nTraceback")
        assert main(["logs", run.id, "--json"]) == 0
        assert list(json.loads(capsys.readouterr().out)) == ["user_logs/std_log.txt"]
        assert main(["logs", "-f", run.id]) == 0 and "line one" in capsys.readouterr().out

    @pytest.mark.parametrize("command", ["show", "logs", "cancel"])
    @pytest.mark.parametrize("identifier", ["nobody", "x'y", "%", "_____"])
    def test_an_unknown_run(self, run, command, identifier, capsys):
        assert main([command, identifier]) == 1
        assert capsys.readouterr().err == f"mlflows: error: There is no run {identifier!r}. `mlflows runs` lists them.\n"

    def test_cancel(self, ws, run, source, capsys):
        (source / "train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
        slow = Experiment(ws, "cli cancel").submit(ScriptRunConfig(source, script="train.py"))
        assert main(["cancel", slow.id]) == 0 and "asked to stop" in capsys.readouterr().err
        slow.wait_for_completion(raise_on_error=False)
        assert Run.get(ws, slow.id).get_status() == "Canceled"
        assert main(["cancel", slow.id]) == 0 and "has ended already: Canceled" in capsys.readouterr().err
