"""A conda channel made on the spot: a folder with packages of a few files, and repodata.json."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

PYTHON = "{}.{}".format(*sys.version_info[:2])


class Channel:
    """A channel in a folder; ``url`` is its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()
        self._records: dict[str, dict[str, Any]] = {"linux-64": {}, "noarch": {}}
        self._write()

    def add(self, name: str, version: str, files: dict[str, str | Path], *depends: str, noarch_python: bool = False) -> None:
        """A package; a file is given by its text, a link by the path it leads to."""
        subdir = "noarch" if noarch_python else "linux-64"
        index: dict[str, Any] = {
            **{"name": name, "version": version, "build": "0", "build_number": 0},
            **{"depends": list(depends), "subdir": subdir, "arch": None, "platform": None},
        }
        info = {"info/index.json": json.dumps(index), "info/paths.json": json.dumps({"paths_version": 1, "paths": _paths(files)})}
        if noarch_python:
            index["noarch"] = "python"
            info["info/index.json"] = json.dumps(index)
            info["info/link.json"] = json.dumps({"noarch": {"type": "python"}, "package_metadata_version": 1})
        path = self.folder / subdir / f"{name}-{version}-0.tar.bz2"
        with tarfile.open(path, "w:bz2") as archive:
            for member, content in {**info, **files}.items():
                _add(archive, member, content)
        data = path.read_bytes()
        self._records[subdir][path.name] = {**index, "md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
        self._records[subdir][path.name]["size"] = len(data)
        self._write()

    def add_python(self) -> None:
        """A package ``python`` that is this very interpreter: a link to it, which finds itself in a prefix as in a virtual environment."""
        base = Path(getattr(sys, "_base_executable", None) or sys.executable)
        files: dict[str, str | Path] = {
            "bin/python": base,
            f"bin/python{PYTHON}": base,
            "pyvenv.cfg": f"home = {base.parent}\ninclude-system-site-packages = false\n",
            f"lib/python{PYTHON}/site-packages/README.txt": "Packages.\n",
        }
        self.add("python", "{}.{}.{}".format(*sys.version_info[:3]), files)

    def _write(self) -> None:
        for subdir, records in self._records.items():
            (self.folder / subdir).mkdir(parents=True, exist_ok=True)
            repodata = {"info": {"subdir": subdir}, "packages": records, "packages.conda": {}, "repodata_version": 1}
            (self.folder / subdir / "repodata.json").write_text(json.dumps(repodata))


def _paths(files: dict[str, str | Path]) -> list[dict[str, Any]]:
    found = []
    for name, content in files.items():
        text = content if isinstance(content, str) else ""
        kind = "hardlink" if isinstance(content, str) else "softlink"
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        found.append({"_path": name, "path_type": kind, "sha256": sha256, "size_in_bytes": len(text.encode())})
    return found


def _add(archive: tarfile.TarFile, name: str, content: str | Path) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o755 if name.startswith("bin/") else 0o644
    if isinstance(content, Path):
        member.type, member.linkname = tarfile.SYMTYPE, str(content)
        archive.addfile(member)
        return
    data = content.encode()
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
