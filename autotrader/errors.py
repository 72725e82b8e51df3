"""Errors that name the guilty party, so that whoever catches one knows whether to retry.

This module knows nobody: not the exchange, not the configuration, not the language of the message.
"""


class AutotraderError(Exception):
    """Report a failure whose guilty party is known; its text is one line that an operator can act on."""


class OperatorError(AutotraderError):
    """Blame our side: a configuration, a file or a call is wrong, and trying again cannot help."""


class VenueError(AutotraderError):
    """Blame the exchange: it refused, contradicted itself or went silent.

    Parameters
    ----------
    message : str
        What happened, in one line.
    code : int or None
        The exchange's own error code, kept as it was sent; None if it sent none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        """Return the message with the exchange's code behind it."""
        message = str(self.args[0])
        return message if self.code is None else f"{message} ({self.code})"


class StateError(AutotraderError):
    """Blame neither yet: what we believe and what the exchange reports cannot both be true, so trading halts."""
