# SPDX-License-Identifier: Apache-2.0
"""The one exception of this package, with the exit status that it leads to (cachegen/support/error.hpp)."""

USAGE = 2
UNUSABLE = 3
ENVIRONMENT = 4


class ReportError(Exception):
    """Its message names the thing, the reason and the remedy."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def reason_of(error):
    """'Permission denied' and the like, without the path and number that str(OSError) adds."""
    return getattr(error, "strerror", None) or str(error)
