"""Prometheus: what it scrapes, readiness."""

from __future__ import annotations

import urllib.error
import urllib.request

from deploy.stack.programs import Programs
from deploy.stack.site import NotReadyError, Process, Site, render

SCRAPED = ("bridge", "writer", "worker")


class Prometheus:
    """The metrics server."""

    name = "prometheus"
    title = "Prometheus"
    port_name = "prometheus"

    def prepare(self, site: Site, programs: Programs) -> Process:
        """Write prometheus.yml with the metrics ports of the services."""
        folder = site.state.make_server(self.name)
        config = folder / "prometheus.yml"
        digest = render(
            "prometheus/prometheus.yml.j2",
            config,
            address=site.address,
            port=site.ports[self.port_name],
            services=[(name, f"{site.address}:{site.ports[name]}") for name in SCRAPED],
        )
        command = ["setpriv", "--pdeathsig", "TERM", "--", str(programs.prometheus)]
        command += [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += ["--storage.tsdb.retention.time=30d", "--log.level=warn"]
        command += [f"--web.listen-address={site.settings.host}:{site.ports[self.port_name]}"]
        return Process(self.name, command, folder, 40, digest=digest)

    def probe(self, site: Site) -> None:
        """Ask /-/ready."""
        url = f"http://{site.address}:{site.ports[self.port_name]}/-/ready"
        http_ok(url)


def http_ok(url: str) -> bytes:
    """The body behind `url`; NotReadyError where it does not answer with 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            body: bytes = response.read()
            return body
    except (urllib.error.URLError, OSError) as e:
        raise NotReadyError(f"{url}: {e}") from e
