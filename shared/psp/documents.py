"""How a PSP's JSON is read: strictly, and with none of its text in an error."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Document(BaseModel):
    """A document of a PSP's; what it says beside the fields we read is left where it is."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True, frozen=True)


D = TypeVar("D", bound=Document)


def parsed(model: type[D], body: bytes) -> D | None:
    """The document in *body*; None for anything else."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None  # Not raised on: the error would carry the PSP's text.
