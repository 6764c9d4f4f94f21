"""The part of a worker that tells people of alerts: a thread beside the loop that derives, so that a mail server which
dawdles keeps nobody's energy waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import psycopg
import structlog

from alerts.notify.metrics import LINKS_STAY_HERE
from alerts.notify.page_server import PageServer
from deploy.notifying import Notifying, NotifySettings, links_stay_here, open_notifying, pages_of, sender_of
from deploy.settings import Settings
from metering.errors import DependencyAwayError
from stream.backoff import Backoff

log = structlog.get_logger(__name__)

Connect = Callable[[], psycopg.Connection[Any]]
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, DependencyAwayError)


class Notifier:
    """Sends notifications and serves their pages until `stop` is set. A bug in it sets `stop`, and `join` raises it:
    the worker ends and is started anew.
    """

    def __init__(self, settings: Settings, options: NotifySettings, connect: Connect, stop: Event) -> None:
        self._settings = settings
        self._options = options
        self._connect = connect
        self._stop = stop
        self._failed: BaseException | None = None
        self._thread = Thread(target=self._run, name="notifier")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end; raises what ended it, if that was not `stop`."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            LINKS_STAY_HERE.set(links_stay_here(self._settings, self._options))
            notifying = self._open()
            if notifying is None:
                return
            pages = self._serve(notifying)
            try:
                if self._settings.notify_threads:
                    sender_of(self._settings, notifying, self._connect, self._stop).run()
                self._stop.wait()
            finally:
                if pages is not None:
                    pages.stop()
        except BaseException as e:  # noqa: BLE001
            self._failed = e
            self._stop.set()

    def _open(self) -> Notifying | None:
        """What needs the database, as soon as it is there; None where the end came first."""
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                return open_notifying(self._settings, self._options, self._connect)
            except _AWAY as e:
                log.warning("notifier_waits", error=str(e).strip(), failures=backoff.failures + 1)
                backoff.wait(self._stop)
        return None

    def _serve(self, notifying: Notifying) -> PageServer | None:
        """The pages; another worker of this machine may have the port already, and then serves them."""
        try:
            pages = pages_of(self._settings, notifying, self._connect)
        except OSError as e:
            log.warning("pages_not_served", port=self._settings.page_port, error=str(e))
            return None
        if pages is not None:
            pages.start()
            log.info("pages_served", port=pages.port)
        return pages
