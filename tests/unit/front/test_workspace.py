import json
import os

import pytest

from mlflows.data.snapshot import store_of
from mlflows.exceptions import UserErrorException, WorkspaceException
from mlflows.workspace import Workspace

AZURE = {"subscription_id": "sub-1", "resource_group": "rg", "workspace_name": "team"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "project" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "deep")
    return tmp_path / "home"


def write(path, content=AZURE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestFromConfig:
    def test_azures_own_file(self, tmp_path):
        write(tmp_path / "project" / ".azureml" / "config.json", {**AZURE, "something": "else"})
        ws = Workspace.from_config()
        assert (ws.name, ws.subscription_id, ws.resource_group) == ("team", "sub-1", "rg")

    @pytest.mark.parametrize(
        "order",
        [
            [
                ".azureml/config.json",
                "../.azureml/config.json",
                "aml_config/config.json",
                "../aml_config/config.json",
                "config.json",
                "../config.json",
            ],
            [".azureml/project.json", "../.azureml/config.json"],
            [".azureml/config.json", ".azureml/project.json"],
        ],
    )
    def test_search_order(self, tmp_path, order):
        deep = tmp_path / "project" / "deep"
        for number, path in reversed(list(enumerate(order))):
            write(deep / path, {**AZURE, "workspace_name": f"ws{number}"})
            assert Workspace.from_config().name == f"ws{number}"
            assert Workspace.from_config(path=".").name == f"ws{number}"

    def test_a_file(self, tmp_path):
        path = write(tmp_path / "any.json")
        assert Workspace.from_config(path).name == Workspace.from_config(str(path), auth=object()).name == "team"

    def test_another_file_name(self, tmp_path):
        write(tmp_path / "project" / ".azureml" / "prod.json")
        assert Workspace.from_config(_file_name="prod.json").name == "team"

    def test_older_form(self, tmp_path):
        scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/old_one"
        write(tmp_path / "project" / "aml_config" / "project.json", {"Scope": scope})
        ws = Workspace.from_config()
        assert (ws.name, ws.subscription_id, ws.resource_group) == ("old_one", "s", "g")

    def test_no_file_anywhere_is_the_local_one(self, capsys):
        ws = Workspace.from_config()
        assert (ws.name, ws.location) == ("local", "local")
        assert capsys.readouterr().err == "mlflows: no config.json here or above, so this is the workspace 'local' on this machine\n"

    def test_a_config_of_something_else_is_not_one(self, tmp_path):
        write(tmp_path / "project" / "deep" / "config.json", {"learning_rate": 0.1})
        write(tmp_path / "project" / "config.json", "not json {")
        assert Workspace.from_config().name == "local"

    def test_servers(self, tmp_path):
        servers = {"prefect_api_url": "http://p:4200/api", "mlflow_tracking_uri": "http://m:5000"}
        path = write(tmp_path / "config.json", servers)
        ws = Workspace.from_config(path)
        assert ws.name == "local" and ws._server_settings() == servers
        assert ws.get_mlflow_tracking_uri() == "http://m:5000" and ws._prefect().base_url == "http://p:4200/api"
        assert Workspace.get("local")._server_settings() == servers
        write(path, AZURE)
        assert Workspace.from_config(path)._server_settings() == {}

    @pytest.mark.parametrize("path", ["missing", 3, ""])
    def test_a_path_that_does_not_exist(self, path):
        with pytest.raises(UserErrorException, match="path: .* does not exist"):
            Workspace.from_config(path)

    def test_an_explicit_folder_without_a_file(self, tmp_path):
        with pytest.raises(
            UserErrorException,
            match=r"there is no .azureml/config.json or .* in .*project or above it. Write one with Workspace.write_config",
        ):
            Workspace.from_config(tmp_path / "project")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "is not valid JSON"),
            ("[]", "does not hold a JSON object"),
            ({"subscription_id": "s"}, "workspace_name is missing"),
            ({"workspace_name": ""}, "workspace_name is missing"),
            ({"workspace_name": 3}, "workspace_name must be a string, not 3"),
            ({"workspace_name": "team", "mlflow_tracking_uri": 5000}, "mlflow_tracking_uri must be a string, not 5000"),
            ({"workspace_name": "team", "container_registry": "host:5000"}, "container_registry is not the description of a registry"),
            ({"workspace_name": "team", "container_registry": {}}, "container_registry is not the description of a registry"),
            (
                {"workspace_name": "team", "container_registry": {"address": "host", "password": "canary"}},
                r'unknown keys: password. Write {"address": "host:port/path", "credentials": ',
            ),
            ({"workspace_name": "../x"}, "'../x' is not the name of a workspace"),
        ],
    )
    def test_a_bad_file(self, tmp_path, content, message):
        write(tmp_path / "project" / ".azureml" / "config.json", content)
        with pytest.raises(UserErrorException, match=message):
            Workspace.from_config()


class TestNames:
    @pytest.mark.parametrize("name", ["", "ab", "x" * 34, "a b c", "a/b", "..", "-abc", "wörk", None, 3])
    def test_bad(self, name):
        for call in (lambda: Workspace("s", "g", name), lambda: Workspace.get(name), lambda: Workspace.create(name)):
            with pytest.raises(UserErrorException, match="workspace_name: .* 3 to 33 letters"):
                call()

    @pytest.mark.parametrize("name", ["abc", "My_Team-1", "1ab", "local", "x" * 33])
    def test_good(self, name):
        assert Workspace.get(name).name == name

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"subscription_id": 3}, "subscription_id: expected a string"),
            ({"resource_group": ["x"]}, "resource_group: expected a string"),
            ({"tags": "a"}, "tags: expected a dict"),
            ({"sku": 3}, "sku: expected a string"),
        ],
    )
    def test_other_arguments(self, arguments, message):
        with pytest.raises(UserErrorException, match=message):
            Workspace(**{"subscription_id": "s", "resource_group": "g", "workspace_name": "team", **arguments})


class TestAttributes:
    def test_never_none(self):
        ws = Workspace.get("team")
        for value in (ws.name, ws.subscription_id, ws.resource_group, ws.location, ws.sku, ws._workspace_name, repr(ws)):
            assert isinstance(value, str) and value
        assert ws.tags == {} and all(value is not None for value in ws.get_details().values())

    def test_given_ones_stay(self):
        Workspace("sub", "group", "team", _location="westeurope", tags={"a": 1})
        ws = Workspace.get("team")
        assert (ws.subscription_id, ws.resource_group, ws.location, ws.tags) == ("sub", "group", "westeurope", {"a": "1"})
        assert ws.get_details()["id"] == "/subscriptions/sub/resourceGroups/group/workspaces/team"

    def test_compute_targets_and_default_datastore(self):
        ws = Workspace.get("team")
        assert list(ws.compute_targets) == ["local"] and "gpu" not in ws.compute_targets
        ws.set_default_datastore("workspaceblobstore")
        assert ws.get_default_datastore().name == "workspaceblobstore"

    def test_what_nothing_can_be_in_yet(self):
        ws = Workspace.get("team")
        for mapping in (ws.webservices, ws.images, ws.linked_services, ws.private_endpoints):
            assert mapping == {} and mapping.get("x") is None
        with pytest.raises(KeyError):
            ws.images["x"]

    @pytest.mark.parametrize("name", ["list_keys", "discovery_url", "service_context", "diagnose_workspace"])
    def test_what_only_azure_has_is_said(self, name):
        ws = Workspace.get("team")
        with pytest.raises(AttributeError, match=f"Workspace.{name} is a matter of Azure's service"):
            getattr(ws, name)
        assert not hasattr(ws, "no_such_thing")

    @pytest.mark.parametrize("kind", ["CPU", "gpu"])
    def test_default_compute_target(self, kind):
        assert Workspace.get("team").get_default_compute_target(kind).name == "local"

    @pytest.mark.parametrize("kind", ["TPU", None, 3])
    def test_bad_default_compute_target(self, kind):
        with pytest.raises(ValueError, match="neither 'CPU' nor 'GPU'"):
            Workspace.get("team").get_default_compute_target(kind)

    def test_opening_starts_nothing(self, home):
        Workspace.get("team")
        assert not (home / "services").exists()


class TestLife:
    def test_create(self):
        Workspace.create("team", subscription_id="s", resource_group="g", location="l", friendly_name="The Team", show_output=False)
        assert Workspace.get("team").get_details()["friendlyName"] == "The Team"
        with pytest.raises(WorkspaceException, match="'team' exists already. Give exist_ok=True"):
            Workspace.create("team")
        assert Workspace.create("team", exist_ok=True, show_output=False).location == "l"

    def test_list(self):
        Workspace("s1", "g", "one")
        Workspace("s2", "g", "two")
        assert sorted(Workspace.list()) == ["one", "two"] and list(Workspace.list("s1")) == ["one"]
        assert Workspace.list("s1", resource_group="other") == {} and Workspace.list("s2")["two"][0].name == "two"

    def test_write_config(self, tmp_path):
        Workspace("s", "g", "team").write_config()
        written = json.loads((tmp_path / "project" / "deep" / ".azureml" / "config.json").read_text())
        assert written == {"subscription_id": "s", "resource_group": "g", "workspace_name": "team"}
        assert Workspace.from_config().name == "team"
        Workspace.get("team").write_config(path=tmp_path, file_name="other.json")
        assert (tmp_path / ".azureml" / "other.json").is_file()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [({"path": "missing"}, "path: 'missing' is not a folder"), ({"path": 3}, "path: 3"), ({"file_name": "a/b"}, "file_name: 'a/b'")],
    )
    def test_bad_write_config(self, arguments, message):
        with pytest.raises(UserErrorException, match=message):
            Workspace.get("team").write_config(**arguments)

    def test_update(self):
        details = Workspace.get("team").update(description="d", tags={"x": 1}, image_build_compute="cpu")
        assert (details["description"], Workspace.get("team").tags) == ("d", {"x": "1"})
        with pytest.raises(UserErrorException, match="friendly_name: expected a string"):
            Workspace.get("team").update(friendly_name=3)

    def test_delete(self, home):
        ws = Workspace.get("team")
        store_of("team").mkdir(parents=True)
        ws.delete()
        assert Workspace.list() == {} and store_of("team").is_dir()
        Workspace.get("team").delete(delete_dependent_resources=True)
        assert not os.path.exists(home / "workspaces" / "team")

    def test_setup(self, capsys):
        Workspace.setup()
        assert "from_config" in capsys.readouterr().out


def test_headers_of_a_prefect_server(monkeypatch, tmp_path):
    from mlflows import settings

    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "none.toml"))
    for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    assert settings.prefect_headers() == {}
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pass")
    assert settings.prefect_headers() == {"Authorization": "Basic YWRtaW46cGFzcw=="}
    monkeypatch.setenv("PREFECT_API_KEY", "key")
    assert settings.prefect_headers() == {"Authorization": "Bearer key"}
