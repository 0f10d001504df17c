"""What a fitted model is good for, as far as rows can tell."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reason:
    """How fit a model is for one purpose."""

    purpose: str
    """Score, density, anomaly, sampling or imputation."""
    fitness: str
    """Good, usable, cannot tell or not usable."""
    reason: str
    """Why, in one clause."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a model from rows that did not train it, as the program's ``eval`` gives it.

    It is true where there is something that the model can be relied on for.
    """

    grade: str
    """Good, usable, cannot tell or not usable."""
    sentence: str
    """The grade, for what, and why."""
    usable_for: list[str]
    """Purposes that it is good or usable for."""
    reasons: list[Reason]
    """For each purpose."""
    rows: int
    """Rows that it was checked on."""
    figures: dict[str, Any] = field(repr=False)
    """All figures, with the keys of the program's ``--json``."""

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Verdict:
        """From the figures of an evaluation."""
        return cls(
            figures["grade"],
            figures["verdict"],
            list(figures["usable_for"]),
            [Reason(**each) for each in figures["purposes"]],
            figures["rows"],
            dict(figures),
        )

    def __bool__(self) -> bool:
        return self.grade in ("good", "usable")

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        colors = {"good": "#1a7f37", "not usable": "#b3261e"}
        rows = [_cells("td", each.purpose, each.fitness, each.reason) for each in self.reasons]
        evidence = [
            _cells("td", each["about"], each["fitness"], f"bound {each['bound']:.3g}") for each in self.figures["evidence"]
        ]
        return (
            f'<div><b style="color:{colors.get(self.grade, "#b35900")}">{html.escape(self.sentence)}</b>'
            f"<table>{_cells('th', 'for', '', 'because')}{''.join(rows)}</table>"
            f"<details><summary>Evidence from {self.rows} rows</summary><table>{''.join(evidence)}</table></details></div>"
        )


def _cells(kind: str, *texts: str) -> str:
    return "<tr>" + "".join(f"<{kind}>{html.escape(text)}</{kind}>" for text in texts) + "</tr>"
