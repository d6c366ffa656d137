"""The scene file with other sensor ranges, everything else as its author wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from perceptransfer.render.distributions import Distribution, LogUniform


def plain(ranges: Mapping[str, Distribution]) -> dict[str, Any]:
    """Even ranges as a scene file writes them."""
    return {
        name: {"log_uniform": [it.low, it.high]} if isinstance(it, LogUniform) else [it.low, it.high]
        for name, it in ranges.items()
    }


def with_sensor(text: str, ranges: Mapping[str, Distribution], comment: str) -> str:
    """A scene file's text with these ranges in its ``sensor``; what is not fitted, and comments elsewhere, stay."""
    tree: dict[str, Any] = yaml.safe_load(text) or {}
    inside = tree.get("init_args", tree)
    inside["sensor"] = {**(inside.get("sensor") or {}), **plain(ranges)}
    made = _in_place(text, inside["sensor"], comment)
    if made is not None:
        try:
            if yaml.safe_load(made) == tree:
                return made
        except yaml.YAMLError:
            pass  # an anchor stood in the block
    return f"# {comment}\n" + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def _in_place(text: str, sensor: Mapping[str, Any], comment: str) -> str | None:
    """The text with its sensor's block replaced, if it has one in a place of its own."""
    top = _entries(yaml.compose(text))
    found = (_entries(top["init_args"][1]) if "init_args" in top else top).get("sensor")
    if found is None:
        return None
    name, value = found
    start, end = name.end_mark.index, value.end_mark.index
    rest = text[start:end]
    indent = " " * (name.start_mark.column + 2)
    lines = [
        f"{indent}{key}: {yaml.safe_dump(it, default_flow_style=True, width=1000).splitlines()[0]}"
        for key, it in sensor.items()
    ]
    return text[:start] + f":  # {comment}\n" + "\n".join(lines) + rest[len(rest.rstrip()) :] + text[end:]


def _entries(node: Any) -> dict[str, tuple[Any, Any]]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: (key, value) for key, value in pairs}
