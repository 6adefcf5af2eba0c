"""What is wrong with a connection string."""


class DsnFault(ValueError):
    """`key` is the setting of `ledger` that is wrong; the message, which follows it, never quotes a value's secret."""

    def __init__(self, message: str, *, key: str = "url") -> None:
        super().__init__(message)
        self.key = key
