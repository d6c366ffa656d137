"""A policy head in a folder: what it is, what it sees, on which bundle's features, and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceptransfer.core.config import config_of, digest
from perceptransfer.core.errors import BundleError
from perceptransfer.core.files import write_atomic
from perceptransfer.policy.arrays import hash_arrays
from perceptransfer.policy.heads import ChunkHead, MLPHead, PolicyHead
from perceptransfer.policy.planar_head import PlanarHead
from perceptransfer.policy.tensor_file import unpack, write_arrays

SCHEMA = 2
DESCRIPTION, WEIGHTS = "policy.json", "head.safetensors"
_REMEDY = "train the policy again, or copy the whole folder again"
_KINDS: dict[str, type[PolicyHead]] = {"mlp": MLPHead, "chunk": ChunkHead, "planar": PlanarHead}


@dataclass(frozen=True)
class PolicyDescription:
    """``options`` are the head's arguments; ``keys`` are the observations in its order; ``bundle`` is the encoder's
    SHA-256 (None: no pictures); ``features`` are the columns that are used of its features (None: all), ``target``
    those of them that estimate the target's place, if any; ``weights`` hashes the head.
    """  # noqa: D205 - one sentence

    kind: str
    options: Mapping[str, Any]
    keys: tuple[str, ...]
    bundle: str | None
    features: tuple[int, int] | None
    target: tuple[int, int] | None
    world: str
    weights: str
    schema: int = SCHEMA


def save_policy(
    folder: Path,
    head: PolicyHead,
    keys: Sequence[str],
    *,
    world: str,
    bundle: str | None = None,
    features: tuple[int, int] | None = None,
    target: tuple[int, int] | None = None,
) -> PolicyDescription:
    """Write weights, then the description that vouches for them.

    Raises:
        OutputError: the folder cannot be written.
    """
    kind = next(name for name, cls in _KINDS.items() if type(head) is cls)
    state = head.state_dict()
    made = PolicyDescription(
        kind, config_of(head)["init_args"], tuple(keys), bundle, features, target, world, hash_arrays(state),
    )  # fmt: skip
    write_arrays(folder / WEIGHTS, state)
    content = asdict(made)
    write_atomic(folder / DESCRIPTION, json.dumps({**content, "sha256": digest(content)}, indent=1) + "\n")
    return made


def load_policy(folder: str | Path) -> tuple[PolicyHead, PolicyDescription]:
    """The head, in evaluation mode, and its description.

    Raises:
        BundleError: a file is missing, altered or of another version.
    """
    place = Path(folder)
    try:
        content: dict[str, Any] = json.loads((place / DESCRIPTION).read_text())
        claimed = content.pop("sha256")
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        made = PolicyDescription(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"not a saved policy ({error})", where=place / DESCRIPTION, remedy=_REMEDY) from error
    if made.schema != SCHEMA:
        raise BundleError(
            f"the policy is of version {made.schema}, this program reads version {SCHEMA}",
            where=place / DESCRIPTION, key="schema", remedy=_REMEDY,
        )  # fmt: skip
    if digest(content) != claimed or made.kind not in _KINDS:
        raise BundleError("the description was edited: its own hash differs", where=place / DESCRIPTION, remedy=_REMEDY)
    try:
        state = unpack((place / WEIGHTS).read_bytes(), "torch", place / WEIGHTS)
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", where=place / WEIGHTS, remedy=_REMEDY) from error
    if hash_arrays(state) != made.weights:
        raise BundleError("the weights were altered: their hash differs", where=place / WEIGHTS, remedy=_REMEDY)
    head = _KINDS[made.kind](**made.options)
    head.load_state_dict(state)
    return head.eval(), made
