"""How a query parameter is read: required, once, bounded (contract section 5: ?c= and ?p=)."""

from __future__ import annotations

import re
from typing import Final

from flask import request

from api.schemas.common import IDENTIFIER_PATTERN, LONGEST_TEXT
from shared.domain.refusals import InvalidRequest

_IDENTIFIER: Final = re.compile(IDENTIFIER_PATTERN)


def identifier(name: str) -> str:
    """The identifier in query parameter *name*; raises InvalidRequest naming the parameter."""
    values = request.args.getlist(name)
    if len(values) != 1:
        raise InvalidRequest(f"query.{name}: {'is required' if not values else 'must be given once'}")
    if len(values[0]) > LONGEST_TEXT or not _IDENTIFIER.fullmatch(values[0]):
        raise InvalidRequest(f"query.{name}: is not an identifier")
    return values[0]
