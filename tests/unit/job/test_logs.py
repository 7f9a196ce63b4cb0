"""What becomes of the output of a script."""

import os

import pytest


def bytes_of(job, name="std_log.txt"):
    return (job.folder / "user_logs" / name).read_bytes()


@pytest.mark.parametrize(
    "written",
    [b"", b"no newline", b"\xff\xfe\x00 not text\n", b"10%\r20%\r100%\n", b"x" * 1_000_000 + b"\n", b"crlf\r\n", b"\x1b[31mred\x1b[0m\n"],
    ids=["empty", "no newline", "invalid utf-8", "progress bar", "1 MB line", "crlf", "colours"],
)
def test_bytes_are_kept(job, written):
    (job.folder / "code" / "data").write_bytes(written)
    job.start(shell="cat data").status()
    assert bytes_of(job) == written


def test_order_of_both_outputs(job):
    text = "import os\nfor n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
    job.python_script(text).status()
    assert bytes_of(job).split() == [b"%d" % n for n in range(2000)]


def test_many_lines(job):
    job.python_script("for n in range(200000): print('line', n)", env={"PYTHONUNBUFFERED": ""}).status()
    lines = bytes_of(job).split(b"\n")
    assert len(lines) == 200001
    assert lines[199999] == b"line 199999"


def test_many_lines_of_several_ranks(job):
    text = "import os\nfor n in range(20000): print('line', n, 'of', os.environ['RANK'])"
    job.python_script(text, kind="pytorch", processes_per_node=2).status()
    for rank in range(2):
        expected = [f"line {n} of {rank}" for n in range(20000)]
        assert job.log(f"std_log_process_{rank}.txt").splitlines() == expected
        tag = f"[rank {rank}] "
        assert [line[len(tag) :] for line in job.log().splitlines() if line.startswith(tag)] == expected
    assert len(job.log().splitlines()) == 40000


@pytest.mark.parametrize(
    "written, merged",
    [
        (b"10%\r20%\r100%\n", b"[rank 0] 100%\n"),
        (b"10%\r20%\r100%", b"[rank 0] 100%\n"),
        (b"10%\r20%\r", b"[rank 0] 20%\n"),
        (b"one\r\ntwo\r\n", b"[rank 0] one\n[rank 0] two\n"),
        (b"\n\nthree\n", b"[rank 0] \n[rank 0] \n[rank 0] three\n"),
        (b"no newline", b"[rank 0] no newline\n"),
        (b"\xff\n", b"[rank 0] \xff\n"),
        (b"", b""),
    ],
)
def test_merged_log_has_whole_lines_in_their_final_state(job, written, merged):
    (job.folder / "code" / "data").write_bytes(written)
    job.start(shell='if [ "$RANK" = 0 ]; then cat data; fi', kind="pytorch", processes_per_node=2).status()
    assert bytes_of(job, "std_log_process_0.txt") == written
    assert bytes_of(job) == merged


def test_a_progress_bar_of_an_hour_does_not_pile_up(job):
    text = "import sys\nfor n in range(100000): sys.stdout.write('\\r%06d' % n + ' ' * 70)\nsys.stdout.write('\\rdone   \\n')"
    job.python_script(text, kind="pytorch", processes_per_node=2, env={"PYTHONUNBUFFERED": ""}).status()
    assert sorted(job.log().splitlines()) == ["[rank 0] done   ", "[rank 1] done   "]


def test_a_script_that_opens_its_outputs_by_name(job):
    """With the log file itself as stderr this would truncate it."""
    job.start(shell="echo one; echo two > /dev/stderr; echo three > /dev/stdout; echo four | tee /dev/stderr > /dev/null").status()
    assert job.log() == "one\ntwo\nthree\nfour\n"


def test_lines_are_there_at_once(job):
    job.start(shell="echo first; sleep 60")
    job.await_log("first\n", timeout=5)
    job.signal()
    job.status()


def test_tee(job, capfd):
    """In a container the log is also the container's own output."""
    job.start(shell="echo hello", tee=True).status()
    assert capfd.readouterr().out == "hello\n"
    assert job.log() == "hello\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    import subprocess

    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or subprocess.call(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], stderr=subprocess.DEVNULL):
        pytest.skip("mounting a small file system takes root")
    yield mount
    subprocess.call(["umount", "-l", str(mount)])


def test_full_disk(small_disk, request):
    """The script goes on, and how it ended is known."""
    job_class = type(request.getfixturevalue("job"))
    job = job_class(small_disk / "job")
    status = job.start(shell="head -c 3000000 /dev/zero; echo end >&2; exit 4").status(90)
    assert (status["state"], status["exit_code"]) == ("Failed", 4)
