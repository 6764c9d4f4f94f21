"""The topics of a run, which are its own: filters with their decoders, declared formats, and the registry's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulators.hostile.cases import Leaf, Names
from simulators.hostile.vendors import VENDOR_TOML, neuron_toml

NEURON, VENDOR = "hostile_neuron", "hostile_vendor"

_DECODERS = {
    Leaf.NATIVE: "native_json",
    Leaf.DLT645: "dlt645",
    Leaf.CJT188: "cjt188",
    Leaf.NEURON: NEURON,
    Leaf.VENDOR: VENDOR,
}


def filters(prefix: str) -> dict[str, str]:
    """Topic filter -> decoder: the run's own, so that no other bridge takes part in it."""
    return {
        **{f"{prefix}/{{gateway}}/{leaf.value}": decoder for leaf, decoder in _DECODERS.items()},
        f"{prefix}/{{gateway}}/{Leaf.ODD.value}/#": "native_json",
        f"spBv1.0/{prefix}/+/{{gateway}}/#": "sparkplug",
    }


def declared_files(names: Sequence[Names], folder: Path) -> list[Path]:
    """Write the files that declare the vendors' formats."""
    texts = {NEURON: neuron_toml({n.gateway: n.meter for n in names}), VENDOR: VENDOR_TOML}
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return [folder / f"{name}.toml" for name in texts]
