# SPDX-License-Identifier: Apache-2.0
"""The errors a user may see: each says what happened and what to do next."""

from __future__ import annotations

import errno

LONGEST_SENTENCE = 1000
# what says more about a disk or a server than about bidsqa
_FILE_SYSTEM = (
    *(errno.EIO, errno.ESTALE, errno.EROFS, errno.EACCES, errno.EPERM, errno.ETIMEDOUT),
    *(errno.EISDIR, errno.ENOTDIR, errno.EXDEV, errno.EMFILE, errno.ENFILE),
)


class BidsqaError(Exception):
    """Something that stops a scan or a run, told in one sentence with a hint.

    Parameters
    ----------
    cause : str
        What happened, one clear sentence.
    hint : str
        What the user can do about it.
    """

    def __init__(self, cause: str, hint: str = "") -> None:
        super().__init__(_short(cause))
        self.cause = _short(cause)
        self.hint = _short(hint)

    def __str__(self) -> str:
        return f"{self.cause} ({self.hint})" if self.hint else self.cause

    def __reduce__(self) -> tuple[type[BidsqaError], tuple[str, str]]:
        # both arguments survive the hop between Nipype's worker processes
        return type(self), (self.cause, self.hint)


def _short(text: str) -> str:
    """A sentence stays one, whatever text from outside it repeats."""
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 1]}…"


class InputError(BidsqaError):
    """A scan that can't be assessed. It costs only itself (record with ``status: failed``)."""


class UsageError(BidsqaError):
    """Wrong usage or nothing to do: the command ends with exit code 2."""


class WeightsError(BidsqaError):
    """A model's weights are missing, damaged or not of the expected kind."""


class NotComputable(Exception):
    """A metric or mask has no trustworthy value on this scan.

    Parameters
    ----------
    reason : str
        Why, in words; becomes the entry of ``reasons_missing`` in the record.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def lacks_room(error: BaseException) -> bool:
    """Whether an error says that a disk is full."""
    # NumPy gives no number: "8388608 requested and 123 written"
    return isinstance(error, OSError) and (error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error))


def is_fault_of_disk(error: BaseException) -> bool:
    """Whether a disk or a server is to blame for an error."""
    return lacks_room(error) or (isinstance(error, OSError) and error.errno in _FILE_SYSTEM)
