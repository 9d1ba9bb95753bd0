"""What a statement can reach on this machine: the data folder, and nothing to run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")


def test_file_finds_names_in_the_folder_of_user_files(clickhouse: ClickHouse, http: Http) -> None:
    """A relative name is one of ``user_files``, to read and to write."""
    (clickhouse.data / "user_files" / "films.csv").write_text("7,Brazil\n")
    assert http.text("SELECT * FROM file('films.csv', 'CSV', 'a Int32, b String')") == "7\tBrazil"
    http.text("INSERT INTO FUNCTION file('out.csv', 'CSV', 'a Int32') SELECT 8")
    assert (clickhouse.data / "user_files" / "out.csv").read_text() == "8\n"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT file('{outside}')",
        "SELECT * FROM file('{outside}', 'LineAsString')",
        "SELECT * FROM url('file://{outside}', 'LineAsString')",
        "SELECT * FROM file('../../../../../../../../../..{outside}', 'LineAsString')",
        "SELECT * FROM file('user_files/link', 'LineAsString')",
        "SELECT * FROM sqlite('{outside}', 't')",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    ],
)
def test_nothing_else_is_read(clickhouse: ClickHouse, http: Http, tmp_path: Path, statement: str) -> None:
    """Neither by another function, nor through dots or a link."""
    outside = tmp_path / "secret.txt"
    outside.write_text("a secret\n")
    link = clickhouse.data / "user_files" / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    answer = http.post(statement.format(outside=outside))
    assert answer.status_code != 200
    assert "a secret" not in answer.text


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO FUNCTION file('{outside}', 'LineAsString', 'a String') SELECT 'x'",
        "INSERT INTO FUNCTION file('../../../../../../../../../..{outside}', 'LineAsString', 'a String') SELECT 'x'",
        "BACKUP DATABASE default TO File('{outside}')",
        "SELECT 1 INTO OUTFILE '{outside}'",
    ],
)
def test_nothing_else_is_written(http: Http, tmp_path: Path, statement: str) -> None:
    """No statement makes a file outside of the data folder."""
    outside = tmp_path / "written.txt"
    assert http.post(statement.format(outside=outside)).status_code != 200
    assert not outside.exists()


def test_no_program_is_run(clickhouse: ClickHouse, http: Http) -> None:
    """Even one that lies where the engine looks for scripts, and may be executed."""
    scripts, trace = clickhouse.data / "user_scripts", clickhouse.data / "user_files" / "ran"
    scripts.mkdir(exist_ok=True)
    script = scripts / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {trace}\necho ran\n")
    script.chmod(0o755)
    answer = http.post("SELECT * FROM executable('run.sh', 'TSV', 'a String')")
    assert answer.text != "ran\n"
    assert not trace.exists()
