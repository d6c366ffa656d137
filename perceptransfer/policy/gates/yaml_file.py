"""YAML in which a key given twice is an error: of two limits, PyYAML would silently keep the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perceptransfer.core.errors import GateError, MissingExtraError


def read_yaml(path: Path) -> Any:
    """Content of a file.

    Raises:
        GateError: it cannot be read, is not YAML, or gives a key twice.
        MissingExtraError: PyYAML is not installed, which a robot that builds its gate in Python can do without.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("gate files need PyYAML", where=path, remedy="pip install pyyaml") from error

    class Loader(yaml.SafeLoader):
        """SafeLoader that refuses a key given twice."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise GateError(f"given twice, again in line {line}", where=path, key=key, remedy="keep one of them")
            seen.add(key)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise GateError(f"cannot be read: {error.strerror}", where=path, remedy="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise GateError(f"not YAML: {text}", where=path, remedy="see the examples in configs/gates") from error
