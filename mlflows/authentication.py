"""SDK v1's ways to log in. Nothing here needs Azure: they are accepted wherever SDK v1 takes them, and do nothing.

Who may do what is decided by the Prefect and MLflow servers: ``PREFECT_API_KEY``, ``MLFLOW_TRACKING_USERNAME`` and the like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflows.exceptions import AuthenticationException


class AbstractAuthentication:
    """What all of them have in common."""

    def get_authentication_header(self) -> dict[str, str]:
        """Headers for a request to a service. Empty: services here ask for none, or have keys of their own."""
        return {}

    def get_token(self, audience: Any = None) -> str:
        """An access token. Empty: there is nothing to access with one."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class InteractiveLoginAuthentication(AbstractAuthentication):
    """A person at a browser."""

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None:
        """Accepted and not used."""


class AzureCliAuthentication(AbstractAuthentication):
    """Whoever ``az login`` logged in."""

    def __init__(self, cloud: str | None = None) -> None:
        """Accepted and not used."""


class ServicePrincipalAuthentication(AbstractAuthentication):
    """A program's account. The password is not kept."""

    def __init__(
        self,
        tenant_id: str,
        service_principal_id: str,
        service_principal_password: str,
        cloud: str = "AzureCloud",
        _enable_caching: bool = True,
    ) -> None:
        """Accepted and not used."""


class MsiAuthentication(AbstractAuthentication):
    """A machine's own account."""

    def __init__(self, cloud: str | None = None, **kwargs: Any) -> None:
        """Accepted and not used."""


class ArcTokenAuthentication(AbstractAuthentication):
    """A token of Azure Arc."""

    def __init__(self, cloud: str | None = None) -> None:
        """Accepted and not used."""


class TokenAuthentication(AbstractAuthentication):
    """Tokens from a function of the caller's.

    Raises:
        AuthenticationException: ``get_token_for_audience`` cannot be called.
    """

    def __init__(self, get_token_for_audience: Callable[[Any], str], cloud: str | None = None) -> None:
        if not callable(get_token_for_audience):
            raise AuthenticationException(f"get_token_for_audience: expected a function of the audience, got {get_token_for_audience!r}.")
        self._get_token = get_token_for_audience

    def get_token(self, audience: Any = None) -> str:
        """What the caller's function gives."""
        return self._get_token(audience)
