"""Write README's result table again from a results folder: ``python benchmarks/update_readme.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/real_fraction/results/digits"
START, END = "<!-- results -->", "<!-- /results -->"
SHOWN = (0.0, 0.01, 0.1, 1.0)


def percent(number: dict[str, Any] | None) -> str:
    """Value and interval in percent, or nothing."""
    if number is None or number.get("value") is None:
        return ""
    text = f"{100 * number['value']:.1f}"
    if "low" in number:
        text += f" [{100 * number['low']:.1f}, {100 * number['high']:.1f}]"
    return text


def table(summary: dict[str, Any], run: dict[str, Any]) -> str:
    """Markdown: a row an arm, a column a fraction, then the transfer ratio without labels."""
    task = next(iter(summary["tasks"].values()))
    lines = [
        "| arm | " + " | ".join(f"{fraction:.0%} real" for fraction in SHOWN) + " | ratio at 0 % |",
        "|:--|" + "--:|" * (len(SHOWN) + 1),
    ]
    for name, arm in task["arms"].items():
        points = {point["fraction"]: point for point in arm["points"]}
        cells = [percent(points[fraction]["score"]) if fraction in points else "" for fraction in SHOWN]
        ratio = points.get(0.0, {}).get("ratio") or {}
        value = "" if ratio.get("value") is None else f"{ratio['value']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
        lines.append(f"| **{name}** {run['arms'][name]} | " + " | ".join(cells) + f" | {value} |")
    return "\n".join(lines)


def main() -> None:
    """Replace what stands between the marks."""
    folder = ROOT / RESULTS
    summary, run = (json.loads((folder / name).read_text()) for name in ("summary.json", "run.json"))
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, tail = text.index(START) + len(START), text.index(END)
    readme.write_text(f"{text[:head]}\n{table(summary, run)}\n{text[tail:]}")


if __name__ == "__main__":
    main()
