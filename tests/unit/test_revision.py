"""A process refuses to start on a schema that is older than it needs: it needs the newest there is."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from shared.store import migrate, revision


def test_what_is_needed_is_the_newest_revision_and_every_one_sorts_after_the_one_before() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    every = [one.revision for one in scripts.walk_revisions()]

    assert scripts.get_current_head() == revision.NEEDED
    assert every == sorted(every, reverse=True)
