"""What can go wrong with the database, each as one line that says what to do."""


class StoreError(RuntimeError):
    """Anything wrong with the database or what is in it."""


class DatabaseRefused(StoreError):
    """The database cannot be reached, or does not let this role in."""


class MigrationRefused(StoreError):
    """The schema is not what this code needs, or a migration is not the one that was applied."""


class RecordConflict(StoreError):
    """What arrives contradicts what is recorded under the same numbers."""


class RecordIncomplete(StoreError):
    """Rows that are asked for are not, or not all, in the record."""


class Fenced(StoreError):
    """Somebody else moved the position that this writer counts from."""
