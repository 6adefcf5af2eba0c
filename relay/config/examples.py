"""The uuids of the examples: nobody's agent and nobody's connector."""

from typing import Final

from relay.config.draft import Draft
from relay.config.fill import Opaque
from relay.config.tree import Leaf, find, leaves

EXAMPLES: Final = {
    "3c90c3cc-0d44-4b50-8888-8dd25736052a": "agent",
    "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f": "connector",
}
"""As the documents, the recipes and `relay init` write them."""


def check_examples(draft: Draft) -> None:
    """Refuse them where calls go to the real Cargo, which is reached by https; a simulator takes them."""
    cargo = draft.blocks.get("cargo")
    url = find(draft.root, ("cargo", "base_url"))
    unknown = isinstance(url, Leaf) and isinstance(url.value, Opaque)
    if cargo is None or unknown or not cargo.base_url.startswith("https://"):
        return
    for path, leaf in leaves(draft.root):
        kind = EXAMPLES.get(str(leaf.value).lower())
        if kind is not None and path[0] in {"rules", "vars"}:
            draft.fault(path, f"is the example's {kind}, which Cargo does not know: write the uuid of your {kind}")
