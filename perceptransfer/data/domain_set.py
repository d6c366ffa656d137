"""All domains of one experiment, by role."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np

from perceptransfer.data.domain import Domain
from perceptransfer.data.real_test import TestDomain


class DomainSet(dict[str, Domain]):
    """Domains by role: ``synthetic``, ``synthetic_val``, ``unlabeled``, ``device``, ``labeled``, ``val`` and ``test``.

    ``facts`` says how they came about, for the ledger. A domain may be empty.
    """

    def __init__(self, domains: dict[str, Domain], facts: dict[str, Any]) -> None:
        super().__init__(domains)
        self.facts = facts

    @overload
    def __getitem__(self, role: Literal["test"]) -> TestDomain: ...
    @overload
    def __getitem__(self, role: str) -> Domain: ...
    def __getitem__(self, role: str) -> Domain:
        return super().__getitem__(role)

    def describe(self) -> dict[str, Any]:
        """Fingerprint, number of images and, where visible, images per class of every domain; and the facts."""
        domains: dict[str, Any] = {}
        for role, domain in self.items():
            domains[role] = {"fingerprint": domain.fingerprint, "images": len(domain)}
            if domain.has_labels and not isinstance(domain, TestDomain):
                counts = np.bincount(domain.labels, minlength=len(domain.classes))
                domains[role]["per_class"] = dict(zip(domain.classes, counts.tolist(), strict=True))
        return {"domains": domains, **self.facts}
