"""Print a text one sentence a line: the program of the agent printer."""

import re
import sys

sys.stdout.write("\n".join(re.split(r"(?<=[.!?])\s+", sys.stdin.read().strip())))
