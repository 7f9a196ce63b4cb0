"""What is in a source directory: one pass over it, which opens no file."""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
from collections.abc import Callable, Iterable

from mlflows.data.ignore import ENVIRONMENT_MARKS, Rules, rules_of
from mlflows.exceptions import SnapshotException

Entry = tuple[str, int, int, int, int, int, "str | None"]
"""A file, a symbolic link or an empty folder: path, mode, size, mtime, ctime, inode, link.

A plain tuple, for there are tens of thousands of them. Times are nanoseconds; ``link`` is the target of a symbolic link, else None; the
path of a folder ends in a slash. Equal entries in two scans mean an unchanged file, except for one that was changed twice within the
resolution of the file system's clock.
"""


class Tree:
    """A scanned directory.

    ``excluded`` names what was left out without being asked to, ``skipped`` what is neither file nor link nor folder, with its kind.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self.excluded: list[str] = []
        self.skipped: list[str] = []

    def fingerprint(self) -> str:
        """Equal for two scans only if all entries are."""
        return hashlib.sha256(marshal.dumps(self.entries, 2)).hexdigest()


def scan(root: str, without: Iterable[str] = (), tick: Callable[[int], None] | None = None) -> Tree:
    """Scan a directory by the rules of its ignore file.

    Args:
        root: absolute, without symbolic links.
        without: absolute paths to leave out in any case (where snapshots are kept).
        tick: called after each folder with the number of entries so far.

    Raises:
        SnapshotException: a folder cannot be read, or a link leads to a folder outside.
    """
    scanner = _Scanner(root, {_below(root, path) for path in without}, tick)
    scanner.folder(root, "", 0)
    return scanner.tree


def _below(root: str, path: str) -> str:
    return os.path.relpath(os.path.realpath(path), root)


class _Scanner:
    def __init__(self, root: str, without: set[str], tick: Callable[[int], None] | None) -> None:
        self.tree = Tree(root)
        self._rules: Rules = rules_of(root)
        self._without = without
        self._tick = tick

    def folder(self, folder: str, prefix: str, above: int) -> None:
        entries = self.tree.entries
        before = len(entries)
        try:
            with os.scandir(folder) as found:
                folders, marked = self._files(found, prefix, above)
        except PermissionError as error:
            raise unreadable(folder) from error
        except FileNotFoundError:  # removed meanwhile
            return
        if marked and self._rules.detects_environments and prefix:
            del entries[before:]
            return self._leave_out(prefix, False)
        if self._tick is not None:
            self._tick(len(entries))
        for name, state in folders:
            self.folder(f"{folder}/{name}", f"{prefix}{name}/", state)
        if len(entries) == before and prefix and above not in self._rules.excluding:
            entries.append((prefix, stat.S_IFDIR | 0o755, 0, 0, 0, 0, None))

    def _files(self, found: Iterable[os.DirEntry[str]], prefix: str, above: int) -> tuple[list[tuple[str, int]], bool]:
        """Take in the files of a folder; its folders with their states, and whether it is an environment.

        A loop without calls where it can be: an unchanged folder costs nothing but this.
        """
        state_of, excluding, prunes, without = self._rules.state, self._rules.excluding, self._rules.prunes, self._without
        take_in, folders, marked = self.tree.entries.append, [], False
        for item in found:
            name = item.name
            path = prefix + name
            is_folder = item.is_dir(follow_symlinks=False)
            state = state_of(above, path, name, is_folder)
            if name in ENVIRONMENT_MARKS:
                marked = True
            if name == ".git" or path in without:
                continue
            if state in excluding and (prunes or not is_folder):
                self._leave_out(path, is_folder)
                continue
            if is_folder:
                folders.append((name, state))
                continue
            try:
                seen = item.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
            mode = seen.st_mode
            if mode & 0o170000 == stat.S_IFREG:
                take_in((path, mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, None))
            else:
                self._add_other(item.path, path, seen)
        return folders, marked

    def _leave_out(self, path: str, is_folder: bool) -> None:
        if self._rules.reports:
            self.tree.excluded.append(path + "/" if is_folder else path)

    def _add_other(self, full: str, path: str, found: os.stat_result) -> None:
        if stat.S_ISLNK(found.st_mode):
            self._add_link(full, path, found)
        else:
            self.tree.skipped.append(f"{path} ({_kind(found.st_mode)})")

    def _add_link(self, full: str, path: str, found: os.stat_result) -> None:
        """A link within the folder stays one; one to a file outside becomes that file, so that the code runs elsewhere too."""
        target = os.path.realpath(full)
        if target == self.tree.root or target.startswith(self.tree.root + "/"):
            link = os.readlink(full)
            if os.path.isabs(link) or _leaves(path, link):
                link = os.path.relpath(target, os.path.dirname(full))
            self.tree.entries.append(_entry(path, found, link))
        elif os.path.isdir(target):
            raise SnapshotException(
                f"{full} is a link to the folder {target} outside the source directory {self.tree.root}. "
                "Copy the folder into it, or list the link in .amlignore."
            )
        elif os.path.isfile(target):
            self.tree.entries.append(_entry(path, os.stat(target), None))
        else:
            self.tree.skipped.append(f"{path} (link to {target}, which is no file)")


def unreadable(path: str) -> SnapshotException:
    """The error for a file or folder that may not be read."""
    return SnapshotException(
        f"{path} cannot be read (permission denied), so the snapshot of the code would lack it. Make it readable, or list it in .amlignore."
    )


def _leaves(path: str, link: str) -> bool:
    """Whether the text of a link leads out, even if it comes back in by the folder's own name."""
    return os.path.normpath(os.path.join(os.path.dirname(path), link)).startswith("..")


def _entry(path: str, found: os.stat_result, link: str | None) -> Entry:
    return (path, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, link)


def _kind(mode: int) -> str:
    for test, name in ((stat.S_ISSOCK, "socket"), (stat.S_ISFIFO, "pipe"), (stat.S_ISBLK, "device"), (stat.S_ISCHR, "device")):
        if test(mode):
            return name
    return "special file"
