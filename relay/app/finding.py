"""What a check of servers found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: the configuration key, what is wrong and what to do. With a `fault` Relay cannot run.

    `path` leads to the value in the files, None where it is the key itself.
    """

    key: str
    what: str
    fault: bool = True
    path: tuple[str | int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"

    @property
    def place(self) -> tuple[str | int, ...]:
        """The path to the value in the files."""
        return tuple(self.key.split(".")) if self.path is None else self.path
