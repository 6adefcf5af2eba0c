"""The console: pages for people, at `/` of the ops listener.

How to add a page:

1. A module here with `async def show(console, request)`, which returns the values of its template. It asks by
   `console.api` and the API's own models, so that filters, limits, cursors and what is hidden are the same.
2. A template in `templates/` that extends `base.html`. Text of strangers stands in `<bdi>`, or goes through the filter
   `text`; the environment escapes all of it and shows control characters. Tables have the class `cards` and a
   `data-label` in each cell, which is what narrow screens show. No inline script or style: the policy forbids both.
3. A `Page` in `PAGES` (`pages.py`), with its place in the navigation. A form that changes nothing, and is too long for
   an address, is posted to the page itself (`answer`).
4. What changes something is an `Act` in `ACTS`: `ask` says what will happen, `do` does it and says what was done.
   A link to its path is its button; confirmation, CSRF token, role and notice are taken care of.

Everything works without scripts. What htmx adds is an attribute on what works already.
"""

from relay.ops.console.page import Console
from relay.ops.console.serve import add_console, show_trouble

__all__ = ["Console", "add_console", "show_trouble"]
