"""Blocks of tapes, planned without a device, and outcomes that are written down."""

from __future__ import annotations

from functools import partial

import numpy as np

from pennylane_threaded_ibmq.circuits.outcomes import ShotBits
from pennylane_threaded_ibmq.circuits.plan import group, plan
from pennylane_threaded_ibmq.circuits.template import Template


class TemplatesOfACall(dict):
    """The templates of one plan, or of some."""

    def get(self, key, make):
        if key not in self:
            self[key] = make()
        return self[key]


def blocks_of(tapes, *, parametrise=True, templates=None, estimator=False, **options):
    """Blocks of some tapes, with templates of their own unless some are given; nothing is transpiled."""
    wires = sorted({w for tape in tapes for w in tape.wires})
    return planned(
        tapes,
        TemplatesOfACall() if templates is None else templates,
        lambda alike: Template(alike.example, alike.members[0].data, wires, lambda circuit: circuit),
        parametrise=parametrise,
        estimator=estimator,
        **options,
    )


def planned(tapes, store, make_template, *, parametrise=True, **options):
    """Blocks of some tapes, with templates of a store; those that it does not have are made."""
    groups = group(tapes, parametrise=parametrise)
    templates = [store.get(alike.structure, partial(make_template, alike)) for alike in groups]
    return plan(groups, templates, **options)


def shots_of(block, setting, rows):
    """Outcomes of a setting; each row is a list of shots, each a dictionary or a text of the measured wires' bits."""
    found = block.template.settings[setting]
    packed = []
    for shots in rows:
        for shot in shots:
            bits = dict(zip(found.wires, map(int, shot), strict=True)) if isinstance(shot, str) else shot
            number = sum(bits[w] << b for w, b in zip(found.wires, found.bits(found.wires), strict=True))
            packed.append(number.to_bytes(max(1, (found.first + len(found.wires) + 7) // 8), "big"))
    raw = np.frombuffer(b"".join(packed), dtype=np.uint8)
    return ShotBits(raw.reshape(len(rows), len(rows[0]), -1))
