import os
import socket

import pytest

from mlflows.compute.targets import AmlCompute, ComputeInstance, ComputeTarget, KubernetesCompute, LocalTarget, targets_of
from mlflows.exceptions import ComputeTargetException, UserErrorException


class Place:
    def __init__(self, name="team"):
        self.name = name


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))


CONFIG = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=4)


def test_the_idiom_of_half_of_all_scripts(capsys):
    ws, name = Place(), "gpu-cluster"
    try:
        target = ComputeTarget(workspace=ws, name=name)
        pytest.fail("found")
    except ComputeTargetException as error:
        assert "ComputeTargetNotFound" in error.message and "There are: local" in str(error)
        config = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", vm_priority="lowpriority", max_nodes=4, tags={"a": 1})
        target = ComputeTarget.create(ws, name, config)
        target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    status = target.get_status().serialize()
    assert status["provisioningState"] == "Succeeded" and status["vmSize"] == "STANDARD_NC6" and status["vmPriority"] == "lowpriority"
    assert status["scaleSettings"] == {"minNodeCount": 0, "maxNodeCount": 4} and status["nodeStateCounts"]["idleNodeCount"] == 1
    told = capsys.readouterr()
    assert told.err == "mlflows: compute target 'gpu-cluster' is this machine from now on: its runs are local processes.\n"
    assert told.out == "Succeeded\n"
    again = ComputeTarget(workspace=ws, name=name)
    assert type(again) is AmlCompute and (again.type, again.name, again.tags) == ("AmlCompute", name, {"a": "1"})


def test_creating_again_is_quiet_and_keeps_the_first(capsys):
    ComputeTarget.create(Place(), "cpu", CONFIG)
    capsys.readouterr()
    again = ComputeTarget.create(Place(), "cpu", AmlCompute.provisioning_configuration(vm_size="other"))
    assert again.vm_size == "STANDARD_NC6" and capsys.readouterr().err == ""


def test_local_is_always_there():
    assert list(targets_of(Place())) == ["local"]
    local = ComputeTarget(Place(), "local")
    assert isinstance(local, LocalTarget) and local.type == "Local" and local.provisioning_state == "Succeeded"
    assert local.get_status().serialize()["errors"] is None and local.provisioning_errors is None
    with pytest.raises(ComputeTargetException, match="cannot be deleted"):
        local.delete()


def test_list_delete_and_other_workspaces():
    target = ComputeTarget.create(Place(), "cpu", CONFIG)
    assert [each.name for each in ComputeTarget.list(Place())] == ["local", "cpu"]
    assert list(targets_of(Place("other"))) == ["local"]
    target.delete()
    assert list(targets_of(Place())) == ["local"]


def test_update():
    target = ComputeTarget.create(Place(), "cpu", CONFIG)
    target.update(min_nodes=1, max_nodes=2)
    assert ComputeTarget(Place(), "cpu").get_status().serialize()["scaleSettings"] == {"minNodeCount": 1, "maxNodeCount": 2}
    with pytest.raises(ComputeTargetException, match="min_nodes: 5 is more than max_nodes, 2"):
        target.update(min_nodes=5)


def test_nodes_and_sizes():
    [node] = ComputeTarget.create(Place(), "cpu", CONFIG).list_nodes()
    assert node["nodeId"] == socket.gethostname() and node["nodeState"] == "idle"
    [size] = AmlCompute.supported_vmsizes(Place())
    assert size["name"] == "local" and size["vCPUs"] == os.cpu_count() and size["memoryGB"] > 0 and size["gpus"] >= 0


def test_attributes_are_text():
    target = ComputeTarget.create(Place(), "cpu", CONFIG)
    target.refresh_state()
    for value in (target.id, target.location, target.description, target.vm_size, repr(target), target.status.allocation_state):
        assert isinstance(value, str)
    assert target.serialize()["properties"]["computeType"] == "AmlCompute"


@pytest.mark.parametrize("name", ["amlcompute", "local", "Local", "containerinstance"])
def test_reserved_names(name):
    with pytest.raises(UserErrorException, match=f"name: '{name}' is reserved"):
        ComputeTarget.create(Place(), name, CONFIG)


@pytest.mark.parametrize("name", ["", "a", "1abc", "a_b", "abc-", "x" * 33, "a/b", None, 3])
def test_bad_names(name):
    with pytest.raises(UserErrorException, match="name: .* 2 to 32 letters"):
        ComputeTarget.create(Place(), name, CONFIG)


@pytest.mark.parametrize("config", [None, {}, "STANDARD_D2"])
def test_bad_provisioning_configuration(config):
    with pytest.raises(ComputeTargetException, match="provisioning_configuration: expected"):
        ComputeTarget.create(Place(), "cpu", config)


@pytest.mark.parametrize("workspace", [None, "team"])
def test_bad_workspace(workspace):
    for call in (
        lambda: ComputeTarget(workspace, "x"),
        lambda: ComputeTarget.create(workspace, "xx", CONFIG),
        lambda: ComputeTarget.list(workspace),
    ):
        with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
            call()


def test_attach_says_what_to_do():
    with pytest.raises(ComputeTargetException, match="'k8s' cannot be attached.*compute_target='local'"):
        ComputeTarget.attach(Place(), "k8s", object())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vm_priority": "spot"}, "vm_priority: 'spot' is not one of dedicated, lowpriority"),
        ({"vm_priority": None}, "vm_priority: None"),
        ({"vm_size": 3}, "vm_size: "),
        ({"min_nodes": -1}, "min_nodes: -1"),
        ({"max_nodes": "4"}, "max_nodes: '4'"),
        ({"max_nodes": True}, "max_nodes: True"),
        ({"min_nodes": 3, "max_nodes": 2}, "min_nodes: 3 is more"),
        ({"idle_seconds_before_scaledown": "x"}, "idle_seconds_before_scaledown: 'x'"),
        ({"admin_user_password": "p"}, "admin_username: is missing"),
        ({"admin_user_ssh_key": "k"}, "admin_username: is missing"),
        ({"admin_username": "u"}, "admin_user_password, admin_user_ssh_key"),
        ({"vnet_name": "v"}, "vnet_resourcegroup_name, subnet_name: missing"),
        ({"tags": ["a"]}, "tags: "),
        ({"remote_login_port_public_access": "yes"}, "remote_login_port_public_access: 'yes'"),
        ({"identity_type": "x"}, "identity_type: 'x'"),
    ],
)
def test_bad_provisioning_arguments(arguments, message):
    with pytest.raises(ComputeTargetException, match=message):
        AmlCompute.provisioning_configuration(**arguments)


def test_unknown_provisioning_argument():
    with pytest.raises(TypeError):
        AmlCompute.provisioning_configuration(ssh_public_access_enabled=True)


def test_passwords_are_not_kept(tmp_path):
    config = AmlCompute.provisioning_configuration(admin_username="u", admin_user_password="hunter2")
    ComputeTarget.create(Place(), "cpu", config)
    assert "hunter2" not in (tmp_path / "home" / "workspaces" / "team" / "workspace.json").read_text()


def test_compute_instance():
    config = ComputeInstance.provisioning_configuration(vm_size="STANDARD_D3_V2", ssh_public_access=False)
    ComputeTarget.create(Place(), "my-box", config).wait_for_completion(show_output=False)
    found = ComputeTarget(Place(), "my-box")
    assert type(found) is ComputeInstance and found.type == "ComputeInstance" and found.provisioning_state == "Succeeded"
    found.stop()
    found.start()
    with pytest.raises(ComputeTargetException, match="vm_size: "):
        ComputeInstance.provisioning_configuration(vm_size=3)
    with pytest.raises(ComputeTargetException, match="vnet_resourcegroup_name, subnet_name: missing"):
        ComputeInstance.provisioning_configuration(vnet_name="v")


def test_kubernetes_cannot_be_attached_yet():
    config = KubernetesCompute.attach_configuration(resource_id="/x", namespace="team")
    with pytest.raises(ComputeTargetException, match="'k8s' cannot be attached"):
        ComputeTarget.attach(Place(), "k8s", config)
