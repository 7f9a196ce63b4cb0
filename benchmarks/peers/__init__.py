"""The peers: each module has ``NAME``, ``REQUIREMENTS``, ``PACKAGE`` and a context manager ``prepared(scratch, python)``.

``prepared`` writes what the peer needs into an empty folder, starts its services if it has any, and yields the ``Command`` that runs
the trivial script once, warm. Each runs it the way its own documents show for one machine.

Those that copy files (``s5cmd_cp``, ``s3fs_get``) have functions that give their command lines, with everything as it comes.
"""

TRIVIAL = 'print("first line")\n'
"""The script that everybody runs."""
