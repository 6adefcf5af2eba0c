"""The error of a connection string."""


class DsnFault(ValueError):
    """A fault. `key` is the wrong key of `ledger`. The message is read after the key, and never quotes a secret."""

    def __init__(self, message: str, *, key: str = "url") -> None:
        super().__init__(message)
        self.key = key
