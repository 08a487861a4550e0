"""Adds up the JUnit reports of all test programs in a folder and prints the closing line.

Names what failed and why things were skipped; a program that crashed counts as one failure. Exit status 1 if anything
failed or nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def main(folder):
    passed = failed = 0
    skips = Counter()
    for report in sorted(pathlib.Path(folder).glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"FAILED {report.stem}: {name}")
            elif case.find("skipped") is not None:
                reason = case.find("skipped").get("message") or "no reason given"
                skips[reason.strip().splitlines()[-1]] += 1
            elif case.get("status") != "notrun":
                passed += 1
    for crash in sorted(pathlib.Path(folder).glob("*.crash")):
        failed += 1
        print(f"FAILED {crash.stem}: {crash.read_text().strip()}")
    for reason, count in sorted(skips.items()):
        print(f"skipped {count}: {reason}")
    print(f"{passed} passed, {failed} failed, {sum(skips.values())} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
