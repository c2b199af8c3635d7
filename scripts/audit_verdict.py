"""What an audit of the locked versions says (``scripts/release``); exit code 1 unless nothing is
known against any of them. pip-audit itself is content with an index that knows none of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WITHOUT = "AUDIT=skip goes on without an audit"


def verdict(dependencies: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    """Whether all is well, and why not."""
    known = [one for one in dependencies if one.get("vulns")]
    if known:
        named = ", ".join(
            f"{one['name']} {one['version']} ({', '.join(v['id'] for v in one['vulns'])})"
            for one in known
        )
        return False, f"known against these versions: {named}; newer ones: scripts/lock --upgrade"
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if skipped or not dependencies:
        return False, (
            f"the index of vulnerabilities did not answer for {len(skipped)} of "
            f"{len(dependencies)} versions, so nothing is known about those; {WITHOUT}"
        )
    return True, f"nothing is known against {len(dependencies)} versions"


def main(path: Path) -> int:
    if not path.exists():
        print(f"release: the index of vulnerabilities cannot be reached; {WITHOUT}")
        return 1
    is_well, said = verdict(json.loads(path.read_text())["dependencies"])
    print(f"release: {said}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
