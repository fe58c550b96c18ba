"""The errors that users meet.

Every message says what is wrong, the value that was found, what is allowed and what to do next, in one line.
"""


class BsconvNasError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(BsconvNasError, ValueError):
    """What was asked for cannot be done: a bad value, an unknown name, a budget that nothing fits."""

    exit_code = 2


class ArchError(UsageError):
    """An architecture that cannot exist, or a file that does not describe one."""


class SpaceError(UsageError):
    """A search space that is not valid, or a genotype that is not in it."""


class BudgetError(UsageError):
    """No network of the space is within the limits."""


class DataError(UsageError):
    """Images that are missing, unreadable or too few."""


class StudyError(UsageError):
    """A study that cannot be opened or continued as asked."""


class StorageError(BsconvNasError):
    """Results could not be written (full disk, missing permission). Nothing already stored is lost."""

    exit_code = 2


class TrainingError(BsconvNasError):
    """One training failed (for example the loss became NaN); the search records it and goes on."""


class SpaceExhaustedError(BsconvNasError):
    """Every network within the limits is already known."""


class DeviceError(BsconvNasError):
    """The GPU of this process is lost or its state broken; another process may go on with the work."""
