from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.config import dotenv

_keys = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
_awkward = st.text(alphabet=st.sampled_from("AB=:#\"'\\$ {}\n\r\texport_.-1é"), max_size=60)


@given(_awkward | st.text(max_size=60))
def test_any_text_gives_variables_or_dotenv_invalid(text: str) -> None:
    line = 1
    try:
        values = dotenv.parse(text)
    except dotenv.DotenvInvalid as error:
        values, line = {}, error.line
    assert all(values)
    assert 1 <= line <= text.count("\n") + 1


@given(st.dictionaries(_keys, st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))))
def test_double_quotes_can_carry_any_value(values: dict[str, str]) -> None:
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()}
    text = "".join('{}="{}"\n'.format(key, value.replace("$", "\\$")) for key, value in escaped.items())
    assert dotenv.parse(text) == values
