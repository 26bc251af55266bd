"""Instructions, responses and roles of conversations."""

from __future__ import annotations

from quality.text.turns import instruction_of, response_of, roles_of
from tests.quality.rows import conversation_table


def test_turns() -> None:
    table = conversation_table(
        [
            {
                "id": "1",
                "source": "",
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                    {"role": "assistant", "content": "d"},
                ],
            },
            {"id": "2", "source": "", "messages": [{"role": "user", "content": "only"}]},
            {"id": "3", "source": "", "messages": []},
        ]
    )
    assert instruction_of(table).to_pylist() == ["s\na\nc", "only", ""]
    assert response_of(table).to_pylist() == ["d", "", ""]
    assert roles_of(table).to_pylist() == ["system user assistant user assistant", "user", ""]
    assert response_of(table.slice(1)).to_pylist() == ["", ""]
