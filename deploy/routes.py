"""What a bridge takes, from the settings. Apart, so that `up` can check it without loading the bridge."""

from __future__ import annotations

from collectors.decoders.declared_formats import load_formats
from collectors.routes import Routes
from deploy.settings import Settings


def routes_of(settings: Settings) -> Routes:
    """What the bridge of these settings takes. Raises SettingError naming the wrong one."""
    return Routes(settings.mqtt_filters, load_formats(settings.decoder_files), settings.mqtt_native)
