"""The commonest normal forms for many values at once, in Arrow.

forms.py says what each form means. What is here gives the same for every array (tests/test_quick_forms.py), or raises
pa.ArrowInvalid where it cannot, and then the values are taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from logontracks.forms import _NONE, FORMS
from logontracks.schema import Form

FEW = 100  # so few are as fast one by one
_NOTHING = pa.array(sorted(_NONE))


def values(form: Form, texts: pa.StringArray) -> pa.Array:
    """The column's values for distinct texts, NULL where there is none."""
    quick = _QUICK.get(form)
    if quick is not None and len(texts) > FEW:
        try:
            return quick(texts)
        except pa.ArrowInvalid:
            pass
    make, kind = FORMS[form]
    return pa.array([make(text) for text in texts.to_pylist()], kind)


def lower(texts: pa.StringArray) -> pa.StringArray:
    """In lower case as Python makes it: Arrow differs in Greek and Turkish."""
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return pc.ascii_lower(texts)
    return pa.array([None if text is None else text.lower() for text in texts.to_pylist()], pa.string())


def _without(texts: pa.Array, wrong: pa.Array) -> pa.Array:
    return pc.if_else(wrong, pa.scalar(None, texts.type), texts)


def _text(texts: pa.StringArray) -> pa.StringArray:
    plain = pc.ascii_trim(texts, characters=" \t\r\n\0")
    return _without(plain, pc.is_in(plain, value_set=_NOTHING))


def _sid(texts: pa.StringArray) -> pa.StringArray:
    plain = _text(texts)
    if pc.any(pc.starts_with(plain, "%")).as_py():
        raise pa.ArrowInvalid("a SID in braces")
    return _without(plain, pc.equal(plain, "S-1-0-0"))


def _guid(texts: pa.StringArray) -> pa.StringArray:
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        raise pa.ArrowInvalid("no GUID")
    plain = pc.ascii_lower(pc.ascii_trim(texts, characters=" {}"))
    is_one = pc.and_(pc.equal(pc.binary_length(plain), 36), pc.not_equal(pc.ascii_trim(plain, characters="0-"), ""))
    return _without(plain, pc.invert(is_one))


def _integer(texts: pa.StringArray) -> pa.Int64Array:
    """Raises pa.ArrowInvalid where a text is neither a number nor stands for none."""
    return _without(texts, pc.is_in(texts, value_set=_NOTHING)).cast(pa.uint64()).view(pa.int64())


def _logon_id(texts: pa.StringArray) -> pa.Int64Array:
    numbers = _integer(texts)
    return _without(numbers, pc.equal(numbers, 0))


def _port(texts: pa.StringArray) -> pa.Int32Array:
    numbers = _integer(texts)
    outside = pc.or_(pc.less(numbers, 1), pc.greater(numbers, 65535))
    return _without(numbers, outside).cast(pa.int32())


_QUICK: dict[Form, Callable[[pa.StringArray], pa.Array]] = {
    Form.TEXT: _text,
    Form.SID: _sid,
    Form.GUID: _guid,
    Form.INTEGER: _integer,
    Form.LOGON_ID: _logon_id,
    Form.PORT: _port,
}
