"""Lists for everybody in a file, candidates and exclusions of one's own, ids of any kind."""

from __future__ import annotations

import csv
import gzip
import json
import os
import threading

import numpy as np
import pytest

from recsys import cli, loading, models
from recsys.data import Features, IdMap, Interactions

TITLES = ["Tea, green", "Jam", "Bread \"old\"", "", "Milk"]
IDS = ["tea, green", "jam", "-bread", "NA", "milk"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of 9,000 users, so that lists are written in several blocks."""
    made = tmp_path_factory.mktemp("recommend")
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(9000), 2), rng.integers(0, 4, 18000)
    data = Interactions.from_arrays(user, np.array(IDS)[item], item_ids=IdMap(IDS),
                                    item_features=Features(titles=TITLES))
    models.ItemKNN().fit(data).save(made / "model.recsys")
    (made / "some.txt").write_text("milk\njam\n-bread\n")
    (made / "own.csv").write_text('item,user\n"tea, green",7\njam,7\n-bread,8\n')
    (made / "half.csv").write_text('item,user\n"tea, green",7\njam,7\n-bread,8\n,9\n')
    (made / "other.csv").write_text('7.0;tea, green\n7.0;jam\n8.0;-bread\n')
    (made / "own.jsonl").write_text('{"item": "tea, green", "user": 7}\n{"item": "jam", "user": 7}\n'
                                    '{"item": "-bread", "user": 8}\n')
    (made / "words.csv").write_text("user,item\nann,jam\n")
    (made / "titles.csv").write_text("item,title\njam,Jam\n")
    (made / "none.csv").write_text("user,item\n,jam\n7,\n")
    (made / "wide.csv").write_text("a,b,c\n1,jam,x\n2,jam,y\n")
    return made


@pytest.fixture
def run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def call(*words):
        try:
            code = cli.main(["recommend", "model.recsys", *words])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()
    return call


def _load(folder):
    return loading.load(folder / "model.recsys")


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz", "all.jsonl", "all.parquet"])
def test_lists_for_everybody_go_to_a_file_with_titles(folder, run, name, tmp_path):
    path = tmp_path / name
    if name.endswith("parquet"):
        duckdb = pytest.importorskip("duckdb")
    code, out, err = run("--all", "-k", "2", "--out", str(path))
    assert code == 0
    assert f"Wrote 9,000 lists of 18,000 entries to {path}." in " ".join(out.split())
    assert "lists 9000/9000" in err or "lists 9,000/9,000" in err
    expected = _load(folder).recommend(k=2).to_records()
    if name.endswith("parquet"):
        relation = duckdb.read_parquet(str(path))
        read = [dict(zip(relation.columns, line, strict=True)) for line in relation.fetchall()]
    elif name.endswith("jsonl"):
        read = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        with (gzip.open if name.endswith("gz") else open)(path, "rt", encoding="utf-8", newline="") as file:
            read = [{**line, "user": int(line["user"]), "rank": int(line["rank"])} for line in csv.DictReader(file)]
    scores = [[float(line.pop("score")) for line in lines] for lines in (read, expected)]
    assert read == expected
    np.testing.assert_allclose(*scores, atol=1e-6)
    assert {line["title"] for line in read} <= set(TITLES)


def test_candidates_and_exclusions_for_everybody_and_for_each(run):
    def items(*words):
        code, out, _ = run("--user", "7", "--user", "8", "--user", "9", "--keep-seen", "-k", "5", "--json", *words)
        assert code == 0
        found = {7: set(), 8: set(), 9: set()}
        for line in json.loads(out)["recommendations"]:
            found[line["user"]].add(line["item"])
        return found
    everything = items()[9]
    assert items("--candidates", "some.txt")[7] == everything & {"milk", "jam", "-bread"}
    assert items("--exclude", "some.txt")[7] == everything - {"milk", "jam", "-bread"}
    assert items("--candidates", "own.csv") == {7: {"tea, green", "jam"}, 8: {"-bread"}, 9: everything}
    assert items("--exclude", "own.csv") == {7: everything - {"tea, green", "jam"}, 8: everything - {"-bread"},
                                             9: everything}
    for name in ("half.csv", "other.csv", "own.jsonl"):
        assert items("--exclude", name) == items("--exclude", "own.csv")
    err = run("--user", "7", "--candidates", "half.csv")[2]
    assert "half.csv: 1 rows without an id are left out." in err
    err = run("--user", "7", "--user", "9", "--candidates", "own.csv")[2]
    assert "own.csv: 1 of 2 users asked for have no candidates of their own, and may get all items." in err


def test_a_history_may_hold_any_ids(run):
    code, out, _ = run('--history="tea, green",-bread,NA', "-k", "5", "--json")
    assert code == 0
    assert {line["item"] for line in json.loads(out)["recommendations"]} == {"jam"}  # milk has no events


@pytest.mark.parametrize(("words", "says"), [
    (["--all"], "say with --out FILE where they go"),
    (["--all", "--user", "7", "--out", "x.csv"], "give one of --user ID"),
    ([], "give one of --user ID"),
    (["--profiling", "off", "--user", "7"], "leave out --user, --all and --history"),
    (["--profiling", "off", "--why"], "leave out --why"),
    (["--all", "--out", "x.xlsx"], "x.xlsx: the name has to end in .csv"),
    (["--all", "--out", "nowhere/x.csv"], "there is no folder 'nowhere'"),
    (["--all", "--out", "x.csv", "--why"], "leave out --out or --why"),
    (["--user", "7", "--exclude", "missing.csv"], "missing.csv"),
    (["--user", "7", "--exclude", "wide.csv"], "wide.csv: which of its 3 columns holds users and which items"),
    (["--user", "7", "--exclude", "titles.csv"], "titles.csv: which of its 2 columns holds users and which items"),
    (["--user", "7", "--exclude", "words.csv"], "words.csv: its ids are text, such as 'ann', those of the data int"),
    (["--user", "7", "--exclude", "none.csv"], "none.csv: no row has all ids"),
    (["--user", "7", "--user", "99999"], "99999; 1 of 2 asked for; --on-unknown skip leaves such ids out."),
    (['--history="tea'], "put an id that holds a comma in double quotes"),
])
def test_what_cannot_be_meant_is_one_sentence(run, folder, words, says):
    before = sorted(folder.iterdir())
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_pipes_are_read_once(folder, run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("item\njam\nmilk\n",))
    writer.start()
    code, out, _ = run("--user", "9", "--keep-seen", "--candidates", str(tmp_path / "pipe"), "--json")
    writer.join()
    assert code == 0
    assert {line["item"] for line in json.loads(out)["recommendations"]} <= {"jam", "milk"}
