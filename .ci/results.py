"""Numbers and words of JUnit files: ``results.py FOLDER FAILURES``.

Prints "passed failed" of the files below FOLDER, and appends to the file FAILURES what each failed test said. Plain
Python: CI runs it with whatever python3 the machine has.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

#: Of what a failed test said, so many lines of at most so many characters: a log keeps its end, and that only in part.
LINES = 40
CHARACTERS = 400


def words(case, problem):
    """What happened, in lines: the test, the sentence, the beginning of the text."""
    yield f"FAILED {case.get('classname')}: {case.get('name')}"
    text = [problem.get("message") or "", *(problem.text or "").splitlines()]
    said = [line[:CHARACTERS] for line in text if line.strip()]
    yield from (f"    {line}" for line in said[:LINES])
    if len(said) > LINES:
        yield f"    ... and {len(said) - LINES} more lines"


def main(folder, failures):
    good = 0
    bad = []
    for file in sorted(Path(folder).glob("*.xml")):
        for case in ElementTree.parse(file).getroot().iter("testcase"):
            problem = case.find("failure")
            if problem is None:
                problem = case.find("error")
            if problem is not None:
                bad.append("\n".join(words(case, problem)))
            elif case.find("skipped") is None:
                good += 1
    with open(failures, "a", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in bad)
    sys.stdout.write(f"{good} {len(bad)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
