"""The quick forms give what forms.py gives."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logontracks import quick_forms
from logontracks.forms import FORMS
from logontracks.quick_forms import _QUICK

GUID = "0c2b1f4e-1d5a-4f7e-9a31-2f6f0c7e1ab2"
LIKELY = [
    "", "-", " - ", "(NULL)", " anna ", "\0", "S-1-0-0", "%{S-1-5-18}", "S-1-5-18", f"{{{GUID.upper()}}}", GUID,
    "{00000000-0000-0000-0000-000000000000}", "0x0", "0x3e7", "0X3E7", "0xffffffffffffffff", "0x10000000000000000",
    "18446744073709551615", "9223372036854775808", "007", "+5", "-5", "1_000", " 12 ", "65535", "65536", "(0x0,0x3E7)",
    "\u0130STANBUL", "\u03a3\u03a3", "\u00a0x\u00a0", "0x", "\u0663",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(LIKELY), st.text(max_size=8), st.integers(-(1 << 66), 1 << 66).map(str),
    st.integers(0, 1 << 66).map(hex),
)  # fmt: skip


@pytest.mark.parametrize("form", _QUICK)
@given(texts=st.lists(TEXTS, max_size=6))
def test_many_at_once_are_as_one_by_one(form, texts):
    texts = [*texts, *map(str, range(1, quick_forms.FEW + 2))]
    make, kind = FORMS[form]
    made = quick_forms.values(form, pa.array(texts, pa.string()))
    assert made.type == kind
    assert made.to_pylist() == [make(text) for text in texts]


@given(texts=st.lists(TEXTS))
def test_lower_is_that_of_python(texts):
    assert quick_forms.lower(pa.array(texts, pa.string())).to_pylist() == [text.lower() for text in texts]
