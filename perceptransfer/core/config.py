"""Constructor arguments as configuration: recorded when an object is made, hashed when its result is stored."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from perceptransfer.core.errors import ConfigError


class Configurable:
    """Base of everything that can stand in a configuration.

    The arguments of the OUTERMOST ``__init__`` are recorded, defaults included, so that `config_of` and
    `instantiate` are inverse to each other. ``VERSION`` is raised by hand when a package class changes what it
    computes; ``NOT_IDENTITY`` names arguments that say where something runs and not what comes out; ``IF_GIVEN`` names
    arguments that came later and, left at ``None``, give what the class gave before it had them: stored results stay
    valid.
    """

    VERSION: ClassVar[int] = 1
    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset()
    IF_GIVEN: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    def identity_extra(self) -> Mapping[str, Any]:
        """What else decides the result besides the arguments, such as the hash of a weight file."""
        return {}


T = TypeVar("T", bound=Configurable)


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in self.__dict__:  # an outer __init__ has recorded already
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            arguments = dict(bound.arguments)
            arguments.pop(next(iter(signature.parameters)))
            for parameter in signature.parameters.values():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.update(arguments.pop(parameter.name, {}))
            self.__dict__["_arguments"] = arguments
        init(self, *args, **kwargs)

    return wrapper


def config_of(value: Any) -> Any:
    """Plain data (dicts, lists, numbers, strings) from which `instantiate` makes an equal object.

    Raises:
        ConfigError: the value holds something that has no place in a configuration.
    """
    return _describe(value, identity=False)


def identity_of(value: Any) -> Any:
    """Like `config_of`, without what does not change results and with the identity of the code."""
    return _describe(value, identity=True)


def _describe(value: Any, *, identity: bool) -> Any:
    recurse = functools.partial(_describe, identity=identity)
    if isinstance(value, Configurable):
        arguments = value.__dict__.get("_arguments", {})
        skip = set(value.NOT_IDENTITY) if identity else set()
        if identity:
            skip |= {name for name in value.IF_GIVEN if arguments.get(name) is None}
        described = {
            "class_path": f"{type(value).__module__}.{type(value).__qualname__}",
            "init_args": {name: recurse(item) for name, item in arguments.items() if name not in skip},
        }
        if identity:
            described["code"] = code_identity(type(value))
            extra = dict(value.identity_extra())
            if extra:
                described["extra"] = extra
        return described
    if isinstance(value, Mapping):
        return {str(key): recurse(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [recurse(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"{type(value).__name__} cannot stand in a configuration",
        remedy="use numbers, strings, lists, dicts or subclasses of Configurable",
    )


def code_identity(cls: type) -> str:
    """``VERSION`` of a package class; the hash of the whole module's syntax tree for a user's class.

    Comments and layout do not count, any change of code in the user's file does.
    """
    if cls.__module__.split(".")[0] == "perceptransfer":
        return f"version {getattr(cls, 'VERSION', 1)}"
    module = sys.modules[cls.__module__]
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        raise ConfigError(
            f"the source of {cls.__module__}.{cls.__qualname__} cannot be read, so results cannot be identified",
            remedy="define the class in a file that Python can import",
        ) from None
    return "ast " + hashlib.sha256(ast.dump(ast.parse(source)).encode()).hexdigest()


def digest(data: Any) -> str:
    """SHA-256 (hex) of plain data in canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fingerprint(value: Any) -> str:
    """Digest of `identity_of`."""
    return digest(identity_of(value))


def instantiate(config: Any) -> Any:
    """Inverse of `config_of`.

    Raises:
        ConfigError: a class path that cannot be imported or arguments that the class refuses.
    """
    if isinstance(config, Mapping):
        if "class_path" not in config:
            return {key: instantiate(item) for key, item in config.items()}
        path = str(config["class_path"])
        module, _, name = path.rpartition(".")
        try:
            cls = getattr(importlib.import_module(module), name)
            return cls(**{key: instantiate(item) for key, item in config.get("init_args", {}).items()})
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"cannot make {path}: {error}", remedy="put the module on the import path and check its arguments"
            ) from error
    if isinstance(config, list | tuple):
        return [instantiate(item) for item in config]
    return config


def evolve(value: T, **changes: Any) -> T:
    """Copy with other arguments, the rest as they were given."""
    arguments = {**value.__dict__.get("_arguments", {}), **changes}
    return type(value)(**arguments)
