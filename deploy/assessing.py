"""How commands assess and follow alerts up: by the settings in force."""

from __future__ import annotations

from alerts.by_hand import HandOptions
from alerts.parameter_file import read_parameters
from deploy.settings import Clock, Settings


def hand_options(settings: Settings, site_codes: list[str] | None = None) -> HandOptions:
    """For an assessment by hand, of some sites or (None) all. Raises ParameterFileError."""
    parameters = read_parameters(settings.alert_parameters)
    return HandOptions(settings.clock is Clock.EVENT, settings.event_patience, parameters, site_codes or None)
