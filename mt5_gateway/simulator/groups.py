"""The package's filter of names: ``"*USD*,!EURUSD"``.

Masks are split at commas, anchored at both ends and case-sensitive; ``*`` is the only wildcard. Any
mask with ``!`` that matches rejects, and a filter of such masks alone matches nothing. The star
does not look back: ``*AAB`` misses ``AAAB``, as in the package.
"""


def matches(name: str, group: str) -> bool:
    """Tell whether a name passes a filter."""
    found = False
    for part in group.split(","):
        mask = part.strip()
        if mask.startswith("!"):
            if _fits(name, mask[1:]):
                return False
        elif _fits(name, mask):
            found = True
    return found


def _fits(name: str, mask: str) -> bool:
    at = 0
    star = -1  # place after the last star
    for letter in name:
        while mask[at : at + 1] == "*":
            at += 1
            star = at
        if mask[at : at + 1] != letter:
            if star < 0:
                return False
            at = star
            if mask[at : at + 1] != letter:
                continue
        at += 1
    return not mask[at:].strip("*")
