"""`nengliu registry` and `nengliu rejects`: what they print, and their exit codes."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


def test_import_export_check_and_their_exit_codes(nengliu, registry_folder, tmp_path):
    checked = nengliu("registry", "check", registry_folder, "--json")
    assert (checked.returncode, json.loads(checked.stdout)["site"]["new"]) == (0, 2)
    done = nengliu("registry", "import", registry_folder, "--json")
    assert (done.returncode, json.loads(done.stdout)["version"]) == (0, 1)
    again = nengliu("registry", "import", registry_folder)
    assert (again.returncode, "nothing changed" in again.stdout) == (0, True)
    exported = nengliu("registry", "export", tmp_path / "out", "--json")
    assert json.loads(exported.stdout) == {
        "sites.csv": 2,
        "points.csv": 4,
        "installations.csv": 5,
        "quotas.csv": 0,
        "contacts.csv": 0,
        "rules.csv": 0,
    }
    assert json.loads(nengliu("registry", "import", tmp_path / "out", "--json").stdout)["version"] is None


def test_a_wrong_file_is_named_with_its_line_and_no_traceback(nengliu, tmp_path):
    (tmp_path / "sites.csv").write_text("site_code,nom\n")
    for command, code in (("import", 2), ("check", 1)):
        wrong = nengliu("registry", command, tmp_path)
        assert wrong.returncode == code
        assert "sites.csv:1: column 'nom' is not known" in wrong.stderr + wrong.stdout
        assert "Traceback" not in wrong.stderr


def test_a_folder_can_be_checked_without_a_database(nengliu, registry_folder):
    checked = nengliu(
        "registry", "check", registry_folder, "--json", NENGLIU_DATABASE_URL="postgresql://x@127.0.0.1:1/x"
    )
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["installation"]["new"] == 5
    assert "empty registry" in checked.stderr


def test_rejects_are_counted_and_shown_with_their_bytes(nengliu, feed, pipeline):
    feed.send("gw1", ("nobody", "1.8.0", 1_400_000_000_000_000, 1.25, False), seq=1, outbox="o")
    (group,) = json.loads(nengliu("rejects", "list", "--json").stdout)
    assert (group["gateway"], group["reason"], group["count"]) == ("gw1", "unknown_meter", 1)
    shown = json.loads(nengliu("rejects", "show", group["newest_id"], "--json").stdout)
    assert json.loads(shown["payload"])["readings"][0]["values"] == {"1.8.0": 1.25}
    assert "unknown_meter" in nengliu("rejects", "show", group["newest_id"]).stdout
    assert json.loads(nengliu("rejects", "list", "--gateway", "other", "--json").stdout) == []
    missing = nengliu("rejects", "show", 999999)
    assert (missing.returncode, "Traceback" in missing.stderr) == (1, False)
