"""What every request and answer of the wire has in common: strict types, bounded text, long names.

Requests reach these models with their aliases already replaced by long names (api/long_names.py), so a
model knows one name a field and every error path is a long name. Unknown fields are ignored and never kept.
Answers leave out what has nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Final, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

LONGEST_TEXT: Final = 255
"""The contract bounds correlationId by 255; no identifier or name we know of is longer."""

# Control characters, bidirectional overrides, invisible marks and non-characters: nobody types them into an
# identifier, and they make two that differ look alike. Written as ranges that JSON Schema, Python and Rust all read.
IDENTIFIER_PATTERN: Final = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]+$"
)
# A name may join letters with U+200C and U+200D, as Persian and Hindi do.
NAME_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\uffff]+$"

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=IDENTIFIER_PATTERN)]
"""An identifier of the caller or of ours: 1-255 visible characters."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=NAME_PATTERN)]
"""A name people gave: 1-255 characters of any script, no control characters."""
WholeNumber = Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)]
"""An integer that every reader of JSON agrees on (RFC 8259 section 6)."""


def _is_address(text: str) -> str:
    """*text* if it is an IPv4 or IPv6 address; a zone (fe80::1%eth0) names a wire of the caller's, so it is refused."""
    try:
        ip_address(text)
    except ValueError:
        raise PydanticCustomError("ip_address", "is not an IP address") from None
    if "%" in text:
        raise PydanticCustomError("ip_address", "is not an IP address")
    return text


IpAddress = Annotated[
    str,
    StringConstraints(max_length=45),  # The longest form of an IPv6 address (RFC 4291 2.2).
    AfterValidator(_is_address),
    Field(json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
"""An IPv4 or IPv6 address, kept as it was written."""


class Secret(SecretStr):
    """Text that nothing prints, serialises, pickles or copies: a model that holds one dumps it as stars."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("card data is never pickled or copied")

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()


def short(alias: str) -> Any:
    """A field's alias in requests (contract section 2); read by api/long_names.py, shown in the OpenAPI document."""
    return Field(json_schema_extra={"x-alias": alias}, description=f"Alias: `{alias}`.")


class Wire(BaseModel):
    """Part of a request: strict, immutable, silent about what it holds."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        strict=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        ser_json_inf_nan="constants",
    )


class Answer(BaseModel):
    """Part of an answer; built by attribute names, spoken in wire names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
        json_schema_mode="serialization",  # type: ignore[typeddict-unknown-key]  # Read by openapi-pydantic.
    )
    always_there: ClassVar[frozenset[str]] = frozenset()
    """Wire names that are answered as null rather than left out."""

    def wire(self) -> dict[str, Any]:
        """The JSON document of this answer."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**dict.fromkeys(sorted(self.always_there)), **document}


class Status(Answer):
    """The envelope's one constant: what happened, by its published name."""

    message_code: str


class Refused(Answer):
    """What every refusal looks like; *message* names fields by path, never their values."""

    status: Status
    message: str | None = None


Document = Mapping[str, Any]
