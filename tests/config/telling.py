"""What a configuration is told."""

from relay.config import load
from relay.errors import Misconfigured


def teller(path, good):
    """Writes the blocks of `good`, some replaced, to `path`; gives the faults of that, or else the warnings."""

    def told(env=None, *, strict=True, **blocks):
        path.write_text("".join(f"{key}: {value}\n" for key, value in {**good, **blocks}.items()))
        try:
            lines = load([path], env or {}, strict=strict).warnings
        except Misconfigured as error:
            lines = error.faults
        return [line.removeprefix(f"{path}:") for line in lines]

    return told
