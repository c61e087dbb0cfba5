"""What every spec shares: frozen, closed, and able to say exactly what it was given.

A spec is plain validated data. It imports no torch; a kind of spec (a data set, a term) carries a
``build`` method that loads what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from workbench.errors import UnknownName, nearest
from workbench.registry import Registry


class Spec(BaseModel):
    """Base of all specs: immutable, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_unknown(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """An unknown field is refused with the nearest valid name; all problems stay together."""
        try:
            return handler(_without_truth(cls, value) if isinstance(value, Mapping) else value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [_reworded(cls, item) for item in error.errors()]
            ) from None

    def given(self) -> Any:
        """The data this spec was made from: only fields that were set, as JSON-able values."""
        return {name: _plain(getattr(self, name)) for name in self.model_fields_set_in_order()}

    def full(self) -> Any:
        """All fields, defaults included, as JSON-able values."""
        return {name: _plain(getattr(self, name), full=True) for name in type(self).model_fields}

    def model_fields_set_in_order(self) -> list[str]:
        """Set fields in the order of their declaration."""
        return [name for name in type(self).model_fields if name in self.model_fields_set]


class Kind(Spec):
    """A spec that is chosen by name: ``{use: NAME, option: value}`` or just ``NAME``."""

    use: str
    _short: bool = PrivateAttr(default=False)

    def given(self) -> Any:
        """As given; a bare name stays a bare name."""
        return self.use if self._short else super().given()


class Pick:
    """Annotation of a field whose class is looked up by the name under ``use``.

    Args:
        resolve: Name to the :class:`Kind` class; raises UnknownName.
        optional: Whether None may stand in its place.

    Attributes:
        registry: Where the names come from, or None where a function knows them.

    Example:
        ``data: Annotated[DataSpec, Pick(DATA.get)]``
    """

    def __init__(
        self,
        resolve: Callable[[str], type[Any]] | Registry[type[Any]],
        *,
        optional: bool = False,
    ) -> None:
        self._resolve = resolve.get if isinstance(resolve, Registry) else resolve
        self.registry = resolve if isinstance(resolve, Registry) else None
        self.optional = optional

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def _validate(self, value: Any) -> Kind | None:
        if isinstance(value, Kind) or (value is None and self.optional):
            return value
        short = isinstance(value, str)
        fields: Mapping[str, Any] = {"use": value} if short else value
        if not isinstance(fields, Mapping):
            raise PydanticCustomError(
                "kind_type",
                "must be a name, or a mapping with `use:` and options, not a {type}",
                {"type": type(value).__name__},
            )
        name = fields.get("use")
        if not isinstance(name, str) or not name:
            raise PydanticCustomError("kind_use", "needs `use: NAME`", {})
        try:
            kind = self._resolve(name)
        except UnknownName as error:
            raise ValidationError.from_exception_data(
                "kind",
                [
                    {
                        "type": PydanticCustomError(
                            "unknown_name", "{text}", {"text": error.message}
                        ),
                        "loc": ("use",),
                        "input": name,
                    }
                ],
            ) from None
        spec: Kind = kind.model_validate(dict(fields))
        spec._short = short
        return spec


def _without_truth(cls: type[Spec], value: Mapping[Any, Any]) -> dict[Any, Any]:
    """``epochs: yes`` is no number: pydantic would take it as 1, as the word it is refused."""
    return {
        name: str(item).lower() if isinstance(item, bool) and _is_number(cls, name) else item
        for name, item in value.items()
    }


def _is_number(cls: type[Spec], name: Any) -> bool:
    """Whether a field takes numbers and no truth values."""
    field = cls.model_fields.get(name) if isinstance(name, str) else None
    kinds = () if field is None else (get_args(field.annotation) or (field.annotation,))
    return bool({int, float} & set(kinds)) and bool not in kinds


def _reworded(cls: type[Spec], item: Any) -> InitErrorDetails:
    kind, text = item["type"], item["msg"]
    if kind == "extra_forbidden" and len(item["loc"]) == 1:
        fields = [field.alias or name for name, field in cls.model_fields.items()]
        near = nearest(str(item["loc"][0]), fields)
        kind = "unknown_field"
        text = (
            f"no such field.{f' Did you mean {near!r}?' if near else ''} "
            f"Known: {', '.join(sorted(fields))}"
        )
        context: dict[str, Any] = {}
    else:
        context = item.get("ctx", {})
    return InitErrorDetails(
        type=PydanticCustomError(kind, "{text}", {**context, "text": text}),
        loc=item["loc"],
        input=item["input"],
    )


def _plain(value: Any, *, full: bool = False) -> Any:
    if isinstance(value, Spec):
        return value.full() if full else value.given()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, full=full) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, full=full) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
