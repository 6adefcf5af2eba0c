"""The uuids of the examples, which exist in no workspace."""

from typing import Final

from relay.config.draft import Draft
from relay.config.tree import Leaf, find, leaves
from relay.written.reference import Opaque

EXAMPLES: Final = {
    "3c90c3cc-0d44-4b50-8888-8dd25736052a": "agent",
    "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f": "connector",
}
"""The uuids in the documents, the recipes and the files that `relay init` writes."""


def check_examples(draft: Draft) -> None:
    """Add a fault for each where `cargo.base_url` is https://, as the real Cargo's is. A simulator accepts them."""
    cargo = draft.blocks.get("cargo")
    url = find(draft.root, ("cargo", "base_url"))
    unknown = isinstance(url, Leaf) and isinstance(url.value, Opaque)
    if cargo is None or unknown or not cargo.base_url.startswith("https://"):
        return
    for path, leaf in leaves(draft.root):
        kind = EXAMPLES.get(str(leaf.value).lower())
        if kind is not None and path[0] in {"rules", "vars"}:
            draft.fault(
                path, f"is the {kind} of the examples, which Cargo does not know: write the uuid of your {kind}"
            )
