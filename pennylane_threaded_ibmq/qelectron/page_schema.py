"""JSON Schema of executors, in the words of Covalent's reference page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


def page_schema(core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Schema of an executor's fields, the same for what goes in and for what comes out.

    The page shows a field that may be left out by its type alone, and no ``null`` as a default.

    Args:
        core_schema: What pydantic makes of the class.
        handler: Makes a schema from it.
    """
    schema = handler.resolve_ref_schema(handler(_without_serializers(core_schema)))
    for field in schema.get("properties", {}).values():
        _show_plainly(field)
    return schema


def _without_serializers(core_schema: Any) -> Any:
    """The schema of a class without functions that make something of all its fields: they say nothing about them."""
    plain = {name: value for name, value in core_schema.items() if name != "serialization"}
    if plain["type"] != "model-fields" and "schema" in plain:
        plain["schema"] = _without_serializers(plain["schema"])
    return plain


def _show_plainly(field: dict[str, Any]) -> None:
    kinds = [kind for kind in field.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        field.update(kinds[0])
    if field.get("default", "") is None:
        del field["default"]
