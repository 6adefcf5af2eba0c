"""What the tables of the first migration share."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

ID: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
BUSY: Final = {
    "autovacuum_vacuum_threshold": 500,
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_cost_delay": 0,
    "autovacuum_analyze_threshold": 500,
    "autovacuum_analyze_scale_factor": 0.1,
}
"""Storage parameters of tables whose rows live for seconds. By the defaults, with 100,000 unfinished rows they would be
vacuumed only after 20,000 more, slowly, and every claim would step over the dead ones."""


def where(condition: str) -> dict[str, Any]:
    """The condition of a partial index."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
