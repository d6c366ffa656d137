"""What a fine-tuning run has done so far: a ledger of rows and a folder of checkpoints named by their hashes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import digest
from perceptransfer.core.errors import ProtocolError, StoreError
from perceptransfer.core.ledger import Ledger


class Journal:
    """Opens or continues a run; every step is looked up here before it is done, which is all that resuming takes.

    Raises:
        LedgerError: the ledger of an earlier run does not verify.
        ProtocolError: it belongs to another protocol.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.ledger = Path(folder), Ledger(Path(folder) / "ledger.jsonl")
        self.steps: list[dict[str, Any]] = []
        self.spent = 0  # interventions while learning
        self.proposed = self.violations = self.episodes = 0
        self.used: dict[str, dict[str, int]] = {}  # episodes and ticks of each phase
        if self.ledger.path.exists():
            self._read()
        earlier = self.find("protocol")
        if earlier is None:
            self.note("protocol", {"identity": dict(identity)})
        elif digest(earlier["identity"]) != digest(dict(identity)):  # digests: a NaN is equal to itself there
            changed = sorted(key for key in identity if digest(earlier["identity"].get(key)) != digest(identity[key]))
            raise ProtocolError(
                f"the ledger is of another run: {', '.join(changed)} changed",
                where=self.ledger.path,
                remedy="use another folder, or the same gate, policy, rule, rules, panels and seed",
            )

    def note(self, kind: str, content: Mapping[str, Any]) -> None:
        """Add a step."""
        self.ledger.append(kind, content)
        self.steps.append({"kind": kind, **content})

    def find(self, kind: str, **values: Any) -> dict[str, Any] | None:
        """The newest step of a kind with these values."""
        wanted = {"kind": kind, **values}
        matching = (row for row in reversed(self.steps) if wanted.items() <= {k: row.get(k) for k in wanted}.items())
        return next(matching, None)

    def count(self, row: Mapping[str, Any]) -> None:
        """Add a tick to the sums that no crash may lower."""
        self.proposed += 1
        self.episodes += row["tick"] == 0
        used = self.used.setdefault(row["phase"], {"episodes": 0, "ticks": 0})
        used["episodes"] += row["tick"] == 0
        used["ticks"] += 1
        self.violations += bool(row["violated"])
        self.spent += row["update"] is not None and row["decision"] != "pass"

    def save(self, checkpoint: Checkpoint) -> str:
        """Store a checkpoint under its hash and return that."""
        name = checkpoint.state_hash()
        path = self._path(name)
        if not path.exists():
            checkpoint.save(path)
        return name

    def load(self, name: str) -> Checkpoint:
        """The checkpoint of a hash.

        Raises:
            StoreError: it is missing, damaged, or not what its name says.
        """
        checkpoint = Checkpoint.load(self._path(name))
        if checkpoint.state_hash() != name:
            raise StoreError(
                "the checkpoint is not what its name says", where=self._path(name), remedy="restore it from a copy"
            )
        return checkpoint

    def _path(self, name: str) -> Path:
        return self.folder / "checkpoints" / f"{name}.safetensors"

    def _read(self) -> None:
        self.ledger.recover()
        self.ledger.verify()
        for row in self.ledger.rows():
            if row["kind"] == "tick":
                self.count(row)
            else:
                self.steps.append(row)
