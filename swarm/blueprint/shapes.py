"""Telling JSON's containers apart where a document may hold anything."""

from __future__ import annotations

from typing import Any, TypeGuard

__all__ = ("is_array", "is_object")


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value that came through the strict door is an object, frozen or not."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a value that came through the strict door is an array, frozen or not."""
    return isinstance(value, list)
