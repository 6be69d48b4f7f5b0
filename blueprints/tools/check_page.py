"""Check one page: JSON on stdin, JSON on stdout, exit 2 if there is no such page."""

import json
import re
import sys
from pathlib import Path

_LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")


def main() -> int:
    """Count the words of the page and find links that lead nowhere."""
    page = Path(json.load(sys.stdin)["page"])
    if not page.is_file():
        print(f"no such page: {page}", file=sys.stderr)
        return 2
    text = page.read_text(encoding="utf-8")
    dead = [link for link in _LINK.findall(text) if not (page.parent / link).is_file()]
    json.dump({"page": str(page), "words": len(text.split()), "dead_links": dead}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
