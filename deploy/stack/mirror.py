"""Where Debian packages and the key that signs them come from, on this host.

No address is written here: it is the setting debian_mirror, else that of the host's own Debian sources, else the
default that the host distribution's own `debootstrap` package names.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.stack.errors import InstallError

_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
_EXTRA_SUITE = re.compile(r"security|updates|backports|proposed|debug")
_ADVICE = "set NENGLIU_DEBIAN_MIRROR to the address of a Debian mirror"


def find_mirror(setting: str | None, work: Path, etc: Path = Path("/etc")) -> str:
    """The URI of a Debian mirror. `work`: a folder for what must be downloaded to know it."""
    if setting:
        return setting
    for uri in host_mirrors(etc):
        return uri
    return debootstrap_mirror(host_package("debootstrap", work))


def host_mirrors(etc: Path) -> Iterator[str]:
    """URIs of the Debian archives that the host's apt uses, those of its main suite first."""
    if not _is_debian(etc):
        return
    entries = [
        entry
        for file in [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]
        if file.is_file()
        for entry in _entries(file)
    ]
    yield from (uri for uri, suites in entries if any(not _EXTRA_SUITE.search(s) for s in suites))


def _is_debian(etc: Path) -> bool:
    release = etc / "os-release"
    return release.is_file() and re.search(r'^ID="?debian"?$', release.read_text(), re.MULTILINE) is not None


def _entries(file: Path) -> Iterator[tuple[str, list[str]]]:
    if file.suffix == ".list":
        yield from _one_line_entries(file.read_text())
    elif file.suffix == ".sources":
        yield from _deb822_entries(file.read_text())


def _one_line_entries(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if match and "main" in match[3].split():
            yield match[1], [match[2]]


def _deb822_entries(text: str) -> Iterator[tuple[str, list[str]]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^([\w-]+):\s*((?:.*)(?:\n[ \t].*)*)", "\n".join(lines), re.MULTILINE))
        fields = {name.lower(): value.split() for name, value in fields.items()}
        usable = "deb" in fields.get("types", []) and "main" in fields.get("components", [])
        if usable and fields.get("enabled", ["yes"]) != ["no"]:
            yield from ((uri, fields.get("suites", [])) for uri in fields.get("uris", []))


def debootstrap_mirror(tree: Path) -> str:
    """The default Debian mirror that an unpacked debootstrap package names in its scripts."""
    scripts = [tree / "usr/sbin/debootstrap", *sorted((tree / "usr/share/debootstrap/scripts").glob("*"))]
    for script in scripts:
        if script.is_file() and (
            match := re.search(r"""MIRROR=["']?(https?://[^"'\s]+/debian)/?["'\s]""", script.read_text())
        ):
            return match[1]
    raise InstallError(f"no Debian mirror is known on this host: {_ADVICE}")


def find_keyring(work: Path, share: Path = Path("/usr/share/keyrings")) -> Path:
    """The keyring that Debian's archive is signed with: the host's, else from its distribution's package."""
    for folder in (share, host_package("debian-archive-keyring", work) / "usr/share/keyrings"):
        for name in _KEYRINGS:
            if (folder / name).is_file():
                return folder / name
    raise InstallError("no Debian archive keyring on this host: install the package debian-archive-keyring")


def host_package(name: str, work: Path) -> Path:
    """Download package `name` of the host's own distribution, without root, and unpack it. Returns the tree."""
    state = work / "host"
    tree = work / name
    if tree.is_dir():
        return tree
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    config = state / "apt.conf"
    config.write_text(
        f'Dir::State::lists "{state}/lists";\nDir::Cache "{state}/cache";\nDebug::NoLocking "true";\n'
        f'APT::Sandbox::User "{apt_user()}";\nAcquire::Languages "none";\n'
    )
    env = {**os.environ, "APT_CONFIG": str(config)}
    run_apt(["apt-get", "update", "-q"], env, state)
    run_apt(["apt-get", "download", "-q", name], env, state)
    archive = next(state.glob(f"{name}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(archive), str(tree)], check=True)
    return tree


def run_apt(command: list[str], env: dict[str, str], cwd: Path) -> str:
    """Run an apt command and return what it printed; InstallError with its own words where it fails."""
    done = subprocess.run(
        command, env={**env, "LC_ALL": "C"}, cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = "\n".join(line for line in done.stderr.splitlines() if line.startswith(("E:", "W:", "Err:")))
        raise InstallError(
            f"`{' '.join(command[:2])}` failed; is the network there, and the mirror right ({_ADVICE})?\n{said}"
        )
    return done.stdout


def apt_user() -> str:
    """The user that apt downloads as: the caller, so that it may write the private folders."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
