"""The field's words, so that a reader who searches finds them: see "Words" in CONTRIBUTING.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACES = ("node_experiments", "configs", "scripts", "tests")
# What is not written -> what is.
WORDS = {
    r"way back": "backward pass, or backward solve",
    r"ways? to (a )?gradients?": "gradient method",
    r"evaluations a (solve|step)|seconds a step|images a batch": "per solve, per step, per batch",
    r"run director(y|ies)": "run folder",
    r"foret(ell|old)|shall (say|predict)": "predict, forecast",
    r"anew|begun": "again, started",
    r"refus(e|es|ed|al)": "reject, raise",
    r"(of|by) (its|their) own|told of": "own, separate, independently; is called with",
}


def test_private_words_are_not_written():
    files = [path for place in PLACES for kind in ("py", "md", "yaml")
             for path in sorted((ROOT / place).rglob(f"*.{kind}"))]  # fmt: skip
    pattern = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.IGNORECASE)
    found = []
    for path in [*files, *ROOT.glob("*.md")]:
        if path.resolve() == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {m[0]}" for m in pattern.finditer(line)]
    assert not found, f"{found}; write instead: {WORDS}"
