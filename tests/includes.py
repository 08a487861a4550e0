"""Who may include whom: the leaves xsk, bpf, numa and plugins know themselves and engine/base; engine knows all.

With --compile BUILD_DIR COMPILER... also checks that every header compiles alone.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
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


def compiles_alone(header, build, compiler):
    if header.name.endswith(".bpf.h"):  # part of a BPF program
        multiarch = subprocess.run([*compiler, "-print-multiarch"], capture_output=True, text=True).stdout.strip()
        compiler = ["clang", "-target", "bpf"]
        flags = ["-fsyntax-only", "-x", "c", f"-I{ROOT}", f"-I/usr/include/{multiarch}"]
    else:
        flags = ["-std=c++20", "-fsyntax-only", "-x", "c++", f"-I{ROOT}", f"-I{build}",
                 "-isystem", f"{build}/bpf/skel", "-isystem", "/usr/include/luajit-2.1"]
    done = subprocess.run([*compiler, *flags, str(header)], capture_output=True, text=True)
    first_error = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
    return None if done.returncode == 0 else f"{header.relative_to(ROOT)} does not compile alone: {first_error}"


def dependent_headers(build, compiler):
    headers = [h for folder in (*LEAVES, "engine") for h in sorted((ROOT / folder).rglob("*.h"))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [error for error in pool.map(lambda h: compiles_alone(h, build, compiler), headers) if error]


if __name__ == "__main__":
    found = wrong_directions()
    if len(sys.argv) > 3 and sys.argv[1] == "--compile":
        found += dependent_headers(sys.argv[2], sys.argv[3:])
    print("\n".join(found) or "all includes point the right way")
    sys.exit(1 if found else 0)
