"""There is no telemetry; scripts may go on switching it off."""


def set_diagnostics_collection(send_diagnostics=True, verbose=None):
    # type: (bool, object) -> None
    """Nothing is collected, whatever is asked for."""
