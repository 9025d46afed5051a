"""A few hundred of the fuzzer's variants in every test run, and each that ever failed."""

import os

import fuzz_evtx
import pytest

# SEED:NUMBER of what failed once, and why
REGRESSIONS = {
    "1:210": "a flag that no checksum covers made the wheel leave out the checksums of a chunk",
}


def told(wrong: list[str]) -> str:
    return "\n".join(wrong)


def test_the_same_numbers_make_the_same_file():
    assert fuzz_evtx.variant(5, 17) == fuzz_evtx.variant(5, 17)
    assert fuzz_evtx.variant(5, 17) != fuzz_evtx.variant(5, 18)


def test_no_variant_that_failed_once_fails_again():
    variants = [fuzz_evtx.variant(*map(int, name.split(":"))) for name in REGRESSIONS]
    wrong, _ = fuzz_evtx.run(variants, jobs=2, whole=40)
    assert not wrong, told(wrong)


@pytest.mark.slow
def test_three_hundred_variants():
    """Other ones with LOGONTRACKS_FUZZ_SEED."""
    seed = int(os.environ.get("LOGONTRACKS_FUZZ_SEED", "2026"))
    variants = [fuzz_evtx.variant(seed, number) for number in range(300)]
    wrong, reading = fuzz_evtx.run(variants, jobs=2, whole=40)
    assert not wrong, told(wrong)
    assert reading.seconds < 300
