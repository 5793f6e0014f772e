"""Tables 1 and 4 compared with the paper's."""

from benchmark.models.registry import registry
from benchmark.report.model_tables import family_of, table_1, table_4
from benchmark.report.table_model import TableModel


def _by_part(table: TableModel) -> dict[str, dict[str, tuple[str, ...]]]:
    parts: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in table.rows:
        if row.kind == "heading":
            part = parts.setdefault(row.cells[0].text, {})
        else:
            name, *others = (cell.text for cell in row.cells)
            part[name] = tuple(others)
    return parts


def test_table_1_as_printed() -> None:
    """Each experiment has the rows of the paper's Table 1: size, training and base."""
    parts = _by_part(table_1())
    code, math, alignment = parts.values()
    assert list(parts) == [
        "Experiment 1 (code)",
        "Experiment 2 (math)",
        "Experiment 3 (alignment)",
    ]
    assert (len(code), len(math), len(alignment)) == (6, 8, 12)
    assert code["Llama 2"] == ("7B\N{EN DASH}70B", "", "", "", "\N{EN DASH}")
    assert code["DeepSeek-Coder"] == ("7B", "✓", "", "", "DeepSeek")
    assert math["FLoat"] == ("7B", "", "✓ (instruct)", "", "Llama")
    assert math["OpenMath-Mistral"] == ("7B", "", "✓ (instruct)", "", "Mistral")
    assert math["DeepSeek-Math"] == ("7B", "✓", "✓", "", "DeepSeek-Coder")
    assert math["CodeLlama"] == ("7B, 34B", "✓", "", "", "Llama 2")
    assert math["Llemma"] == ("7B, 34B", "✓", "✓", "", "CodeLlama")
    assert alignment["CodeLlama Instruct"] == ("7B\N{EN DASH}70B", "✓", "", "✓", "CodeLlama")
    assert alignment["Llama 2 Chat"] == ("7B\N{EN DASH}70B", "", "", "✓", "Llama 2")


def test_table_4_as_printed() -> None:
    """All 29 identifiers are the paper's; four use the chat format and seven rejected it."""
    rows = [tuple(cell.text for cell in row.cells) for row in table_4().rows]
    assert len({row[2] for row in rows}) == 29
    marks = [row[3] for row in rows]
    assert (marks.count("✓"), marks.count("✗"), marks.count("\N{EN DASH}")) == (4, 7, 18)
    assert ("Llama 2 Chat", "70B", "meta-llama/Llama-2-70b-chat-hf", "✓") in rows
    assert ("CodeGemma Instruct", "7B", "google/codegemma-1.1-7b-it", "✗") in rows


def test_families() -> None:
    """A family is a model's name without the size."""
    models = registry().models
    assert family_of(models["llama2-13b-chat"]) == "Llama 2 Chat"
    assert family_of(models["deepseek-coder-7b"]) == "DeepSeek-Coder"
