"""What the sections of the settings file are made of: a base, and the marks of their keys.

What must stay out: the keys themselves (keys.py, outside.py).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_RESULT: dict[str, Any] = {"affects": "result"}
_ADDED: dict[str, Any] = {"affects": "result", "added": True}
_EXECUTION: dict[str, Any] = {"affects": "execution"}
_SECRET: dict[str, Any] = {"affects": "execution", "secret": True}


def result(default: Any = ..., **constraints: Any) -> Any:
    """A settings key that can change the results."""
    return Field(default, json_schema_extra=_RESULT, **constraints)


def added_result(default: Any, **constraints: Any) -> Any:
    """A result key that older stores do not know: while it has its default, it enters no version and no recipe."""
    return Field(default, json_schema_extra=_ADDED, **constraints)


def execution(default: Any = ..., **constraints: Any) -> Any:
    """A settings key that changes speed, place or upkeep but never a result."""
    return Field(default, json_schema_extra=_EXECUTION, **constraints)


def secret(default: Any = ..., **constraints: Any) -> Any:
    """An execution key with a value that is never printed: it lets its owner speak for the store elsewhere."""
    return Field(default, json_schema_extra=_SECRET, **constraints)


def refusal(sentence: str, *, hidden: bool = False) -> PydanticCustomError:
    """A value that cannot be used, with the sentence that follows the key's name; a hidden one is not shown."""
    return PydanticCustomError("hidden" if hidden else "sentence", "{sentence}", {"sentence": sentence})


class Section(BaseModel):
    """A group of keys: unknown keys are refused, values are not converted, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_defaults(cls, written: object) -> object:
        # All keys of the section are commented out.
        return {} if written is None else written
