"""Reading events while they are written."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mlflows.history.spool import Spool, SpoolFile


def line(number: int, text: str = "") -> bytes:
    return json.dumps({"t": number, "e": "metric", "name": text, "value": number}).encode() + b"\n"


def numbers(events: object) -> list[int]:
    return [event.body["t"] for event in events]  # type: ignore[attr-defined]


def test_a_line_without_its_end_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.jsonl"
    path.write_bytes(line(1) + line(2)[:-5])
    file = SpoolFile(path)
    assert numbers(file.events()) == [1]
    assert file.offset == len(line(1))
    path.write_bytes(line(1) + line(2))
    assert numbers(file.events()) == [2]


def test_a_last_line_without_newline_counts_once_nobody_writes(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.jsonl"
    path.write_bytes(line(1) + line(2)[:-1])
    file = SpoolFile(path)
    assert numbers(file.events(ended=True)) == [1, 2]
    assert numbers(file.events(ended=True)) == []
    path.write_bytes(line(1)[:-4])
    torn = SpoolFile(path)
    assert numbers(torn.events(ended=True)) == []
    assert torn.offset == 0


def test_what_follows_a_torn_line_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.jsonl"
    path.write_bytes(line(1)[:20] + line(2) + b"\n" + b"not json\n[1]\n{}\n" + line(3))
    assert numbers(SpoolFile(path).events()) == [2, 3]


def test_new_ranks_are_found_and_offsets_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "events")
    assert list(spool.events()) == []
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "rank-1.jsonl").write_bytes(line(1))
    assert numbers(spool.events()) == [1]
    before = spool.look()
    (tmp_path / "events" / "rank-0.jsonl").write_bytes(line(2) + b"{")
    assert spool.look() != before
    assert numbers(spool.events()) == [2]
    assert spool.offsets() == {"rank-0.jsonl": len(line(2)), "rank-1.jsonl": len(line(1))}
    assert spool.unread() == 1
    again = Spool(tmp_path / "events", {"rank-1.jsonl": len(line(1))})
    assert numbers(again.events()) == [2]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=30), max_size=30), cuts=st.lists(st.integers(0, 2500), max_size=12), start=st.integers(0, 29))
def test_any_way_of_writing_gives_every_event_once(tmp_path_factory: object, texts: list[str], cuts: list[int], start: int) -> None:
    """The writer is seen at arbitrary bytes; the reader may begin anew at any offset it told."""
    path = tmp_path_factory.mktemp("spool") / "rank-0.jsonl"  # type: ignore[attr-defined]
    lines = [line(number, text) for number, text in enumerate(texts)]
    whole = b"".join(lines)
    file, seen = SpoolFile(path), []
    for cut in sorted(cut for cut in cuts if cut < len(whole)):
        path.write_bytes(whole[:cut])
        seen += list(file.events())
    path.write_bytes(whole)
    seen += list(file.events())
    assert numbers(seen) == list(range(len(lines)))
    offset = seen[start].end if start < len(seen) else 0
    assert numbers(SpoolFile(path, offset).events()) == list(range(start + 1 if offset else 0, len(lines)))
