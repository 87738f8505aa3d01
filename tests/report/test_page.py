"""The offline page: every kind of file has its part, nothing is loaded from anywhere, nothing breaks out."""

import contextlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from madnas.cli.main import run
from madnas.errors import SpecError, UsageError
from madnas.network.named import get
from madnas.network.specfile import dump_spec, spec_to_tree
from madnas.report.page.collect import collect
from madnas.report.page.html import Section, Table, page
from madnas.report.page.sections import section
from madnas.report.page.values import flat, rows_table, shown
from tests.cli.shell import refused
from tests.measure.latency_table.test_table import table_of

DESIGN = ["design", "--space", "mlp", "--params", "100K"]
SEARCH = [*DESIGN, "--method", "evolution", "--score", "entropy", "--candidates", "8000", "--pareto", "macs"]


class Strict(HTMLParser):
    """Elements are closed in their order, and what they load is noted."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.tags, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    return parser


def made(*paths):
    return page("A page", [section(found) for found in collect([str(path) for path in paths])], "now")


@pytest.fixture(scope="module")
def documents():
    """What commands print, one of every kind that is quick to make, by the name of its file."""
    commands = {
        "design.json": DESIGN,
        "sweep.json": [*DESIGN[:-1], "60K,100K", "--rho", "0.1,0.2"],
        "scores.json": ["score", "resnet20", "resnet18"],
        "benchmark.json": ["benchmark", "resnet20", "--threads", "1", "--rounds", "4"],
        "scale.json": ["scale", "convnext-t", "--macs", "3.3G"],
        "search.json": SEARCH,
    }
    printed = {}
    for name, words in commands.items():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert run([*words, "--json"]) == 0
        printed[name] = out.getvalue()
    return printed


@pytest.fixture
def files(tmp_path, documents, monkeypatch):
    """One file of every kind."""
    monkeypatch.chdir(tmp_path)
    for name, text in documents.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "net.yaml").write_text(dump_spec(get("resnet20")))
    (tmp_path / "latency.json").write_text(json.dumps(table_of("basic-cifar").document()))
    (tmp_path / "table.csv").write_text("name,value\na,1\nb,2.5\n")
    (tmp_path / "notes.md").write_text("# Notes\n\nfine\n")
    return sorted(path for path in tmp_path.iterdir())


def test_every_kind_of_file_has_a_part(files):
    text = made(*files)
    found = read(text)
    assert found.tags.count("section") == len(files) == 10
    assert found.tags.count("img") == 9  # all but the table and the notes; of the search two
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert {"Network resnet20", "Sweep, 4 designs", "Scores of 2 networks", "Latency table", "Table of 2 rows"} <= set(
        heads
    )
    assert "commit" in text
    assert "Search: design" in heads and "The front" in text and "Evolution in space mlp found entropy = " in text


def test_long_fractions_of_a_table_are_cut(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n0.12345678901234,1.5,1234567890123456\n")
    text = made(tmp_path / "t.csv")
    assert ">0.123457<" in text and ">1.5<" in text and ">1234567890123456<" in text and "Table of 1 row<" in text


def test_nothing_is_loaded_and_nothing_runs(files):
    found = read(made(*files))
    assert found.loaded
    assert all(one.startswith(("data:image/", "#s")) for one in found.loaded)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)


def test_what_files_say_is_shown_and_never_executed():
    bad = "<script>alert(1)</script>"
    table = Table([bad, "n"], [[bad, "1"]], bad)
    text = page(bad, [Section(bad, bad, [bad], [((b"x", "image/png"), f'"{bad}')], [table], {bad: bad}, bad)], bad)
    found = read(text)
    assert "script" not in found.tags
    assert sum(bad in word for word in found.words) >= 10


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(tmp_path):
    lines = [{"event": "train", "step": 1, "loss": 2.0, "lr": 0.1},
             {"event": "eval", "epoch": 0, "step": 2, "loss": 1.5, "train_loss": 1.8, "top1": 0.5, "top5": 0.9,
              "lr": 0.1, "n": 9}]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"event": "tr'
    (tmp_path / "metrics.jsonl").write_text(text)
    shown_page = made(tmp_path)
    assert "Not finished" in shown_page and read(shown_page).tags.count("img") == 1
    (tmp_path / "result.json").write_text(json.dumps({"schema": "madnas/train/1", "network": "resnet20", "epochs": 1}))
    assert "Training of resnet20" in made(tmp_path) and "Finished." in made(tmp_path)


def test_a_run_whose_result_is_no_document(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("[" * 100_000)
    (tmp_path / "result.json").write_text("[" * 100_000)
    with pytest.raises(SpecError, match="not a JSON document"):
        collect([str(tmp_path)])


def test_a_latency_table_that_no_network_was_held_out_of(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(table_of("basic-cifar").document() | {"held_out": []}))
    [words] = [section(found).words for found in collect([str(tmp_path / "a.json")])]
    assert words[1] == "No held-out network is covered: how far predictions are off is not known."


def test_results_of_score_with_a_torn_last_line(tmp_path):
    result = {"target": "a", "scores": {"params": {"value": 5, "std": 0.0, "n": 1}}, "failed": {}, "input": [3, 8, 8]}
    line = json.dumps({"schema": "madnas/score-line/1", "key": "k", "result": result})
    (tmp_path / "scores.jsonl").write_text(line + "\n" + line[:20])
    assert "Scores of 1 networks" in made(tmp_path / "scores.jsonl")


def test_a_document_without_a_section_of_its_own_is_shown_as_it_is(tmp_path):
    tree = {"schema": "madnas/restructure-edit/1", "guests": 7, "cake": {"layers": 3},
            "results": [{"a": 1}, {"b": 2.5}],
            "history": [{"step": 0, "best": 1.0}, {"step": 1, "best": 2.0}]}  # fmt: skip
    tree["spec"] = spec_to_tree(get("resnet20"))
    (tmp_path / "party.json").write_text(json.dumps(tree))
    text = made(tmp_path / "party.json")
    assert "Restructure edit: resnet20" in text and "cake.layers" in text
    assert read(text).tags.count("img") == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "not a JSON document"),
        ("a.json", "{}", "no document of madnas"),
        ("a.json", '{"schema": "others/1"}', "no document of madnas"),
        ("a.json", "[" * 10_000, "not a JSON document"),
        ("a.csv", "", "no table"),
        ("a.csv", "a,b\n1\n", "no table"),
        ("a.csv", "a\n" + "x" * 200_000, "no table: field larger"),
        ("a.jsonl", "{}\n", "no results"),
        ("a.jsonl", '[1]\n{"result": {}}\n', "no results"),
        ("a.jsonl", "[" * 100_000, "no results"),
        ("a.yaml", "x: 1\n", "not a network"),
        ("a.png", "", "not a whole picture"),
        ("a.svg", "<svg><path d='M 0", "not a whole picture"),
        ("a.svg", "<html></html>", "not a whole picture"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=words):
        collect([str(tmp_path / name)])


def test_a_picture_that_is_cut_off_is_refused(tmp_path):
    Figure().savefig(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert collect([str(tmp_path / "a.png")])[0].content == (data, "image/png")
    (tmp_path / "a.png").write_bytes(data[:-1])
    with pytest.raises(SpecError, match=r"a\.png: not a whole picture"):
        collect([str(tmp_path / "a.png")])


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("benchmark", {}, "missing 'results'"),
        ("benchmark", {"results": [{}]}, "missing 'setting'"),
        ("benchmark", {"results": [{}], "setting": {}}, "missing 'latency_seconds'"),
        ("benchmark", {"results": "x", "setting": {}}, "'results' is no list"),
        ("benchmark", {"results": [], "setting": {}, "failed": {}}, "'results' of this madnas/benchmark/1 is empty"),
        ("benchmark", {"results": [{"latency_seconds": None, "ratio_to_first": {"low": 1, "high": 1},
                                    "peak_memory_bytes": None, "flops_share_of_peak": None, "name": "a",
                                    "params": 1, "macs": 1, "batch_size": 1}], "setting": {}}, "not what it should be"),
        ("benchmark", {"results": [], "setting": 5, "failed": {"a": "b"}}, "not what it should be"),
        ("design", {}, "missing 'spec'"),
        ("search", {}, "missing 'spec'"),
        ("score", {}, "missing 'results'"),
        ("score", {"results": []}, "is empty"),
        ("design-match", {}, "missing 'design'"),
        ("paper-numbers", {}, "missing 'summary'"),
        ("experiment", {}, "missing 'experiment'"),
        ("export", {}, "nothing in it"),
        ("surprise-party", {"guests": 7}, "none that this version"),
        ("", {"guests": 7}, "none that this version"),
    ],
)  # fmt: skip
def test_documents_that_are_not_whole_are_refused_by_name(tmp_path, capsys, kind, content, words):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schema": f"madnas/{kind}/1"} | content))
    told = refused(capsys, "report", str(path), "-o", str(tmp_path / "page.html"))
    assert words in told and "a.json" in told and not (tmp_path / "page.html").exists()


def test_a_document_of_another_version_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"schema": "madnas/export/2", "guests": 7}))
    with pytest.raises(SpecError, match="none that this version"):
        made(tmp_path / "a.json")


def test_where_a_tables_numbers_come_from_stands_below_it_once(tmp_path):
    (tmp_path / "a.csv").write_text("name,p50,load,versions\na,1,1.5,torch=2 numpy=2\nb,2,2.5,torch=2 numpy=2\n")
    [found] = [section(one) for one in collect([str(tmp_path / "a.csv")])]
    assert list(found.tables[0].columns) == ["name", "p50", "load"]  # which is not the same of both
    assert found.tables[0].rows == [["a", "1", "1.5"], ["b", "2", "2.5"]]
    assert found.evidence == {"versions": "torch=2 numpy=2"}


def test_a_kind_of_file_that_is_not_shown(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x08\x0a\xff")
    with pytest.raises(UsageError, match=r"a\.onnx: no kind of file that report shows"):
        collect([str(tmp_path / "a.onnx")])


def test_a_missing_file_and_an_empty_folder(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        collect([str(tmp_path / "none.json")])
    with pytest.raises(UsageError, match="nothing in this folder"):
        collect([str(tmp_path)])


def test_values_as_people_read_them():
    assert [shown(None), shown(True), shown(1234), shown(0.5), shown(5_000_000, "params")] == [
        "-",
        "yes",
        "1,234",
        "0.5",
        "5M",
    ]
    assert flat({"a": {"b": {"c": 1}}, "rows": [{"x": 1}]}) == {"a.b.c": 1}
    table = rows_table([{"a": 1}, {"b": 2}] * 150)
    assert table.columns == ["a", "b"] and len(table.rows) == 200 and "300" in table.caption


def test_the_command(files, capsys, tmp_path):
    words = ["report", "net.yaml", "design.json", "-o", "page.html", "--title", "Mine"]
    assert run(words) == 0
    assert "2 sections" in capsys.readouterr().out
    assert "<title>Mine</title>" in (tmp_path / "page.html").read_text()
    assert "exists already" in refused(capsys, *words)
    assert "none.json" in refused(capsys, "report", "none.json", "-o", "other.html")
    assert not (tmp_path / "other.html").exists()
