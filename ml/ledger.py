"""The ledger of a symbol's research: what was tried, what was looked at, what gates said.

Whoever changes a recipe until it looks good has tried all of them, and whoever looks at a holdout
twice has chosen on it. Both are only known if they are written down where throwing a model away
does not reach: ``<var>/ledger/<SYMBOL>.jsonl``, one line each, only ever appended to. The same
content is written once, however often it is computed.

What counts as one try: a candidate of a recipe on a clock and on rows of data. Running the same
over all there is once more, as every night, continues a try; nobody chose anything. Naming an end
(``until``) is a choice, and every one counts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from realtime.clock import Clock, WallClock
from realtime.contracts.subjects import token
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.whole_files import append_lines

if TYPE_CHECKING:  # xgboost: seconds that a rollback must not wait for
    from ml.config import Candidate
    from ml.training import Trained

_NOT_RECIPE = ("candidates", "gates")  # a candidate is named beside it; a threshold tries nothing
Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What else was tried for a symbol, beside a training's own candidates.

    Attributes:
        sharpes: net Sharpe ratios, each as if by bars of the training's own clock.
        excess_sharpes: the same above the market at the mean position.
    """

    sharpes: tuple[float, ...] = ()
    excess_sharpes: tuple[float, ...] = ()


class Ledger:
    """What is written down of one symbol.

    Args:
        var: folder of all data.
        symbol: whose.
        clock: the machine's if not given; when each line was written, for people.
    """

    def __init__(self, var: Path, symbol: str, clock: Clock | None = None) -> None:
        self.path = var / "ledger" / f"{token(symbol)}.jsonl"
        self._clock = clock or WallClock()

    def record_trials(self, trained: "Trained", until_ns: int) -> int:
        """Write down every candidate that was fitted; return how many were new.

        Args:
            trained: with all its trials.
            until_ns: end that was named, 0 = all there is.
        """
        entries = [
            {
                "kind": "trial",
                **_what(trained, trial.candidate, until_ns),
                "from_ns": trained.trained_from_ns,
                "through_ns": trained.trained_through_ns,
                "bars": trial.record.bars,
                "sharpe": trial.record.sharpe,
                "excess_sharpe": trial.record.excess_sharpe,
            }
            for trial in trained.trials
        ]
        return self._append(entries)

    def record_look(self, trained: "Trained", until_ns: int) -> int:
        """Write down that a model's holdout is looked at; return 1 if it was not before."""
        entry = {
            "kind": "look",
            **_what(trained, trained.trial.candidate, until_ns),
            "from_ns": trained.holdout_from_ns,
            "through_ns": trained.evaluated_through_ns,
        }
        return self._append([entry])

    def record_gate(self, bundle_id: str, report: Mapping[str, Any]) -> None:
        """Write down what a gate said of a bundle, by the hash of its sealed report."""
        entry = {"kind": "gate", "bundle": bundle_id, "id": report["sha256"]}
        self._append([{**entry, "stage": report["stage"], "passed": report["passed"]}])

    def has_gate(self, bundle_id: str, sha256: str) -> bool:
        """Whether a gate said exactly this of a bundle."""
        return any((line["bundle"], line["id"]) == (bundle_id, sha256) for line in self._of("gate"))

    def earlier(self, trained: "Trained") -> Earlier:
        """Return what else was tried: every recipe, clock and cut, kept or thrown away."""
        own = {_what(trained, trial.candidate, 0)["id"] for trial in trained.trials}
        own_ns = CLOCKS_NS[trained.config.clock]
        others = [
            (line, math.sqrt(own_ns / CLOCKS_NS[line["clock"]]))
            for line in _latest(self._of("trial"), _continues_trial)
            if line["id"] not in own
        ]
        return Earlier(
            sharpes=tuple(float(line["sharpe"]) * scale for line, scale in others),
            excess_sharpes=tuple(float(line["excess_sharpe"]) * scale for line, scale in others),
        )

    def looks(self, trained: "Trained") -> int:
        """Return how often the time of a model's holdout was looked at, its own look among them."""
        found = [
            line
            for line in _latest(self._of("look"), _continues_look)
            if line["from_ns"] <= trained.evaluated_through_ns
            and line["through_ns"] >= trained.holdout_from_ns
        ]
        own = _what(trained, trained.trial.candidate, 0)["id"]
        return len(found) + int(all(line["id"] != own for line in found))

    @property
    def damaged(self) -> int:
        """How many lines cannot be read: a writer was killed in the middle of one."""
        return sum(line is None for line in self._lines())

    def _of(self, kind: str) -> list[Line]:
        lines = (line for line in self._lines() if line is not None and line["kind"] == kind)
        return list({line["id"]: line for line in lines}.values())

    def _append(self, entries: list[dict[str, Any]]) -> int:
        known = {(line["kind"], line["id"]) for line in self._lines() if line is not None}
        new = [each for each in entries if (each["kind"], each["id"]) not in known]
        now_ns = self._clock.now_ns()
        if new:
            append_lines(
                self.path, [json.dumps({**each, "at_ns": now_ns}, sort_keys=True) for each in new]
            )
        return len(new)

    def _lines(self) -> list[Line | None]:
        try:
            text = self.path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [_parsed(line) for line in text.splitlines() if line]


def _parsed(line: str) -> Line | None:
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(found, dict) and {"kind", "id"} <= set(cast("Line", found))
    return cast("Line", found) if whole else None


def _what(trained: "Trained", candidate: "Candidate", until_ns: int) -> dict[str, Any]:
    """Name a try by its content; `series` is the same for those that continue each other."""
    config = trained.config
    content = {key: each for key, each in config.content().items() if key not in _NOT_RECIPE}
    recipe = _hash(content)
    tried = [recipe, vars(candidate), config.clock]
    return {
        "id": _hash([*tried, trained.fingerprint]),
        "series": _hash([*tried, trained.fingerprint if until_ns else "all there is"]),
        "recipe": recipe,
        "candidate": dict(vars(candidate)),
        "clock": config.clock,
        "data": trained.fingerprint,
    }


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _latest(lines: list[Line], continues: Callable[[Line, Line], bool]) -> list[Line]:
    """Leave out what a later line of the same series continues."""
    kept: list[Line] = []
    last: dict[str, int] = {}
    for line in lines:
        place = last.get(line["series"])
        if place is not None and continues(kept[place], line):
            kept[place] = line
            continue
        last[line["series"]] = len(kept)
        kept.append(line)
    return kept


def _continues_trial(before: Line, line: Line) -> bool:
    """The history begins where it did and became longer, as it does from night to night."""
    return (
        line["from_ns"] == before["from_ns"]
        and line["through_ns"] >= before["through_ns"]
        and line["bars"] >= before["bars"]
    )


def _continues_look(before: Line, line: Line) -> bool:
    return line["from_ns"] >= before["from_ns"] and line["through_ns"] >= before["through_ns"]
