"""What can be wrong with data on disk, each with file, field, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """A file that does not hold what it should.

    A `DataLoader` makes the error of a worker anew from its text alone, which then stands for the whole message.

    Attributes:
        file, field, found, expected: the four parts of the message.
    """

    def __init__(
        self, file: str | Path, field: str | None = None, found: object = None, expected: object = None, hint: str = ""
    ) -> None:
        self.file, self.field, self.found, self.expected, self.hint = str(file), field, found, expected, hint
        message = f"{file}: {field}: found {found}, expected {expected}" + (f". {hint}" if hint else "")
        super().__init__(message if field is not None else str(file))

    def __reduce__(self):  # so that it comes back whole from a process pool
        return type(self), (self.file, self.field, self.found, self.expected, self.hint)


class MissingFileError(DataError):
    """A file that should be there is not."""


class UnsafePathError(DataError):
    """A file name in a table that leaves the data root."""


class IncompleteDatasetError(DataError):
    """A dataset whose generation was interrupted."""


class DatasetExistsError(DataError):
    """The output is there already and nobody asked to replace it."""


class StaleIndexError(DataError):
    """An index of another schema version, or of tables that have changed since."""
