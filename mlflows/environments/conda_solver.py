"""A process of its own: solves conda packages and links them into a prefix, by py-rattler.

Reads what is asked as JSON from standard input, and prints a line for every step; ``error: ...`` last where something fails.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

WAIT_SECONDS = 900
"""For the solver: its hardest problems take a minute."""


async def make(asked: dict[str, Any]) -> None:
    """Solve and link."""
    import datetime

    import rattler

    config = rattler.ChannelConfig(asked["alias"], "/")
    channels = [rattler.Channel(channel, config) for channel in asked["channels"]]
    specs = [_parsed(spec) for spec in asked["specs"]]
    records = await rattler.solve(
        channels,
        specs,
        virtual_packages=rattler.VirtualPackage.detect(),
        timeout=datetime.timedelta(seconds=WAIT_SECONDS),
    )
    for record in sorted(records, key=lambda record: record.name.normalized):
        print(f" + {record.name.normalized} {record.version} {record.build}", flush=True)
    # conda runs link scripts, too; some packages are incomplete without
    await rattler.install(records, asked["prefix"], show_progress=False, execute_link_scripts=True)
    _forget(Path(asked["prefix"]), asked["hidden"])


def _parsed(spec: str) -> Any:
    import rattler

    try:
        return rattler.MatchSpec(spec)
    except Exception as error:  # of a class that the library shows only at run time
        raise ValueError(f"{spec!r}: {error}") from error


def _forget(prefix: Path, secrets: list[str]) -> None:
    """The records of the packages name the addresses they came from."""
    from urllib.parse import quote

    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    for path in prefix.glob("conda-meta/*.json") if forms else ():
        text = path.read_text(encoding="utf-8")
        for form in forms:
            text = text.replace(form, "****")
        path.write_text(text, encoding="utf-8")


def main() -> None:
    """Entry point of the process."""
    import asyncio  # 50 ms that only this process needs; others import the module for its text

    try:
        asyncio.run(make(json.load(sys.stdin)))
        code = 0
    except Exception as error:  # each step of rattler has errors of its own, all of them for a person
        print(f"error: {error}", flush=True)
        code = 1
    os._exit(code)  # a thread of rattler that is still at work when Python ends crashes it


if __name__ == "__main__":
    main()
