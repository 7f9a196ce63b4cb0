"""An installer notes beside a package from an address what that address was (direct_url.json, PEP 610): no secret may stay in it.

Also a program of its own, in images, by their python: Python 3.6 syntax, the standard library only.
"""

import json
import os
import sys
from pathlib import Path
from typing import Callable, List
from urllib.parse import quote, unquote

MASK = "****"


def mask(prefix: Path, masked: Callable[[str], str]) -> None:
    """Replace, in what is installed below a prefix, every such address by what ``masked`` makes of it."""
    for path in prefix.glob("lib*/python*/site-packages/*.dist-info/direct_url.json"):
        noted = json.loads(path.read_text(encoding="utf-8"))
        address = str(noted.get("url") or "")
        if masked(address) != address:
            noted["url"] = masked(address)
            temporary = path.with_suffix(".tmp")  # the file itself may be one of the installer's cache
            temporary.write_text(json.dumps(noted), encoding="utf-8")
            temporary.replace(path)


def without(secrets: List[str]) -> Callable[[str], str]:
    """What replaces these secrets, as they are and as an address has them."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), unquote(secret))}
    longest_first = sorted(forms, key=len, reverse=True)

    def masked(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, MASK)
        return text

    return masked


def main() -> None:
    """``direct_urls.py PREFIX VARIABLE...``: the variables have the secrets."""
    mask(Path(sys.argv[1]), without([os.environ.get(name, "") for name in sys.argv[2:]]))


if __name__ == "__main__":
    main()
