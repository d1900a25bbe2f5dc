"""Who stands where: what the history of a symbol's champions allows to be promoted next."""

from collections.abc import Collection
from dataclasses import dataclass

from realtime.bundle import STAGES
from realtime.champion import Champion

ROLLED_BACK = " (rollback)"  # ends what a rollback is signed with


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why a champion stays.

    Attributes:
        said: one line.
        same: there is nothing to do: it is the champion already.
        higher: only because the champion's stage is higher.
    """

    said: str
    same: bool = False
    higher: bool = False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The history of a symbol as it was at one moment.

    Attributes:
        announced: everything that is kept, oldest first.
        revision: of the newest entry of the key, readable or not; 0 = there is none. What is
            announced next must follow this very one.
        withdrawn: the key was deleted: nobody is champion.
    """

    announced: tuple[Champion, ...] = ()
    revision: int = 0
    withdrawn: bool = False

    @property
    def present(self) -> Champion | None:
        """The champion."""
        return None if self.withdrawn or not self.announced else self.announced[-1]

    @property
    def rolled_away(self) -> dict[str, str]:
        """Bundles that were in force until a rollback and not promoted since: by whom."""
        found: dict[str, str] = {}
        for place, champion in enumerate(self.announced):
            if not champion.by.endswith(ROLLED_BACK):
                found.pop(champion.bundle_id, None)
                continue
            before = in_force(list(self.announced[:place]))
            after = in_force(list(self.announced[: place + 1]))
            left = before[len(after) :] if len(after) <= len(before) else []
            found |= {each.bundle_id: champion.by for each in left}
            found.pop(champion.bundle_id, None)
        return found

    def objection(
        self, names: Collection[str], stage: str, *, demote: bool, again: bool
    ) -> Objection | None:
        """Say why a model is not to replace the champion; None if it may.

        Args:
            names: ids of the model's bundle at every stage.
            stage: that it is to be promoted to.
            demote: the champion may be of a higher stage.
            again: it may be the champion already, or one that was rolled away from.
        """
        present = self.present
        if present is not None and not demote and _rank(present.stage) > _rank(stage):
            same = ", the same model," if present.bundle_id in names else ""
            said = (
                f"{present.bundle_id}{same} is the champion as {present.stage}, and nothing that is"
                f" to be {stage} replaces it unless told to"
            )
            return Objection(said=said, higher=True)
        if again:
            return None
        if present is not None and present.bundle_id in names and present.stage == stage:
            return Objection(said="the champion already, the same bytes", same=True)
        away = self.rolled_away
        left = next((name for name in sorted(names) if name in away), None)
        if left is None:
            return None
        by = away[left].removesuffix(ROLLED_BACK)
        return Objection(said=f"{left} was rolled away from by {by}, with the same data")


def in_force(announced: list[Champion]) -> list[Champion]:
    """Return the champions that rolling back would go through, the present one last."""
    stack: list[Champion] = []
    for champion in announced:
        if champion.by.endswith(ROLLED_BACK):
            while stack and stack[-1].sha256 != champion.sha256:
                stack.pop()
        if stack and stack[-1].sha256 == champion.sha256 and stack[-1].stage == champion.stage:
            stack[-1] = champion
        else:
            stack.append(champion)
    return stack


def _rank(stage: str) -> int:
    return STAGES.index(stage)
