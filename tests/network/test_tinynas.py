"""TinyNAS structure files: the published form, every mistake, hostile literals, and the way back."""

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import MadnasError, SpecError, UsageError
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.named import get, names
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.tinynas import dump_tinynas, load_tinynas, parse_tinynas

# DeepMAD-R18 in the form of the authors' files: keys in alphabetical order, spaces anywhere, blanks at the end.
R18 = """{ 'best_structures':[ [
    {'class': 'ConvKXBNRELU', 'in': 3, 'k': 3, 'out': 32, 's': 2},
    { 'L': 1, 'btn': 40, 'class': 'SuperResK1KXK1', 'in': 32, 'inner_class': 'ResK1KXK1', 'k': 5, 'out': 96, 's': 2},
    { 'L': 6, 'btn': 40, 'class': 'SuperResK1KXK1', 'in': 96, 'inner_class': 'ResK1KXK1', 'k': 5, 'out': 384, 's': 2},
    { 'L': 9, 'btn': 64, 'class': 'SuperResK1KXK1', 'in': 384, 'k': 5, 'out': 384, 's': 2},
    { 'L': 10, 'btn': 104, 'class': 'SuperResConvK1KXK1', 'in': 384, 'k': 3, 'out': 1024, 's': 1},
    { 'L': 12, 'btn': 104, 'class': 'SuperResK1KXK1', 'in': 1024, 'k': 5, 'out': 672, 's': 2}]],
'space_arch': 'CnnNet'}
  """

STEM = "{'class': 'ConvKXBNRELU', 'in': 3, 'out': 32, 's': 2, 'k': 3}"
BLOCK = "{'class': 'SuperResK1KXK1', 'in': 32, 'out': 64, 's': 2, 'k': 3, 'L': 2, 'btn': 16}"


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_tinynas(text, "net.txt")
    assert str(caught.value).startswith("net.txt: ")
    return caught.value.problems


def test_published_form_is_the_named_network(tmp_path):
    path = tmp_path / "deepmad-r18.txt"
    path.write_text(R18)
    assert load_tinynas(path) == get("deepmad-r18")


@pytest.mark.parametrize("text", ["[{}, {}]", "{{'structure_info': [{}, {}]}}", "# a comment\n[{}, \\\n {}, ]  # end"])
def test_other_forms(text):
    spec = parse_tinynas(text.format(STEM, BLOCK), "x", classes=10, resolution=64, name="n")
    assert spec == NetworkSpec(
        "n", (3, 64, 64), (Group("bottleneck", 64, 2, 16, None, 3, 2, shortcut="pool"),), Head(10), Stem(32)
    )


def test_json_reads_too():
    assert parse_tinynas(f"[{STEM}, {BLOCK}]".replace("'", '"'), "x") == parse_tinynas(f"[{STEM}, {BLOCK}]", "x")


def test_one_of_several_structures():
    text = f"{{'best_structures': [[{STEM}, {BLOCK}], [{STEM}, {BLOCK.replace('16', '24')}]], 'best_acc': [-1.5e3, 2]}}"
    assert [parse_tinynas(text, "x", index).groups[0].hidden for index in (0, 1)] == [16, 24]
    for index in (2, -1):
        with pytest.raises(UsageError, match=f"x: no structure {index}; it has 2, counted from 0"):
            parse_tinynas(text, "x", index)


def test_mobile_blocks():
    blocks = [
        STEM,
        "{'class': 'SuperResK1DWSEK1', 'in': 32, 'out': 64, 's': 2, 'k': 5, 'L': 3, 'btn': 128}",
        "{'class': 'SuperResK1DWK1', 'in': 64, 'out': 80, 'k': 3, 'L': 1, 'btn': 128, 'act': 'relu6', 'g': 1, 'p': 1}",
        "{'class': 'ConvKXBNRELU', 'in': 80, 'out': 256, 's': 1, 'k': 1}",
    ]
    spec = parse_tinynas(f"[{','.join(blocks)}]", "x")
    assert spec.groups == (
        Group("inverted-residual", 64, 3, 128, None, 5, 2, "silu", "deepmad", "pool"),
        Group("inverted-residual", 80, 1, 128, None, 3, 1, "relu6", "none", "pool"),
    )
    assert spec.stem == Stem(32, act="silu")
    assert spec.head == Head(1000, 256, "silu")


def test_convolutions_in_the_body_are_groups():
    conv = "{'class': 'ConvKXBNRELU', 'in': 32, 'out': 32, 's': 2, 'k': 3}"
    spec = parse_tinynas(f"[{STEM}, {conv}]", "x")
    assert spec.groups == (Group("conv", 32, 1, kernel=3, stride=2),)
    assert spec.head.conv is None


def test_basic_blocks_without_a_stride_are_exact():
    text = f"[{STEM}, {{'class': 'SuperResKXKX', 'in': 32, 'out': 32, 's': 1, 'k': 3, 'L': 2, 'btn': 16}}]"
    spec = parse_tinynas(text, "x")
    # conv1 32*9*16 + 32, conv2 16*9*32 + 64 and no projection, because TinyNAS has none between equal widths
    assert count(spec).params == (27 * 32 + 64) + 2 * (4608 + 32 + 4608 + 64) + 33 * 1000
    assert parse_tinynas(dump_tinynas(spec), "x") == replace(spec, name="tinynas")


def test_strided_basic_blocks_warn_both_ways():
    text = f"[{STEM}, {{'class': 'SuperResConvKXKX', 'in': 32, 'out': 64, 's': 2, 'k': 3, 'L': 2, 'btn': 16}}]"
    with pytest.warns(UserWarning, match="x: TinyNAS strides the second convolution of SuperResKXKX"):
        spec = parse_tinynas(text, "x", name="x")
    assert spec.groups == (Group("basic", 64, 2, 16, None, 3, 2, shortcut="pool"),)
    with pytest.warns(UserWarning, match="MACs differ"):
        assert "SuperResKXKX" in dump_tinynas(spec)


WRONG = {
    "class": (
        BLOCK.replace("K1KXK1", "K1KXK"),
        "[1].class: 'SuperResK1KXK' cannot be read; did you mean 'SuperResK1KXK1'",
    ),
    "pooling": ("{'class': 'MaxPool', 'in': 32}", "[1].class: 'MaxPool' cannot be read; one of ConvKXBNRELU"),
    "quantised class": (
        BLOCK.replace("SuperResK1KXK1", "SuperQuantResK1DWK1"),
        "[1].class: 'SuperQuantResK1DWK1' cannot be read",
    ),
    "no class": ("{'in': 32}", "[1].class: missing"),
    "class type": ("{'class': 3}", "[1].class: 3 cannot be read"),
    "chain": (BLOCK.replace("32", "31"), "[1].in: 31, but the block before gives out 32"),
    "missing": (BLOCK.replace("'k': 3,", ""), "[1].k: missing"),
    "typo": (BLOCK.replace("btn", "bnt"), "[1].btn: missing"),
    "unknown": (BLOCK.replace("'L'", "'LL': 1, 'L'"), "[1].LL: unknown key; did you mean 'L'?"),
    "quantised": (BLOCK.replace("'L'", "'nbitsA': [8], 'L'"), "[1].nbitsA: quantised structures cannot be read"),
    "negative": (BLOCK.replace("64", "-64"), "[1].out: expected a positive integer, found -64"),
    "float": (BLOCK.replace("64", "64.0"), "[1].out: expected a positive integer, found 64.0"),
    "bool": (BLOCK.replace("64", "True"), "[1].out: expected a positive integer, found True"),
    "text": (BLOCK.replace("64", "'64'"), "[1].out: expected a positive integer, found '64'"),
    "nothing": (BLOCK.replace("64", "None"), "[1].out: expected a positive integer, found None"),
    "groups": (BLOCK.replace("'L'", "'g': 2, 'L'"), "[1].g: only 1 can be read, found 2"),
    "padding": (BLOCK.replace("'L'", "'p': 0, 'L'"), "[1].p: only 1, half the kernel, can be read, found 0"),
    "act": (BLOCK.replace("'L'", "'act': 'elu', 'L'"), "[1].act: 'elu' is not one of relu, relu6, swish, sigmoid"),
    "twice": (BLOCK.replace("'L'", "'in': 32, 'L'"), "key 'in' given twice in one mapping"),
    "se": (
        BLOCK.replace("K1KXK1", "K1DWSEK1").replace("16", "62"),
        "[1].btn: 62 squeezes to other widths in TinyNAS and in madnas; use a multiple of 8",
    ),
    "kernel": (BLOCK.replace("'k': 3", "'k': 4"), "groups[0].kernel: expected an odd number from 1 to 31, found 4"),
    "stride": (BLOCK.replace("'s': 2", "'s': 3"), "groups[0].stride: expected 1 or 2, found 3"),
    "huge": (BLOCK.replace("64", "9" * 50), "groups[0].out: expected 1 to 1000000, found 9999"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_block_is_named(case):
    block, expected = WRONG[case]
    assert problems(f"[{STEM}, {block}]")[0].startswith(expected)


def test_all_problems_come_together():
    text = f"[{BLOCK}, {BLOCK.replace('64', '0')}, {STEM.replace('in', 'inn')}]"
    assert [problem.partition(":")[0] for problem in problems(text)] == [
        *("[1].out", "[1].in", "[2].in", "[2].inn", "[0].class")
    ]


def test_unfit_arguments_of_the_loader():
    with pytest.raises(SpecError, match="input: expected channels, height and width"):
        parse_tinynas(R18, "x", resolution=0)
    with pytest.raises(SpecError, match=r"head\.classes: expected 1"):
        parse_tinynas(R18, "x", classes=0)


HOSTILE = {
    "": "the file is empty",
    " \n\t": "the file is empty",
    "# only a comment": "expected a list of blocks",
    "1": "expected a list of blocks",
    "{}": "neither 'best_structures' nor 'structure_info'",
    "[]": "expected a list of blocks",
    "[1]": "structure 0 is not a list of blocks",
    "[[]]": "structure 0 is not a list of blocks",
    "{'best_structures': {}}": "expected a list of blocks",
    "{'best_structures': [[], 3]}": "structure 0 is not a list of blocks",
    "[": "'[' is never closed",
    "[}": "line 1, column 2: unexpected '}'",
    "]": "line 1, column 1: unexpected ']'",
    "[\n  {'a' 1}]": "line 2, column 8: unexpected '1",
    "{1: 2, 3}": "not a TinyNAS structure: line 1",
    "{[1]: 2}": "unhashable",
    "'text": "unexpected",
    "__import__('os').system('true')": 'unexpected "__import__',
    "[x for x in 'a']": "unexpected",
    "lambda: 0": "unexpected",
    "f'{1}'": "unexpected",
    "b'a'": "unexpected",
    "'a' 'b'": "unexpected",
    "2**99": "unexpected",
    "\x00": "unexpected",
    "9" * 5_000: "not a TinyNAS structure",
    "[" * 500_000: "nested too deeply",
    "(" * 500_000: "nested too deeply",
    "{1:" * 300_000: "nested too deeply",
    "-" * 500_000 + "1": "unexpected",
    "- " * 500_000 + "1": "unexpected",
    "1+" * 400_000 + "1": "unexpected",
    "1 +" * 300_000 + "1": "unexpected",
    "1-1" * 300_000: "unexpected",
    "'a'" + "[0]" * 300_000: "unexpected",
    "'a'" + "(0)" * 300_000: "unexpected",
    "not " * 200_000 + "1": "unexpected",
    "1 if 1 else " * 80_000 + "1": "unexpected",
    "'" + "\\" * 500_000: "unexpected",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]!r} {len(text)}")
def test_hostile_literals(text):
    assert HOSTILE[text] in problems(text)[0]


def test_many_keys_take_no_quadratic_time():
    start = time.process_time()  # of this process alone: the machine may be busy
    assert "neither" in problems("{" + ",".join(f"{number}:0" for number in range(50_000)) + "}")[0]
    assert time.process_time() - start < 20  # half a second; a minute if every key were compared with every other


def test_files_that_are_no_structures(tmp_path):
    with open(tmp_path / "huge.txt", "wb") as file:
        file.truncate(100_000_000)
    for name in ("huge.txt", "missing.txt", "."):
        with pytest.raises(UsageError):
            load_tinynas(tmp_path / name)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("[]{}():, '\"#\\\n-+.0129eLinclastNoeTru")))
def test_any_text_gives_a_network_or_a_clear_error(text):
    with pytest.raises(MadnasError):
        parse_tinynas(text, "x")


# The way back


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("deepmad")])
def test_published_networks_survive(name):
    spec = get(name)
    again = parse_tinynas(dump_tinynas(spec), "x", name=name, resolution=spec.input[1])
    assert again == spec
    assert count(again) == count(spec)
    assert analyse(again) == analyse(spec)


def test_dump_is_written_as_the_authors_write_it():
    text = dump_tinynas(get("deepmad-29m"))
    assert "\n {'class': 'ConvKXBNRELU', 'in': 3, 'out': 40, 'k': 3, 's': 2},\n" in text
    assert "'L': 2, 'btn': 240}" in text
    assert text.endswith(
        "{'class': 'ConvKXBNRELU', 'in': 312, 'out': 1792, 'k': 1, 's': 1}]],\n 'space_arch': 'CnnNet'}\n"
    )


def test_unusual_activations_survive():
    spec = get("deepmad-r18")
    odd = replace(spec, stem=replace(spec.stem, act="silu"), groups=(replace(spec.groups[0], act="relu6"),))
    text = dump_tinynas(odd)
    assert "'act': 'swish'" in text
    assert parse_tinynas(text, "x", name=spec.name) == odd


def test_plain_convolutions_survive_as_single_ones():
    spec = NetworkSpec("c", (3, 224, 224), (Group("conv", 8, 2, kernel=3, stride=2),), Head(1000), Stem(4))
    again = parse_tinynas(dump_tinynas(spec), "x", name="c")
    assert [(group.depth, group.stride) for group in again.groups] == [(1, 2), (1, 1)]
    assert count(again) == count(spec)


FOREIGN = {
    "resnet18": ["stem.pool: maximum pooling", "groups[1].shortcut: 'conv'"],
    "resnet20": ["groups[1].shortcut: 'pad'"],
    "mobilenetv2": [
        "groups[0].block: 'separable' with se 'none'",
        "groups[1].expand: a width that changes",
        "'identity'",
    ],
    "efficientnet-b0": ["groups[1].block: 'inverted-residual' with se 'efficientnet'"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_tinynas_cannot_say_is_named(name):
    with pytest.raises(SpecError) as caught:
        dump_tinynas(get(name))
    for part in FOREIGN[name]:
        assert any(part in problem for problem in caught.value.problems)


NEW_KINDS = {
    "convnext-t": ["stem.norm: 'layer'", *(f"groups[{i}].block: 'convnext'" for i in range(4)), "head.norm: 'layer'"],
    "densenet-121": ["stem.pool: maximum", *(f"groups[{i}].block: 'dense'" for i in range(4)), "head.norm: 'batch'"],
    "wrn-16-8": ["stem.norm: 'later'", *(f"groups[{i}].block: 'preact'" for i in range(3)), "head.norm: 'batch'"],
    "densenet-cifar": [
        "a network without a stem",
        *(f"groups[{i}].block: 'random-skip'" for i in range(3)),
        "head.norm: 'batch'",
    ],
    "vgg11": [
        "a network without a stem",
        "groups[0].norm: 'none'",
        *(f"groups[{i}].{key}" for i in range(1, 5) for key in ("norm: 'none'", "pool: maximum pooling")),
        "head.hidden: [4096, 4096]",
        "head.pool: 7 x 7 pixels",
    ],
}


@pytest.mark.parametrize("name", NEW_KINDS)
def test_kinds_of_other_families_are_refused_part_by_part(name):
    with pytest.raises(SpecError) as caught:
        dump_tinynas(get(name))
    missing = [problem for problem in caught.value.problems if ".act: " not in problem]
    assert len(missing) == len(NEW_KINDS[name])
    for problem, expected in zip(missing, NEW_KINDS[name], strict=True):
        assert problem.startswith(expected)
        assert problem.endswith(" has no counterpart in TinyNAS")


def test_convolution_with_a_bias_or_a_pooling_is_foreign():
    spec = get("deepmad-r18")
    for group, problem in {
        Group("conv", 8, 1, kernel=3, norm="none"): "norm: 'none'",
        Group("conv", 8, 1, kernel=3, stride=2, pool=True): "pool: maximum pooling",
    }.items():
        with pytest.raises(SpecError, match=rf"groups\[0\]\.{problem} has no counterpart"):
            dump_tinynas(replace(spec, groups=(group,)))


def test_other_foreign_parts():
    spec = get("deepmad-r18")
    with pytest.raises(SpecError, match=r"stem\.act: 'gelu' has no counterpart"):
        dump_tinynas(replace(spec, stem=replace(spec.stem, act="gelu")))
    mlp = NetworkSpec("mlp", (1, 28, 28), (Group("linear", 10, 1),), Head(10))
    with pytest.raises(SpecError, match=r"a network without a stem \(an MLP\) has no counterpart in TinyNAS"):
        dump_tinynas(mlp)
    se = Group("inverted-residual", 32, 1, 62, None, 3, 1, "silu", "deepmad", "pool")
    with pytest.raises(SpecError, match=r"groups\[0\]\.hidden: squeeze-excitation of 62 channels has no counterpart"):
        dump_tinynas(replace(spec, groups=(se,)))
