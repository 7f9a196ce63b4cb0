"""From a JobSpec to a finished run, as a Prefect flow; and the local services that carry it.

``services`` and ``handoff`` need only the standard library: they are the submitting side.
"""
