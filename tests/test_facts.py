"""The facts about waits: what the reader refuses, what the tables say, and whether torch agrees."""

from __future__ import annotations

import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from synclint import facts
from synclint.facts import schema, table

if TYPE_CHECKING:
    from synclint.facts import Fact

FOLDER = Path(facts.__file__).parent

GOOD_FACT = """\
# a comment

[[fact]]
id = "first"
operations = ["aten::item"]
spellings = ["Tensor.item"]
when = ["self.cuda", "not non-blocking"]
direction = "d2h"
cause = "scalar-read"
event = "sync"
since = "2.6"
until = "2.15"
alternative = "Do not."
evidence = [{kind = "source", reference = "somewhere.cpp"}]
snippet = "torch.ones(())"

[[fact]]
id = "second"
operations = ["aten::_to_copy"]
spellings = ["Tensor.to"]
when = []
direction = "none"
cause = "none"
event = "none"
alternative = "Nothing to change."
evidence = [{kind = "probe", reference = "a probe"}]
snippet = "torch.ones(())"
"""

GOOD_RESULT = """\
[[result]]
of = "torch"
names = 'abs neg'
returns = "tensor"
device = "first"

[[result]]
of = "Tensor"
kind = "attribute"
names = 'shape'
returns = "sequence"
"""


def test_a_good_table_is_read() -> None:
    first, second = schema.read_facts(GOOD_FACT, "good.toml")
    assert first.when == (facts.Condition("self.cuda", True), facts.Condition("non-blocking", False))
    assert (first.since, first.until) == ((2, 6), (2, 15))
    assert (second.since, second.until, second.when) == (None, None, ())
    assert second.evidence == (facts.Evidence("probe", "a probe"),)
    one, other = schema.read_results(GOOD_RESULT, "good.toml")
    assert (one.line, one.owner, one.kind, one.names) == (1, "torch", "function", ("abs", "neg"))
    assert (other.line, other.kind, other.result) == (7, "attribute", facts.Result("sequence"))
    assert (one.result.alias, one.result.rank, one.result.dtype, one.result.dim) == (
        "fresh",
        "unknown",
        "unknown",
        None,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('id = "second"', 'id = "first"', 17, "id 'first' is already used"),
        ('id = "second"', 'id = "Second"', 17, "not kebab-case"),
        ('id = "second"', "", 17, "'id' is missing"),
        ('id = "second"', "id = 2", 17, "'id' must be a text"),
        ('id = "second"', 'id = "second"\nseverity = 3', 17, "unknown key 'severity'"),
        ('["aten::_to_copy"]', '["_to_copy"]', 17, "neither an aten overload nor"),
        ('["aten::_to_copy"]', "[]", 17, "'operations' is empty"),
        ('["Tensor.to"]', '["Tensor.to", "Tensor.to"]', 17, "names 'Tensor.to' twice"),
        ('["Tensor.to"]', '"Tensor.to"', 17, "'spellings' must be a list of texts"),
        ("when = []", 'when = ["self.gpu"]', 17, "unknown predicate 'self.gpu'"),
        ("when = []", 'when = ["not  self.cpu"]', 17, "unknown predicate ' self.cpu'"),
        ("when = []", 'when = ["self.cpu", "not self.cpu"]', 17, "asks a predicate twice"),
        ("when = []", "", 17, "'when' is missing"),
        ('direction = "d2h"', 'direction = "down"', 3, "direction = 'down', must be one of"),
        ('direction = "d2h"', 'direction = "none"', 3, "does not go with direction"),
        ('cause = "scalar-read"', 'cause = "none"', 3, 'are "none" together'),
        ('cause = "scalar-read"', 'cause = "bad luck"', 3, "cause = 'bad luck'"),
        ('event = "sync"', 'event = "wait"', 3, "event = 'wait'"),
        ('since = "2.6"', 'since = "2"', 3, "not a version"),
        ('since = "2.6"', 'since = "2.15"', 3, "not before"),
        ('kind = "source"', 'kind = "hearsay"', 3, "kind = 'hearsay'"),
        ('[{kind = "source", reference = "somewhere.cpp"}]', "[]", 3, "'evidence' must be a list"),
        ('reference = "somewhere.cpp"', 'source = "somewhere.cpp"', 3, "unknown key 'source'"),
        ('alternative = "Do not."', 'alternative = " "', 3, "'alternative' must be a text"),
        ('snippet = "torch.ones(())"', 'snippet = "torch.ones(("', 3, "snippet: "),
        ("[[fact]]", "[[facts]]", 1, "unknown table 'facts'"),
        ("when = []", "when = [", 22, "line 22"),
        ('[[fact]]\nid = "second"', '[fact]\nid = "second"', 17, "line 17"),
    ],
)
def test_a_malformed_fact_is_refused_with_file_and_line(old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD_FACT
    with pytest.raises(facts.FactsError, match=rf"^bad\.toml:{line}: .*{re.escape(message)}"):
        schema.read_facts(GOOD_FACT.replace(old, new), "bad.toml")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("'abs neg'", "'abs neg abs'", 1, "torch.abs is already entered as function"),
        ('of = "torch"', "", 1, "'of' is missing"),
        ('device = "first"', "", 1, "'tensor' needs a device"),
        ('device = "first"', 'device = "second"', 1, "device = 'second'"),
        ('device = "first"', 'device = "first"\nrank = 1', 1, "rank = 1, must be one of"),
        ('device = "first"', 'device = "first"\ndim = -1', 1, "'dim' must be a position"),
        ('device = "first"', 'device = "first"\ndim = true', 1, "'dim' must be a position"),
        ('device = "first"', 'device = "first"\nwaits = true', 1, "unknown key 'waits'"),
        ('kind = "attribute"', 'kind = "property"', 7, "kind = 'property'"),
        ('returns = "sequence"', 'returns = "sequence"\ndevice = "cpu"', 7, "'sequence' has no device"),
        ("names = 'shape'", "", 7, "'names' is missing"),
    ],
)
def test_a_malformed_result_is_refused_with_file_and_line(old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD_RESULT
    with pytest.raises(facts.FactsError, match=rf"^bad\.toml:{line}: .*{re.escape(message)}"):
        schema.read_results(GOOD_RESULT.replace(old, new), "bad.toml")


def test_every_table_of_the_folder_is_read() -> None:
    read = {*facts._FACTS, *facts._RESULTS.values()}
    assert {path.stem for path in FOLDER.glob("*.toml")} == read


def test_every_fact_is_found_by_what_it_is_about() -> None:
    found = []
    for file in facts._FACTS:
        found += schema.read_facts((FOLDER / f"{file}.toml").read_text(encoding="utf-8"), file)
    assert found == list(facts.all_facts()), "no id is in two files"
    for fact in found:
        assert all(fact in facts.facts_for(spelling) for spelling in fact.spellings)


@pytest.mark.parametrize("file", sorted(set(facts._RESULTS.values())))
def test_every_result_is_found_by_its_name(file: str) -> None:
    entries = schema.read_results((FOLDER / f"{file}.toml").read_text(encoding="utf-8"), file)
    assert entries == tuple(facts._results(file))
    for entry in entries:
        assert facts._RESULTS[entry.owner] == file, f"{file}.toml:{entry.line}: its owner is looked up in another file"
        assert all(facts._result(entry.owner, entry.kind, name) == entry.result for name in entry.names)


def test_an_entry_is_parsed_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    (tmp_path / "half.toml").write_text(GOOD_FACT.replace('id = "second"', 'id = "Second"'), encoding="utf-8")
    half = table.Table("half", schema.read_facts)
    assert [fact.id for fact in half.about("Tensor.item")] == ["first"]
    assert list(half.about("Tensor.ite")) == []
    with pytest.raises(facts.FactsError, match=r"^half\.toml:17: .*not kebab-case"):
        list(half.about("Tensor.to"))


NEEDED = {
    "scalar-read": ({"Tensor.item", "int(Tensor)", "float(Tensor)", "complex(Tensor)", "bool(Tensor)"}, {"self.cuda"}),
    "scalar-read-host": ({"Tensor.item", "int(Tensor)", "float(Tensor)"}, {"self.cpu"}),
    "truth-value": ({"truth(Tensor)"}, {"self.cuda"}),
    "blocking-h2d-copy": ({"Tensor.to", "Tensor.cuda"}, {"self.cpu", "target.cuda", "not non-blocking"}),
    "blocking-h2d-copy-into": ({"Tensor.copy_"}, {"source.cpu", "self.cuda", "not non-blocking"}),
    "tensor-from-host-data": (
        {"torch.tensor", "torch.as_tensor", "torch.asarray", "Tensor.new_tensor", "torch.cuda.FloatTensor"},
        {"data.host", "target.cuda"},
    ),
    "tensor-from-device-scalars": (
        {"torch.tensor", "torch.as_tensor", "torch.Tensor", "torch.FloatTensor"},
        {"data.holds-cuda"},
    ),
    "masked-scatter": ({"Tensor.masked_scatter_"}, {"mask.cuda"}),
}


@pytest.mark.parametrize("id", NEEDED)
def test_facts_that_rules_rest_on(id: str) -> None:
    spellings, conditions = NEEDED[id]
    fact = facts.fact(id)
    assert spellings <= set(fact.spellings)
    assert {("" if expected else "not ") + predicate for predicate, expected in fact.when} == conditions
    assert all(fact in facts.facts_for(spelling) for spelling in spellings)


def test_events_that_rules_rest_on() -> None:
    events = {id: facts.fact(id).event for id in NEEDED}
    assert events.pop("scalar-read-host") == "host-cost"
    assert events.pop("masked-scatter") == "none"
    assert set(events.values()) == {"sync"}


def test_unknown_names() -> None:
    assert facts.facts_for("Tensor.nothing") == ()
    with pytest.raises(KeyError):
        facts.fact("nothing")


@pytest.mark.parametrize(
    ("answers", "torch", "expected"),
    [
        ({"self.cpu": True, "target.cuda": True, "non-blocking": False}, (2, 9), True),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": True}, (2, 9), False),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": None}, (2, 9), None),
        ({"self.cpu": None, "target.cuda": False, "non-blocking": None}, (2, 9), False),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": False}, (2, 5), False),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": False}, (2, 6), True),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": False}, (2, 15), False),
        ({"self.cpu": True, "target.cuda": True, "non-blocking": False}, None, None),
        ({"self.cpu": False, "target.cuda": True, "non-blocking": False}, None, False),
    ],
)
def test_applies_is_three_valued(
    answers: dict[str, bool | None], torch: tuple[int, int] | None, expected: bool | None
) -> None:
    text = GOOD_FACT.replace('"self.cuda", "not', '"self.cpu", "target.cuda", "not')
    fact = schema.read_facts(text, "good.toml")[0]
    assert facts.applies(fact, answers.__getitem__, torch) is expected


def test_a_fact_without_releases_applies_to_any() -> None:
    fact = facts.fact("scalar-read")
    assert facts.applies(fact, lambda predicate: predicate == "self.cuda", None) is True
    assert facts.applies(fact, lambda predicate: None, (2, 9)) is None


@pytest.mark.parametrize("fact", facts.all_facts(), ids=lambda fact: fact.id)
def test_facts_are_well_worded(fact: Fact) -> None:
    assert fact.alternative.endswith(".")
    assert fact.alternative.count(". ") == 0, "one sentence"
    assert fact.alternative.startswith("Nothing to change") <= (fact.event == "none")


def test_entries_of_the_vocabulary() -> None:
    used = {condition.predicate for fact in facts.all_facts() for condition in fact.when}
    assert used <= facts.VOCABULARY
    assert {"non-blocking", "self.cuda", "data.holds-cuda", "value.scalar"} <= facts.VOCABULARY


#: What Python does with a tensor, by builtins and without a name.
OPERATORS = "call|int|float|complex|bool|len|truth|[gs]etitem|assign|index|iter|in|sorted|min|max|any|all"


@pytest.mark.parametrize("fact", facts.all_facts(), ids=lambda fact: fact.id)
def test_torch_knows_what_facts_speak_of(fact: Fact) -> None:
    torch = pytest.importorskip("torch")
    for operation in fact.operations:
        if operation.startswith("torch."):
            attrgetter(operation.removeprefix("torch."))(torch)
            continue
        name, _, overload = operation.removeprefix("aten::").partition(".")
        packet = getattr(torch.ops.aten, name)
        assert not overload or overload in packet.overloads(), operation
    for spelling in fact.spellings:
        if spelling.startswith(("Tensor.", "torch.")):
            attrgetter(spelling.removeprefix("torch."))(torch)
        else:
            assert re.fullmatch(rf"({OPERATORS})\(Tensor\)|operator\.index", spelling)


@pytest.mark.parametrize("fact", facts.all_facts(), ids=lambda fact: fact.id)
def test_snippets_run_and_say_nothing(fact: Fact, capfd: pytest.CaptureFixture[str]) -> None:
    """On the CPU in place of CUDA: whether they wait there is for the runtime to see."""
    torch = pytest.importorskip("torch")
    code = fact.snippet.replace('"cuda"', '"cpu"')
    if "cuda" in code:
        pytest.skip("says cuda in other ways")
    if not torch.cuda.is_available():
        code = code.replace(", pin_memory=True", "")
    exec(compile(code, fact.id, "exec"), {"torch": torch})
    assert capfd.readouterr() == ("", "")


def test_the_package_needs_no_torch_and_is_read_lazily() -> None:
    code = (
        "import sys; from synclint import facts; read = facts._results.cache_info;"
        "assert facts.facts_for('Tensor.nothing') == ();"
        "assert read().currsize == 0 and not {'tomllib', 'tomli'} & set(sys.modules);"
        "facts.method('Tensor', 'item'); assert read().currsize == 1;"
        "facts.function('torch.nn.functional.relu'); assert read().currsize == 2;"
        "assert not {'torch', 'numpy', 'libcst'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
