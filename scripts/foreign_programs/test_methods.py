"""Run unittest modules and count the test methods all of whose subtests pass."""

import sys
import unittest
import warnings
from collections.abc import Iterator


def methods(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from methods(test)
        else:
            yield test


def main() -> None:
    warnings.simplefilter("ignore")
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
    passed = total = 0
    for test in methods(suite):
        result = unittest.TestResult()
        test.run(result)
        bad = [*result.failures, *result.errors]
        total += 1
        passed += not bad
        if bad:
            print(f"failed: {test.id()}, {len(bad)} times")
        for subtest, text in bad[:3]:
            print("   ", str(subtest)[-100:], "|", text.strip().splitlines()[-1][:160])
    print(f"methods passed: {passed} of {total}")


if __name__ == "__main__":
    main()
