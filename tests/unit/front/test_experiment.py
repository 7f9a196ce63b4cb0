import pytest

from mlflows.compute.targets import AmlCompute, ComputeTarget
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.exceptions import AzureMLException, ComputeTargetException, ExperimentExecutionException, UserErrorException
from mlflows.experiment import Experiment
from mlflows.workspace import Workspace


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    assert not (tmp_path / "home" / "services").exists(), "a service was started"
    assert not (tmp_path / "home" / "runs").exists(), "a run was started"


@pytest.fixture
def experiment():
    return Experiment(Workspace.get("team"), "iris")


@pytest.fixture
def source(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print(1)")
    return tmp_path / "src"


def specified(experiment, *arguments, **options):
    """What submit would start."""
    seen = []
    experiment._launch = lambda spec, run_id, *_: seen.append((spec, run_id))
    experiment.submit(*arguments, **options)
    return seen[0]


class TestName:
    @pytest.mark.parametrize("name", ["iris", "1", "my experiment", "a-b_c", "x" * 255, "A"])
    def test_good(self, name):
        assert Experiment(Workspace.get("team"), name).name == name

    @pytest.mark.parametrize("name", ["", " a", "a ", "-a", "a/b", "a.b", "a\n", "x" * 256, None, 3, ["a"]])
    def test_bad(self, name):
        with pytest.raises(UserErrorException, match="name: .* 1 to 255 letters"):
            Experiment(Workspace.get("team"), name)

    @pytest.mark.parametrize("workspace", [None, "team", 3])
    def test_no_workspace(self, workspace):
        for call in (lambda: Experiment(workspace, "iris"), lambda: Experiment.list(workspace)):
            with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
                call()

    def test_text(self, experiment):
        assert str(experiment) == "Experiment(Name: iris,\nWorkspace: team)"
        assert "<td>iris</td><td>team</td><td></td>" in experiment._repr_html_()
        assert "&lt;b&gt;" in Experiment(Workspace.get("team"), "<b>", _skip_name_validation=True)._repr_html_()


class TestSubmit:
    def test_what_is_started(self, experiment, source):
        config = ScriptRunConfig(source, script="train.py", arguments=["--a", 1])
        spec, run_id = specified(experiment, config, tags={"k": 1}, show_output=True)
        assert (spec.script, spec.arguments, spec.tags) == ("train.py", ["--a", "1"], {"k": "1"})
        assert (spec.workspace, spec.experiment, spec.compute_target, spec.parent_run_id) == ("team", "iris", "local", None)
        assert run_id.startswith("iris_")

    def test_run_id_and_parent(self, experiment, source):
        config = ScriptRunConfig(source, script="train.py")
        spec, run_id = specified(experiment, config, run_id="my-run_1", _parent_run_id="parent", credential_passthrough=False)
        assert (run_id, spec.parent_run_id) == ("my-run_1", "parent")

    def test_a_target_that_is_this_machine_keeps_its_name(self, experiment, source):
        ComputeTarget.create(experiment.workspace, "gpu-cluster", AmlCompute.provisioning_configuration(max_nodes=4))
        config = ScriptRunConfig(source, script="train.py", compute_target="gpu-cluster")
        spec, _ = specified(experiment, config)
        assert spec.compute_target == "gpu-cluster" and spec.environment.interpreter
        assert config.run_config.target == "gpu-cluster"
        with pytest.raises(UserErrorException, match="use_docker"):
            run_config = RunConfiguration()
            run_config.target, run_config.docker.use_docker = "gpu-cluster", True
            experiment.submit(ScriptRunConfig(source, script="train.py", run_config=run_config))

    def test_an_unknown_target(self, experiment, source):
        with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound: .* 'gpu-cluster'. There are: local"):
            experiment.submit(ScriptRunConfig(source, script="train.py", compute_target="gpu-cluster"))

    @pytest.mark.parametrize("config", [None, "train.py", object(), {"script": "train.py"}])
    def test_what_cannot_be_submitted(self, experiment, config):
        with pytest.raises(AzureMLException, match="cannot be submitted, only a ScriptRunConfig can"):
            experiment.submit(config)

    def test_a_missing_script(self, experiment, source):
        with pytest.raises(ExperimentExecutionException, match="'missing.py' does not exist"):
            experiment.submit(ScriptRunConfig(source, script="missing.py"))

    def test_an_unknown_option(self, experiment, source):
        with pytest.raises(TypeError, match="unexpected keyword argument 'wait'"):
            experiment.submit(ScriptRunConfig(source, script="train.py"), wait=True)

    @pytest.mark.parametrize("run_id", ["", "../x", "a/b", "a b", "-a", "x" * 256, 3, "é"])
    def test_a_bad_run_id(self, experiment, source, run_id):
        with pytest.raises(UserErrorException, match="run_id: .* is not the id of a run"):
            experiment.submit(ScriptRunConfig(source, script="train.py"), run_id=run_id)
        with pytest.raises(UserErrorException, match="run_id: "):
            experiment.start_logging(run_id=run_id)

    @pytest.mark.parametrize("tags", ["a", ["a"], 3])
    def test_bad_tags(self, experiment, source, tags):
        with pytest.raises(UserErrorException, match="tags: expected a dict"):
            experiment.submit(ScriptRunConfig(source, script="train.py"), tags=tags)


class TestRender:
    def test_the_process(self, experiment, source, home):
        config = ScriptRunConfig(source, script="train.py", arguments=["--name", "a b"])
        shown = experiment.render(config)
        assert shown["job"]["argv"][1:] == ["train.py", "--name", "a b"] and shown["job"]["run_id"].startswith("iris_")
        assert shown["job"]["env"]["AZUREML_ARM_PROJECT_NAME"] == "iris" and str(home) in shown["command"][-1]


class TestOtherArguments:
    @pytest.mark.parametrize("tags", ["a", ["a"], None])
    def test_set_tags(self, experiment, tags):
        with pytest.raises(UserErrorException, match="tags: expected a dict"):
            experiment.set_tags(tags)

    @pytest.mark.parametrize("key", ["", 3, "mlflow.note", "mlflows.x"])
    def test_names_of_tags(self, experiment, key):
        for call in (lambda: experiment.tag(key, "v"), lambda: experiment.remove_tags([key])):
            with pytest.raises(UserErrorException, match="cannot be the name of a tag"):
                call()

    def test_reactivate_with_a_name(self, experiment):
        with pytest.raises(UserErrorException, match="new_name: 'x'"):
            experiment.reactivate("x")

    @pytest.mark.parametrize(
        ("arguments", "message"), [({"view_type": "Some"}, "view_type: 'Some'"), ({"tags": 3}, "tags: expected a name")]
    )
    def test_list(self, arguments, message):
        with pytest.raises(UserErrorException, match=message):
            Experiment.list(Workspace.get("team"), **arguments)
