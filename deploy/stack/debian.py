"""A private tree of Debian 13 packages, installed without root: apt downloads, dpkg-deb unpacks, patchelf relinks.

One way for every distribution: the tree brings its own C library, so the host's release does not matter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.errors import InstallError
from deploy.stack.mirror import apt_user, find_keyring, find_mirror, run_apt

RELEASE = "trixie"
#: Raised when trees made before are to be made again.
RECIPE = 1
SERVERS = ("postgresql-17", "postgresql-17-timescaledb", "mosquitto", "mosquitto-clients", "prometheus")
MAVEN = ("maven",)

#: What the servers do without: told to apt as installed, so that it is not even downloaded.
_NOT_NEEDED = [
    "adduser",
    "base-passwd",
    "ca-certificates",
    "ca-certificates-java",
    "debconf",
    "default-jre-headless",
    "fonts-glyphicons-halflings",
    "init-system-helpers",
    "javascript-common",
    "libc-bin",
    "libc-l10n",
    "libio-pty-perl",
    "libipc-run-perl",
    "libjs-bootstrap",
    "libjs-bootstrap4",
    "libjs-d3",
    "libjs-eonasdan-bootstrap-datetimepicker",
    "libjs-jquery",
    "libjs-jquery-hotkeys",
    "libjs-moment",
    "libjs-moment-timezone",
    "libjs-mustache",
    "libjs-popper.js",
    "libjs-rickshaw",
    "libjson-perl",
    "libllvm19",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "libperl5.40",
    "libtext-charwidth-perl",
    "libtext-wrapi18n-perl",
    "locales",
    "login.defs",
    "netbase",
    "openjdk-21-jre-headless",
    "openssl",
    "passwd",
    "perl",
    "perl-base",
    "perl-modules-5.40",
    "postgresql-client-common",
    "postgresql-common",
    "postgresql-common-dev",
    "procps",
    "sensible-utils",
    "ssl-cert",
    "sysvinit-utils",
    "tzdata",
    "ucf",
    "util-linux",
]
_DROPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/postgresql/17/man",
    "usr/lib/postgresql/17/lib/bitcode",
    "usr/lib/postgresql/17/lib/llvmjit.so",
    "usr/lib/postgresql/17/lib/pgxs",
    "usr/lib/*/gconv",
    "usr/lib/*/perl*",
    "var/lib/apt",
)
_PATCHED = ("usr/lib/postgresql/17/bin/*", "usr/sbin/mosquitto", "usr/bin/mosquitto_*")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A machine architecture in Debian's words: name, folder of its libraries, dynamic loader."""

    name: str
    triplet: str
    loader: str


ARCHITECTURES = {
    "amd64": Architecture("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": Architecture("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


def host_architecture() -> Architecture:
    """This machine's architecture. Raises InstallError on one that the servers were never tried on."""
    for tool in ("dpkg", "apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise InstallError(
                f"`{tool}` is not on this host: the local stack installs its servers on Debian and Ubuntu only. "
                "Elsewhere use deploy/compose/, or point NENGLIU_DATABASE_URL, NENGLIU_KAFKA_BOOTSTRAP and "
                "NENGLIU_MQTT_URL at existing servers"
            )
    name = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise InstallError(
            f"this machine is {name}; the local stack runs on {' and '.join(ARCHITECTURES)}. "
            "Point NENGLIU_DATABASE_URL, NENGLIU_KAFKA_BOOTSTRAP and NENGLIU_MQTT_URL at existing servers"
        ) from None


@dataclass(frozen=True, slots=True)
class Apt:
    """A private apt: own state, own lists, only Debian's main archive of RELEASE."""

    folder: Path
    env: dict[str, str]

    @classmethod
    def prepare(cls, folder: Path, mirror_setting: str | None, architecture: Architecture) -> Apt:
        """Write its configuration under `folder` and fetch the package lists, unless that is done already."""
        config = folder / "apt.conf"
        apt = cls(folder, {**os.environ, "APT_CONFIG": str(config), "DEBIAN_FRONTEND": "noninteractive"})
        if (folder / "ready").exists():
            return apt
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        mirror, keyring = find_mirror(mirror_setting, folder), find_keyring(folder)
        (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {RELEASE} main\n")
        (folder / "status").write_text(
            "\n".join(
                f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture.name}\n"
                "Multi-Arch: foreign\nVersion: 99:99\nMaintainer: none\nDescription: left out\n"
                for name in _NOT_NEEDED
            )
        )
        config.write_text(_APT_CONF.format(folder=folder, user=apt_user()))
        run_apt(["apt-get", "update", "-q", "--error-on=any"], apt.env, folder)
        (folder / "ready").touch()
        return apt

    def download(self, packages: tuple[str, ...]) -> list[Path]:
        """Download `packages` and all they need; their archives."""
        archives = self.folder / packages[0]
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "install", "-q", "-y", "--download-only", "--no-remove"]
        run_apt([*command, "-o", f"Dir::Cache::archives={archives}", *packages], self.env, self.folder)
        return sorted(archives.glob("*.deb"))


_APT_CONF = """\
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "{user}";
APT::Default-Release "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Debug::NoLocking "true";
"""


def unpack(archives: list[Path], tree: Path, advance: Callable[[float, float], None]) -> None:
    """Unpack package archives into `tree`, merged /usr as Debian has it, without what no server reads."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(f"usr/{name}")
    for number, archive in enumerate(archives):
        advance(number, len(archives))
        _extract(archive, tree)
    for pattern in _DROPPED:
        for path in tree.glob(pattern):
            _remove(path)
    _relative_links(tree)


def _extract(archive: Path, tree: Path) -> None:
    """dpkg-deb's own -x would replace the links of merged /usr by folders, and as root keep owners and set-uid bits."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as source:
        done = subprocess.run(
            [
                "tar",
                "-x",
                "--no-same-owner",
                "--no-same-permissions",
                "--keep-directory-symlink",
                "-C",
                str(tree),
            ],
            stdin=source.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0 or source.returncode != 0:
        raise InstallError(f"cannot unpack {archive.name} into {tree}: {done.stderr.strip()[:500]}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _relative_links(tree: Path) -> None:
    """Turn links to absolute paths into links inside the tree."""
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = Path(folder, name)
            if path.is_symlink() and (target := os.readlink(path)).startswith("/"):
                path.unlink()
                path.symlink_to(os.path.relpath(tree / target.lstrip("/"), folder))


def relink(tree: Path, home: Path, architecture: Architecture, patchelf: Path) -> None:
    """Make the servers in `tree` use the C library that will lie under `home`, where the tree is moved to."""
    libraries = home / "usr/lib" / architecture.triplet
    command = [
        str(patchelf),
        "--set-interpreter",
        str(libraries / architecture.loader),
        "--force-rpath",
        "--set-rpath",
        str(libraries),
    ]
    programs = [p for pattern in _PATCHED for p in tree.glob(pattern) if _is_elf(p)]
    done = subprocess.run([*command, *map(str, programs)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"patchelf failed: {done.stderr.strip()[:500]}")


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as f:
        return f.read(4) == b"\x7fELF"
