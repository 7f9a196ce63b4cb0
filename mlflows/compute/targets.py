"""Compute targets: names for places where scripts run.

In this version every target is this machine. Creating a cluster gives its name to this machine, so that a script that makes its
cluster first runs unchanged, and says so.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from mlflows.data import workspace_file
from mlflows.exceptions import ComputeTargetException, UserErrorException

LOCAL = "local"
RESERVED = ("amlcompute", "local", "containerinstance")
"""Names SDK v1 keeps for itself."""

_NODE_STATES = ("idleNodeCount", "leavingNodeCount", "preemptedNodeCount", "preparingNodeCount", "runningNodeCount", "unusableNodeCount")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,31}(?<!-)")


class HasName(Protocol):
    """What a target needs of its workspace."""

    @property
    def name(self) -> str:
        """The workspace's name."""


class ProvisioningConfiguration(NamedTuple):
    """What a person wishes a cluster to be; kept with the name, for people to read.

    Passwords and keys are checked and dropped.
    """

    vm_size: str = ""
    vm_priority: str = "dedicated"
    min_nodes: int = 0
    max_nodes: int | None = None
    idle_seconds_before_scaledown: int = 1800
    tags: Mapping[str, str] = MappingProxyType({})
    description: str | None = None
    location: str | None = None
    kind: str = "AmlCompute"


class AmlComputeStatus:
    """State of a target, as ``serialize()`` gives it to be printed."""

    def __init__(self, target: ComputeTarget) -> None:
        self._target = target
        self.provisioning_state = target.provisioning_state
        self.allocation_state = "Steady"
        self.current_node_count = 1
        self.target_node_count = 1
        self.node_state_counts = {name: int(name == "idleNodeCount") for name in _NODE_STATES}
        self.vm_size = target.vm_size
        self.vm_priority = str(target._record.get("vm_priority", "dedicated"))
        self.errors: list[str] = []

    def serialize(self) -> dict[str, Any]:
        """As JSON values, with SDK v1's keys."""
        return {
            "currentNodeCount": self.current_node_count,
            "targetNodeCount": self.target_node_count,
            "nodeStateCounts": dict(self.node_state_counts),
            "allocationState": self.allocation_state,
            "provisioningState": self.provisioning_state,
            "errors": self.errors or None,
            "vmSize": self.vm_size,
            "vmPriority": self.vm_priority,
            "scaleSettings": {
                "minNodeCount": self._target._record.get("min_nodes", 0),
                "maxNodeCount": self._target._record.get("max_nodes") or 1,
            },
        }


class ComputeTarget:
    """A place where scripts run. ``ComputeTarget(workspace, name)`` is the one of this name, of its own class.

    Raises:
        ComputeTargetException: there is none; its message has ComputeTargetNotFound and names those that exist.
    """

    type: ClassVar[str] = "Local"
    _record: dict[str, Any]

    def __new__(cls, workspace: HasName, name: str) -> ComputeTarget:
        """Find it."""
        found = targets_of(workspace)
        if not isinstance(name, str) or name not in found:
            raise ComputeTargetException(
                f"ComputeTargetNotFound: workspace {workspace.name!r} has no compute target {name!r}. There are: "
                f"{', '.join(sorted(found))}. ComputeTarget.create makes one."
            )
        return found[name]

    def __init__(self, workspace: HasName, name: str) -> None:
        """Everything was done by ``__new__``."""

    @classmethod
    def _make(cls, workspace: HasName, name: str, record: dict[str, Any]) -> ComputeTarget:
        target = object.__new__(cls)
        target.workspace = workspace
        target.name = name
        target._record = record
        return target

    workspace: HasName
    name: str

    @staticmethod
    def create(workspace: HasName, name: str, provisioning_configuration: ProvisioningConfiguration) -> ComputeTarget:
        """Give the name to this machine; one that exists is returned as it is.

        Raises:
            UserErrorException: the name is reserved or malformed.
            ComputeTargetException: ``provisioning_configuration`` is not one.
        """
        _check_workspace(workspace)
        _check_name(name)
        if not isinstance(provisioning_configuration, ProvisioningConfiguration):
            raise ComputeTargetException(
                f"provisioning_configuration: expected the result of AmlCompute.provisioning_configuration(...), "
                f"got {provisioning_configuration!r}."
            )
        with workspace_file.changing(workspace.name) as record:
            targets = record.setdefault("compute_targets", {})
            known = name in targets
            stored = targets.setdefault(name, {**provisioning_configuration._asdict(), "tags": dict(provisioning_configuration.tags)})
        if not known:
            print(f"mlflows: compute target {name!r} is this machine from now on: its runs are local processes.", file=sys.stderr)
        return _of_record(workspace, name, stored)

    @staticmethod
    def attach(workspace: HasName, name: str, attach_configuration: Any) -> ComputeTarget:
        """No kind of target can be attached in this version.

        Raises:
            ComputeTargetException: always.
        """
        raise ComputeTargetException(
            f"{name!r} cannot be attached: this version runs scripts on this machine only. Use compute_target='local', or give the "
            "name to this machine with ComputeTarget.create(ws, name, AmlCompute.provisioning_configuration(...))."
        )

    @staticmethod
    def list(workspace: HasName) -> list[ComputeTarget]:
        """All targets of the workspace."""
        return [*targets_of(workspace).values()]

    @property
    def id(self) -> str:
        """Its path within the workspace."""
        return f"/workspaces/{self.workspace.name}/computes/{self.name}"

    @property
    def location(self) -> str:
        """Where it is: this machine."""
        return str(self._record.get("location") or LOCAL)

    @property
    def description(self) -> str:
        """What a person wrote about it; empty if nothing."""
        return str(self._record.get("description") or "")

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._record.get("tags") or {})

    @property
    def vm_size(self) -> str:
        """The machine size that was wished for; this machine is what it is."""
        return str(self._record.get("vm_size") or "")

    @property
    def provisioning_state(self) -> str:
        """``Succeeded``: a machine is there at once."""
        return "Succeeded"

    @property
    def status(self) -> AmlComputeStatus:
        """See get_status."""
        return self.get_status()

    @property
    def provisioning_errors(self) -> None:
        """None: nothing can fail."""
        return None

    def get_status(self) -> AmlComputeStatus:
        """Its state."""
        return AmlComputeStatus(self)

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return at once: there is nothing to wait for."""
        if show_output:
            print("Succeeded")

    def refresh_state(self) -> None:
        """Read its record again."""
        self._record = workspace_file.read(self.workspace.name).get("compute_targets", {}).get(self.name, self._record)

    def delete(self) -> None:
        """Take the name away from this machine; runs that are on it go on.

        Raises:
            ComputeTargetException: it is ``local``, which is always there.
        """
        if self.name == LOCAL:
            raise ComputeTargetException("'local' is this machine and cannot be deleted.")
        with workspace_file.changing(self.workspace.name) as record:
            record.get("compute_targets", {}).pop(self.name, None)

    detach = delete

    def serialize(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "location": self.location,
            "tags": self.tags,
            "properties": {"computeType": self.type, "description": self.description, "provisioningState": self.provisioning_state},
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace.name!r}, name={self.name!r}, type={self.type!r})"


class LocalTarget(ComputeTarget):
    """This machine, under its own name ``local``."""


class AmlCompute(ComputeTarget):
    """A cluster by name; this machine."""

    type = "AmlCompute"

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: int = 1800,
        admin_username: str | None = None,
        admin_user_password: str | None = None,
        admin_user_ssh_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: dict[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",
        identity_type: str | None = None,
        identity_id: str | None = None,
        location: str | None = None,
        enable_node_public_ip: bool = True,
    ) -> ProvisioningConfiguration:
        """What the cluster should be. Checked as SDK v1 checks it.

        Raises:
            ComputeTargetException: a value that contradicts another or is not allowed.
        """
        _check_login(admin_username, admin_user_password, admin_user_ssh_key)
        _check_together(vnet_resourcegroup_name=vnet_resourcegroup_name, vnet_name=vnet_name, subnet_name=subnet_name)
        _check_choice("vm_priority", vm_priority, ("dedicated", "lowpriority"))
        _check_choice("remote_login_port_public_access", remote_login_port_public_access, ("Enabled", "Disabled", "NotSpecified"))
        if identity_type is not None:
            _check_choice("identity_type", identity_type, ("SystemAssigned", "UserAssigned"))
        _check_nodes(min_nodes, max_nodes)
        _check_seconds(idle_seconds_before_scaledown)
        return ProvisioningConfiguration(
            _checked_size(vm_size),
            vm_priority.lower(),
            min_nodes,
            max_nodes,
            idle_seconds_before_scaledown,
            _tags(tags),
            description,
            location,
        )

    def wait_for_completion(  # type: ignore[override]  # SDK v1's own order of arguments
        self,
        show_output: bool = False,
        min_node_count: int | None = None,
        timeout_in_minutes: float = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Return at once: there is nothing to wait for."""
        super().wait_for_completion(show_output, is_delete_operation)

    @staticmethod
    def supported_vmsizes(workspace: HasName, location: str | None = None) -> list[dict[str, Any]]:
        """The one size there is: this machine's. Any ``vm_size`` is accepted."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        gpus = sum(1 for name in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", name))
        return [{"name": LOCAL, "vCPUs": os.cpu_count(), "gpus": gpus, "memoryGB": round(memory, 1)}]

    def list_nodes(self) -> list[dict[str, Any]]:
        """The one node there is, with SDK v1's keys."""
        return [
            {"nodeId": os.uname().nodename, "nodeState": "idle", "privateIpAddress": "127.0.0.1", "publicIpAddress": None, "port": None}
        ]

    def update(self, min_nodes: int | None = None, max_nodes: int | None = None, idle_seconds_before_scaledown: int | None = None) -> None:
        """Change what was wished for.

        Raises:
            ComputeTargetException: a bad value.
        """
        changes = {"min_nodes": min_nodes, "max_nodes": max_nodes, "idle_seconds_before_scaledown": idle_seconds_before_scaledown}
        changed = {**self._record, **{key: value for key, value in changes.items() if value is not None}}
        _check_nodes(changed["min_nodes"], changed["max_nodes"])
        _check_seconds(changed["idle_seconds_before_scaledown"])
        with workspace_file.changing(self.workspace.name) as record:
            record.setdefault("compute_targets", {})[self.name] = changed
        self._record = changed


class ComputeInstance(ComputeTarget):
    """A person's workstation by name; this machine."""

    type = "ComputeInstance"

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        ssh_public_access: bool = False,
        admin_user_ssh_public_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: dict[str, str] | None = None,
        description: str | None = None,
        assigned_user_object_id: str | None = None,
        assigned_user_tenant_id: str | None = None,
    ) -> ProvisioningConfiguration:
        """What the workstation should be.

        Raises:
            ComputeTargetException: a value that contradicts another or is not allowed.
        """
        _check_together(vnet_resourcegroup_name=vnet_resourcegroup_name, vnet_name=vnet_name, subnet_name=subnet_name)
        return ProvisioningConfiguration(
            _checked_size(vm_size), max_nodes=1, tags=_tags(tags), description=description, kind=ComputeInstance.type
        )

    def start(self, wait_for_completion: bool = False, show_output: bool = False) -> None:
        """Nothing to do: this machine runs."""

    restart = start

    def stop(self, wait_for_completion: bool = False, show_output: bool = False) -> None:
        """Nothing to do: this machine is not switched off."""


class KubernetesCompute(ComputeTarget):
    """A namespace of a cluster. Not in this version: attaching one says so."""

    type = "Kubernetes"

    @staticmethod
    def attach_configuration(
        resource_id: str | None = None,
        namespace: str | None = None,
        identity_type: str | None = None,
        identity_ids: list[str] | None = None,
    ) -> dict[str, Any]:
        """What should be attached."""
        return {"resource_id": resource_id, "namespace": namespace}


_CLASSES: dict[str, type[ComputeTarget]] = {AmlCompute.type: AmlCompute, ComputeInstance.type: ComputeInstance}


def targets_of(workspace: HasName) -> dict[str, ComputeTarget]:
    """All targets of a workspace by name; ``local`` is always there."""
    _check_workspace(workspace)
    records = workspace_file.read(workspace.name).get("compute_targets", {})
    named = {name: _of_record(workspace, name, record) for name, record in records.items()}
    return {LOCAL: LocalTarget._make(workspace, LOCAL, {}), **named}


def _of_record(workspace: HasName, name: str, record: dict[str, Any]) -> ComputeTarget:
    return _CLASSES.get(record.get("kind", ""), AmlCompute)._make(workspace, name, record)


def _check_workspace(workspace: Any) -> None:
    if not isinstance(getattr(workspace, "name", None), str):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"name: {name!r} is not the name of a compute target. Use 2 to 32 letters, digits and hyphens; a letter first, no hyphen last."
        )
    if name.lower() in RESERVED:
        raise UserErrorException(f"name: {name!r} is reserved ({', '.join(RESERVED)}). Choose another name.")


def _checked_size(vm_size: Any) -> str:
    if not isinstance(vm_size, (str, type(None))):
        raise ComputeTargetException(f"vm_size: expected a name such as 'STANDARD_D2_V2', got {vm_size!r}.")
    return vm_size or ""


def _check_choice(field_name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value.lower() not in [choice.lower() for choice in choices]:
        raise ComputeTargetException(f"{field_name}: {value!r} is not one of {', '.join(choices)}.")


def _check_login(username: Any, password: Any, ssh_key: Any) -> None:
    if (password or ssh_key) and not username:
        raise ComputeTargetException("admin_username: is missing; it is needed with a password or ssh key.")
    if username and not (password or ssh_key):
        raise ComputeTargetException("admin_user_password, admin_user_ssh_key: one of them is needed with admin_username.")


def _check_together(**values: Any) -> None:
    missing = [name for name, value in values.items() if not value]
    if missing and len(missing) < len(values):
        raise ComputeTargetException(f"{', '.join(missing)}: missing; {', '.join(values)} are given together or not at all.")


def _check_nodes(min_nodes: Any, max_nodes: Any) -> None:
    for field_name, value in (("min_nodes", min_nodes), ("max_nodes", max_nodes)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ComputeTargetException(f"{field_name}: {value!r} is not a number of nodes.")
    if min_nodes is not None and max_nodes is not None and min_nodes > max_nodes:
        raise ComputeTargetException(f"min_nodes: {min_nodes} is more than max_nodes, {max_nodes}.")


def _check_seconds(value: Any) -> None:
    if value is not None and (not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0):
        raise ComputeTargetException(f"idle_seconds_before_scaledown: {value!r} is not a number of seconds.")


def _tags(tags: Any) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise ComputeTargetException(f"tags: expected a dict of names and values, got {tags!r}.")
    return {str(key): str(value) for key, value in tags.items()}
