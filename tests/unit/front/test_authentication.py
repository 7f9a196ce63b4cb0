import pytest

from mlflows.authentication import (
    AbstractAuthentication,
    ArcTokenAuthentication,
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
    TokenAuthentication,
)
from mlflows.exceptions import AuthenticationException


@pytest.mark.parametrize(
    "made",
    [
        InteractiveLoginAuthentication(force=True, tenant_id="t"),
        AzureCliAuthentication(),
        ServicePrincipalAuthentication("t", "id", "hunter2"),
        ServicePrincipalAuthentication(tenant_id="t", service_principal_id="i", service_principal_password="hunter2"),
        MsiAuthentication(identity_config={"client_id": "x"}),
        ArcTokenAuthentication(),
        TokenAuthentication(lambda audience: "token"),
    ],
)
def test_accepted_and_without_effect(made):
    assert isinstance(made, AbstractAuthentication)
    assert {**made.get_authentication_header(), "Content-Type": "application/json"} == {"Content-Type": "application/json"}
    assert "hunter2" not in repr(made) + str(vars(made))


def test_token_of_the_callers_function():
    assert TokenAuthentication(lambda audience: f"for {audience}").get_token("x") == "for x"


def test_not_a_function():
    with pytest.raises(AuthenticationException, match="get_token_for_audience: expected a function of the audience, got 'token'"):
        TokenAuthentication("token")
