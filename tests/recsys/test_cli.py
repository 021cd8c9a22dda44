"""The command line: what it prints, what it refuses in one sentence, and that it leaves nothing half-written."""

import gzip
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recsys
from recsys import cli, loading, models
from recsys.cli.texts import settings
from recsys.data import Interactions
from recsys.datasets import simulate
from recsys.errors import ParameterError, RecsysError
from recsys.training.checkpoint import Checkpoint

RATINGS = "user,item,rating,time\n1,10,5,1\n1,11,3,2\n2,10,4,3\n2,12,1,4\n3,11,2,5\n3,12,5,6\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with good and bad files; every test leaves it as it is."""
    folder = tmp_path_factory.mktemp("cli")
    data, _ = simulate(60, 40, 1200, seed=1)
    data.to_csv(folder / "good.csv")
    data.to_csv(folder / "good.csv.gz")
    implicit = data.binarise()
    models.EASE(reg=10.0).fit(implicit).save(folder / "ease.recsys")
    models.Bias().fit(data).save(folder / "bias.recsys")
    models.ItemKNNBaseline().fit(data).save(folder / "rated.recsys")
    models.Popular().fit(implicit).save(folder / "popular.recsys")
    for name, user in (("text", "ann"), ("accent", "zoé")):
        few = Interactions.from_arrays([user, user, "bob", "bob"], ["x", "y", "x", "z"])
        models.ItemKNN().fit(few).save(folder / f"{name}.recsys")
    whole = (folder / "ease.recsys").read_bytes()
    with zipfile.ZipFile(folder / "foreign.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    files = {
        "small.csv": RATINGS, "empty.csv": "", "blank.csv": "\n \n", "header.csv": "user,item,rating\n",
        "nan.csv": RATINGS.replace("1,11,3,", "1,11,nan,"), "inf.csv": RATINGS.replace("2,10,4,", "2,10,-inf,"),
        "words.csv": RATINGS.replace("3,11,2,", "3,11,good,"), "ragged.csv": RATINGS + "4,10\n",
        "columns.csv": "a,b\n1,2\n3,4\n", "no_id.csv": RATINGS.replace("2,12", ",12"),
        "one_column.csv": "user\n1\n2\n", "quote.csv": RATINGS.replace("1,10", '"1,10'),
        "one_user.csv": "user,item,rating,time\n" + "".join(f"1,{i},3,{i}\n" for i in range(9)),
        "one_item.csv": "user,item,rating,time\n" + "".join(f"{i},1,3,{i}\n" for i in range(9)),
        "huge.csv": RATINGS + "9" * 30 + ",10,1,9\n", "far.csv": RATINGS + f"-5,{2**63 - 1},1,9\n",
        "double.csv": RATINGS + "1,10,2,9\n", "implicit.csv": "user,item,time\n1,10,1\n1,11,2\n2,10,3\n2,12,4\n",
        "fake.gz": RATINGS, "foreign.recsys": "not a model\n", "times.csv": RATINGS.replace("3,12,5,6", "3,12,5,soon"),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "latin.csv").write_bytes(RATINGS.replace("1,10", "\u00e9,10").encode("latin-1"))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(RATINGS.encode() * 50)[:-30])
    (folder / "cut.recsys").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.recsys").write_bytes(whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:])
    (folder / "kept.out").write_text("as it was")
    return folder


@pytest.fixture
def run(made, monkeypatch, capsys):
    """Runs a command in the folder: exit code, standard output, standard error."""
    monkeypatch.chdir(made)

    def run(command):
        words = command.split() if isinstance(command, str) else command
        try:
            code = cli.main(words)
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return run


def document(found):
    code, out, _ = found
    assert code == 0
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


TRAIN = "--model Popular --out kept.out"
EVALUATE = "evaluate --data good.csv --model Popular --protocol last-one-full"
BAD = {
    "train --data good.csv --model bias --out new.out --checkpoint c.npz": ["--checkpoint", "Bias keeps none"],
    "data nowhere.csv": ["nowhere.csv"],
    "data .": ["none of the known data sets"],
    "data empty.csv": ["empty.csv", "empty"],
    "data blank.csv": ["blank.csv", "empty"],
    "data header.csv": ["header.csv", "no rows"],
    "data nan.csv": ["nan.csv", "'rating'", "line 3", "nan"],
    "data inf.csv": ["inf.csv", "'rating'", "line 4", "inf"],
    "data words.csv": ["words.csv", "'rating'", "line 6", "'good'"],
    "data times.csv": ["times.csv", "'time'", "line 7", "'soon'"],
    "data ragged.csv": ["ragged.csv", "line 8", "2 fields"],
    "data quote.csv": ["quote.csv", "line"],
    "data columns.csv": ["columns.csv", "users", "'a', 'b'"],
    "data one_column.csv": ["one_column.csv", "items"],
    "data no_id.csv": ["no_id.csv", "'user'", "line 5", "missing"],
    "data latin.csv": ["latin.csv", "line 2", "encoding"],
    "data huge.csv": ["huge.csv", "'user'", "line 8", "64-bit"],
    "data cut.csv.gz": ["cut.csv.gz", "damaged gzip"],
    "data fake.gz": ["fake.gz", "not a gzip"],
    "data small.csv --users who": ["small.csv", "'who'", "'user', 'item'"],
    "data small.csv --items 7": ["small.csv", "7"],
    "data small.csv --delimiter ab": ["--delimiter", "'ab'"],
    "data small.csv --encoding klingon": ["--encoding", "'klingon'"],
    "data movielens-small --users 0": ["movielens-small", "--users"],
    "data small.csv --min-value 9": ["small.csv", "--min-value"],
    "data small.csv --k-core 50": ["small.csv", "50 rows a user"],
    "data small.csv --min-value nan": ["--min-value", "'nan'"],
    "data small.csv --k-core 0": ["--k-core", "'0'"],
    "data small.csv --out nowhere/x.csv": ["nowhere/x.csv", "no folder 'nowhere'"],
    "data small.csv --out .": ["not a file"],
    "data small.csv --out x.parquet": ["x.parquet", "CSV", ".csv.gz"],
    "data small.csv --out -": ["-: what is written is CSV"],
    "data small.csv --out small.csv": ["--out small.csv is the file of --data", "name another one"],
    "train --data small.csv --model Popular --out ./small.csv": ["is the file of --data"],
    "train --data small.csv --model Popular --titles good.csv --out good.csv": ["is the file of --titles"],
    "train --data small.csv --model AutoRec --out kept.out --checkpoint kept.out": ["is the file of --out"],
    "compare --data small.csv --models Popular --protocol last-one-full --out small.csv": ["is the file of --data"],
    "compare --data small.csv --models Popular --protocol last-one-full --checkpoint small.csv": ["file of --data"],
    "train --data small.csv --model ALS --out kept.out --set factors=2 --set factors=3": ["--set factors", "twice"],
    "data small.csv --event-weights view=1,view=2": ["'view' has two weights"],
    "data nan.csv --out kept.out": ["nan.csv"],
    f"train --data nowhere.csv {TRAIN}": ["nowhere.csv"],
    f"train --data nan.csv {TRAIN}": ["nan.csv", "line 3"],
    "train --data small.csv --model Oracle --out kept.out": ["'Oracle'", "Popular", "EASE"],
    f"train --data small.csv {TRAIN} --set by": ["--set", "'by'"],
    "train --data small.csv --model WeightedHybrid --out kept.out --set models=ALS": ["ALS,ItemKNN", "one alone: ALS,"],
    f"train --data small.csv {TRAIN} --set =3": ["--set", "'=3'"],
    f"train --data small.csv {TRAIN} --set size=3": ["Popular", "'size'", "by"],
    f"train --data small.csv {TRAIN} --set by=taste": ["Popular", "by", "'taste'"],
    "train --data small.csv --model ALS --out kept.out --set factors=-1": ["ALS", "factors", "-1"],
    "train --data small.csv --model ALS --out kept.out --set factors=many": ["ALS", "factors", "'many'"],
    "train --data small.csv --model ALS --out kept.out --set reg=NaN": ["ALS", "reg", "nan"],
    "train --data small.csv --model ALS --out kept.out --set factors=1000000000000": ["memory"],
    "train --data implicit.csv --model MatrixFactorization --out kept.out": ["MatrixFactorization", "values"],
    "train --data small.csv --model UserKNN --no-seen --out kept.out": ["UserKNN", "--no-seen"],
    "train --data small.csv --model Popular --out nowhere/m": ["nowhere/m", "no folder"],
    "train --data small.csv --model Popular --out .": ["not a file"],
    "train --data small.csv --model Popular": ["--out"],
    f"{EVALUATE} --data nowhere.csv": ["nowhere.csv"],
    f"{EVALUATE} --protocol guess": ["'guess'", "last-one-full"],
    f"{EVALUATE} --metrics taste@10": ["'taste@10'", "ndcg"],
    f"{EVALUATE} --metrics hit@0": ["hit@0"],
    f"{EVALUATE} --metrics rmse": ["rmse"],
    f"{EVALUATE} --protocol ratings-5fold": ["Popular", "ratings"],
    f"{EVALUATE} --option min_events": ["--option", "'min_events'"],
    f"{EVALUATE} --option events=3": ["events", "min_events"],
    f"{EVALUATE} --option min_events=few": ["min_events", "int", "'few'"],
    f"{EVALUATE} --option min_value=NaN": ["min_value", "nan"],
    f"{EVALUATE} --protocol global-time --option cutoff=soon": ["soon"],
    f"{EVALUATE} --protocol global-time --option fraction=2": ["fraction"],
    f"{EVALUATE} --seed -1": ["--seed"],
    f"{EVALUATE} -k 0": ["-k", "'0'"],
    f"{EVALUATE} --protocol predefined": ["predefined", "--test"],
    f"{EVALUATE} --test good.csv": ["predefined", "--test"],
    f"{EVALUATE} --valid good.csv": ["predefined", "--part valid"],
    f"{EVALUATE} --protocol predefined --data .": ["none of the known data sets"],
    f"{EVALUATE} --lines users --header --data good.csv": ["--lines users has no columns", "--header"],
    f"{EVALUATE} --lines users --data small.csv": ["small.csv"],
    f"{EVALUATE} --data small.csv": ["small.csv", "no events"],
    f"{EVALUATE} --data one_item.csv": ["one_item.csv", "no events"],
    "compare --data good.csv --models Popular,Oracle --protocol last-one-full": ["'Oracle'", "Popular"],
    "compare --data good.csv --models Popular,EASE --protocol ratings-5fold": ["Popular", "ratings"],
    "compare --data good.csv --models , --protocol last-one-full": ["--models"],
    "compare --data implicit.csv --models all --protocol ratings-5fold": ["implicit.csv"],
    "recommend nowhere.recsys --user 1": ["nowhere.recsys", "No such file"],
    "recommend . --user 1": ["directory"],
    "recommend foreign.recsys --user 1": ["foreign.recsys", "not a model file"],
    "recommend foreign.zip --user 1": ["foreign.zip", "not a model file"],
    "recommend cut.recsys --user 1": ["cut.recsys", "damaged"],
    "recommend flipped.recsys --user 1": ["flipped.recsys", "damaged"],
    "recommend ease.recsys": ["--user", "--history"],
    "recommend ease.recsys --user 1 --history 2": ["--user", "--history"],
    "recommend ease.recsys --user 99999": ["99999"],
    "recommend ease.recsys --user=-5": ["-5"],
    "recommend ease.recsys --user ann": ["'ann'", "whole number"],
    "recommend ease.recsys --user 99999999999999999999999": ["99999999999999999999999", "64 bits"],
    "recommend ease.recsys --history 1,88888": ["88888"],
    "recommend ease.recsys --history ,": ["--history"],
    "recommend ease.recsys --history 1,2 --values 3": ["--values", "1 numbers", "2 ids"],
    "recommend ease.recsys --history 1,2 --values 3,inf": ["--values", "'inf'"],
    "recommend ease.recsys --user 1 --values 3": ["--values", "--history"],
    "recommend bias.recsys --history 1,2": ["Bias", "--values"],
    "recommend ease.recsys --user 1 -k 0": ["-k"],
    "recommend ease.recsys --user 1 -k 1e3": ["-k", "'1e3'"],
    "recommend text.recsys --user carl": ["'carl'"],
    "similar ease.recsys --item 77777": ["77777"],
    "similar popular.recsys --item 1": ["Popular"],
    "similar foreign.recsys --item 1": ["foreign.recsys"],
    "similar ease.recsys": ["--item"],
    "demo --data implicit.csv --out kept.out": ["implicit.csv", "ratings"],
    "demo --data small.csv --out kept.out": ["small.csv", "10 rows a user"],
    "demo --data good.csv --out nowhere/r.html": ["nowhere/r.html"],
    "demo --data good.csv --user 123456 --out kept.out": ["123456"],
    "fly": ["fly"],
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_sentence(command, made, run):
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    code, out, err = run(command)
    assert code == 2
    assert out == ""
    assert err.startswith("recsys")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert all(word in err for word in BAD[command]), err
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} == before


def test_a_word_too_many_names_the_commands_own_help(run):
    code, out, err = run("recommend model.recsys --users 1")
    assert (code, out) == (2, "")
    assert err == "recsys recommend: unrecognized arguments: --users 1; see recsys recommend --help\n"


@pytest.mark.parametrize("command", [
    "data good.csv", "data good.csv.gz --min-value 3 --implicit --k-core 3", "data one_user.csv", "data one_item.csv",
    "data columns.csv --users a --items 1", "data small.csv --id-type str",
    "data far.csv", "data huge.csv --id-type str", "data latin.csv --encoding latin-1",
    "evaluate --data good.csv --model itemknn --set neighbours=5 --protocol last-one-full --metrics hit@5,mrr",
    "evaluate --data good.csv --model Bias --protocol ratings-5fold --option folds=2 --seed 3",
    "evaluate --data good.csv --model Popular --protocol predefined-repeats --test small.csv",
    "evaluate --data good.csv --model Popular --protocol predefined-repeats --test small.csv --valid double.csv "
    "--part valid",
    "evaluate --data good.csv --model EASE --protocol last-one-full --part valid -k 1000",
    "evaluate --data one_user.csv --model Popular --protocol last-one-full",
    "compare --data good.csv --models Popular,EASE,popular --protocol ratio-811-full",
    "recommend ease.recsys --user 1 --user 2 --why", "recommend ease.recsys --history 3,5 -k 3",
    "recommend bias.recsys --history 1,2 --values 5,2.5", "recommend rated.recsys --history 1,2,3 --values 5,1,2 --why",
    "recommend rated.recsys --history 1,99999,2,3 --values 5,2,1,2 --why --on-unknown skip",
    "recommend text.recsys --user ann", "recommend popular.recsys --user 1 --why --keep-seen",
    "recommend ease.recsys --user 99999 --on-unknown fallback", "recommend ease.recsys --user 99999 --on-unknown skip",
    "recommend ease.recsys --history 1,99999 --on-unknown skip --why", "similar ease.recsys --item 3 --item 4 -k 2",
    "models", "protocols",
])
@pytest.mark.parametrize("form", ["rich", "plain", "json"])
def test_good_commands_print_a_table_or_a_document(command, form, run, monkeypatch):
    if form == "plain":
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rich" else find_spec(name))
    if form == "json":
        assert document(run(f"{command} --json"))
    else:
        code, out, _ = run(command)
        assert code == 0
        assert max(map(len, out.splitlines()), default=0) <= 100
        assert not out.startswith("{")


def test_data_writes_what_reads_back(made, run, tmp_path):
    path = tmp_path / "clean.csv.gz"
    found = document(run(["data", "good.csv", "--min-value", "3", "--out", str(path), "--json"]))
    again = Interactions.from_csv(path)
    assert found["fingerprint"] == again.fingerprint()
    assert found["written"] == str(path)
    assert again.value.min() >= 3
    assert os.listdir(tmp_path) == ["clean.csv.gz"]


def test_train_replaces_the_file_and_recommend_answers_from_it(run, tmp_path):
    path = tmp_path / "m.recsys"
    path.write_text("older")
    found = document(run(["train", "--data", "good.csv", "--implicit", "--model", "als", "--set", "factors=4", "--set",
                          "epochs=3", "--out", str(path), "--json"]))
    assert found["model"] == "ALS"
    assert found["parameters"]["factors"] == 4
    assert found["bytes"] == path.stat().st_size
    model = loading.load(path)
    assert found["fingerprint"] == model.fingerprint
    user = int(model.users.ids[0])
    records = document(run(["recommend", str(path), "--user", str(user), "-k", "4", "--why", "--json"]))
    assert [r["item"] for r in records["recommendations"]] == model.recommend(user, k=4).items.tolist()
    assert all(reason["contribution"] > 0 for r in records["recommendations"] for reason in r["why"])
    similar = document(run(["similar", str(path), "--item", "3", "-k", "3", "--json"]))["similar"]
    assert [r["item"] for r in similar] == model.similar_items(3, k=3).items.tolist()
    assert {r["to"] for r in similar} == {3}


def test_implicit_never_reads_the_values(run):
    assert document(run("data words.csv --implicit --json"))["values"] is None


def test_repeated_pairs_and_short_lists_are_told(run, tmp_path):
    code, _, err = run(["train", "--data", "double.csv", "--model", "Popular", "--out", str(tmp_path / "m")])
    assert code == 0
    assert "1 of 7 rows repeat" in err
    assert "--duplicates" in err
    code, out, err = run("recommend ease.recsys --user 1 -k 1000 --json")
    n = len(json.loads(out)["recommendations"])
    assert code == 0
    assert n < 40
    assert f"{n} instead of 1000" in err
    code, _, err = run("recommend ease.recsys --user 99999 --on-unknown fallback")
    assert code == 0
    assert "the model knows nothing" in err
    assert "most popular" in err
    code, out, err = run("recommend text.recsys --history y --json")
    assert code == 0
    assert [(line["item"], line["source"]) for line in json.loads(out)["recommendations"]] == [
        ("x", "model"), ("z", "popular")]
    assert "1 of 2 are the model's; nothing speaks for more, and the most popular of the other items follow" in err


def test_times_are_shown_as_dates(run, tmp_path):
    path = tmp_path / "dated.csv"
    path.write_text("user,item,time\n1,1,881250949\n2,1,893286638\n")
    code, out, _ = run(f"data {path}")
    assert code == 0
    assert "first 1997-12-04 15:55, last 1998-04-22 23:10" in " ".join(out.split())
    assert document(run(f"data {path} --json"))["time"]["first"] == 881250949


def test_refit(run):
    found = document(run("evaluate --data good.csv --model EASE --protocol last-one-full --refit --json"))
    assert found["card"]["refit"] == "on training and validation rows"
    code, out, err = run("evaluate --data good.csv --model EASE --protocol last-one-full --refit --part valid")
    assert (code, out) == (2, "")
    assert "refit=True learns from the validation rows" in err
    assert err.count("\n") == 1


def test_compare_all_leaves_out_what_cannot_and_says_why(run, monkeypatch):
    names = ("Popular", "Bias", "ItemKNN", "ImageCNN", "TextCNN")
    monkeypatch.setattr(models, "REGISTRY", {name: models.REGISTRY[name] for name in names})
    found = document(run("compare --data good.csv --implicit --models all --protocol last-one-full --json"))
    assert found["left_out"] == {"Bias": "needs data with values"}
    assert {row["model"] for row in found["models"]} == {"Popular", "ItemKNN", "ImageCNN", "TextCNN"}
    found = document(run("compare --data good.csv --models all --protocol ratings-5fold --json"))
    assert set(found["left_out"]) == {"Popular", "ItemKNN", "ImageCNN", "TextCNN"}
    assert found["without_content"] == {}
    code, out, _ = run("compare --data good.csv --models all --protocol ratings-5fold")
    assert code == 0
    assert "Left out: Popular gives no ratings." in out


def test_of_all_models_none_is_left_out_for_content_that_no_item_has(run, monkeypatch):
    """It learns that all items' is missing, and ranks by who met what; asked for by name, it is refused."""
    names = ("ContentProfile", "ImageCNN", "Multimodal", "Popular", "TextCNN", "VisualBPR")
    monkeypatch.setattr(models, "REGISTRY", {name: models.REGISTRY[name] for name in names})
    images = "needs item images or vectors, the attribute 'poster' (--images FILE)"
    for command in ("compare --data good.csv --models all --protocol last-one-full",
                    "compare --data good.csv --test good.csv --models all --protocol predefined-repeats"):
        found = document(run(f"{command} --json"))
        assert found["left_out"] == {}
        assert found["without_content"] == {"ImageCNN": images, "VisualBPR": images,
                                            "TextCNN": "needs titles or texts of the items",
                                            "ContentProfile": "needs titles, texts, genres or attributes of the items",
                                            "Multimodal": "needs words, images or vectors of the items"}
        assert len({row["model"] for row in found["models"]}) == 6
    code, out, _ = run("compare --data good.csv --models all --protocol last-one-full")
    assert code == 0
    assert f"Without content: VisualBPR {images}; it learned from the interactions alone." in " ".join(out.split())
    code, out, err = run("compare --data good.csv --models Popular,VisualBPR --protocol last-one-full")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"VisualBPR {images}" in err


def test_what_models_are_not_made_for_is_said(run, tmp_path):
    command = "compare --models Popular,Bias,Markov --protocol ratio-811-full --data"
    code, out, _ = run(f"{command} good.csv")
    assert code == 0
    assert "They rank by the rating that they predict" in out
    assert "ratings-5fold measures what they are for: Bias." in " ".join(out.split())
    assert "no times" not in out
    (tmp_path / "untimed.csv").write_text("user,item,rating\n" + "".join(
        f"{u},{i},3\n" for u in range(9) for i in range(9) if (u + i) % 4))
    code, out, _ = run(f"{command} {tmp_path}/untimed.csv")
    assert code == 0
    assert "the order of its rows stood for them: Markov." in " ".join(out.split())


def test_compare_sets_a_parameter_of_one_model_or_of_all(run):
    command = "compare --data good.csv --implicit --models ALS,BPR,Popular --protocol last-one-full --set epochs=1"
    plain, fewer = (document(run(f"{command} {more} --json")) for more in ("--set factors=2", "--set bpr.factors=2"))
    value = [{row["model"]: row["value"] for row in found["models"] if row["metric"] == "mrr"}
             for found in (plain, fewer)]
    assert value[0]["BPR"] == value[1]["BPR"]
    assert value[0]["ALS"] != value[1]["ALS"]
    for wrong, problem in (("depth=3", "none of the models"), ("EASE.reg=3", "none of the models"),
                           ("epochs=-1", "epochs")):
        code, out, err = run(f"{command.rpartition(' ')[0]} {wrong}")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert problem in err


def test_controls_stand_beside_what_reads_friends_or_features(run, tmp_path):
    (tmp_path / "items.csv").write_text("item,genre\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(1, 41)))
    command = f"compare --data good.csv --models Popular,LogisticRegression --item-features {tmp_path}/items.csv " \
        f"--protocol last-one-full --controls"
    found = document(run(f"{command} features --json"))
    assert {row["model"] for row in found["models"]} == {
        "Popular", "LogisticRegression", "LogisticRegression, features permuted",
        "LogisticRegression, features constant"}
    assert "items.csv sha256:" in found["card"]["files"]
    code, out, err = run(f"{command} friends")
    assert (code, out) == (2, "")
    assert "none of the models reads friends that the data has; leave --controls friends out" in err


def test_parts_of_lists_are_measured_and_named(run, tmp_path):
    """LightGCN's format, sessions, and a folder of a set that comes divided."""
    for name, text in {"train": "1 11 12 13\n2 11 13\n3 12\n", "valid": "3 11\n", "test": "1 14\n3 13\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    apart = [f"--data {tmp_path}/train.txt --lines users --valid {tmp_path}/valid.txt --test {tmp_path}/test.txt",
             f"--data {tmp_path}"]
    for parts in apart:
        for protocol in ("predefined --refit", "predefined-train", "predefined-repeats"):
            card = document(run(f"evaluate --model EASE {parts} --protocol {protocol} --json"))["card"]
            assert card["sizes"] == "6 train, 1 valid, 2 test"
            assert [each.partition(" sha256:")[0] for each in card["files"].split(", ")] == \
                ["train.txt", "test.txt", "valid.txt"]
            assert str(tmp_path) not in str(card["files"])
            assert card["only in test"] == "0 users, 1 items"
    lines = f"--lines sessions --data {tmp_path}/train.txt --test {tmp_path}/test.txt --valid {tmp_path}/valid.txt"
    card = document(run(f"evaluate --model Popular {lines} --protocol sessions-next --json"))["card"]
    assert "1 sessions to validate, 1 to test" in card["split"]


def test_images_come_from_a_file(run, tmp_path):
    """Whatever the ids are called; items without one are counted."""
    path = tmp_path / "images.npz"
    ids = Interactions.from_csv("good.csv").items.ids
    np.savez(path, images=np.random.default_rng(0).integers(1, 99, (len(ids) - 2, 8, 6, 3), np.uint8), of=ids[2:])
    command = ["compare", "--data", "good.csv", "--implicit", "--models", "Popular,VisualBPR", "--protocol",
               "last-one-full", "--images", str(path)]
    code, out, err = run(command)
    assert code == 0, err
    assert "VisualBPR" in out
    assert f"images.npz: images of {len(ids) - 2} of {len(ids)} items." in err
    for arrays, problem in (({"images": np.ones((3, 2, 2))}, "give two arrays, 'images' and the ids of their items"),
                            ({"images": np.ones((3, 2)), "id": np.arange(3)}, "'images' has shape (3, 2) and 'id'"),
                            ({"images": np.ones((1, 2, 2)), "id": np.array(["x"])}, "give ids of one kind"),
                            ({"images": np.ones((2, 2, 2)), "id": np.array([1, 1])}, "each id must occur once")):
        np.savez(path, **arrays)
        code, out, err = run(command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert problem in err
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
    for content in b"not a zip", b"", path.read_bytes():
        path.write_bytes(content)
        code, _, err = run(command)
        assert (code, err.count("\n")) == (2, 1)
        assert "images.npz: not an .npz file of plain arrays" in err
    command[-1] = str(tmp_path / "absent.npz")
    code, _, err = run(command)
    assert code == 2
    assert "No such file" in err


def test_a_model_that_fails_does_not_lose_the_work_of_others(run, monkeypatch):
    class Diverging(models.find("Popular")):
        def learn(self, data, context):
            raise RecsysError("Diverging: loss is nan in epoch 1.")

    monkeypatch.setattr(models, "REGISTRY", {"Diverging": "", "Popular": models.REGISTRY["Popular"]})
    find = models.find
    monkeypatch.setattr(models, "find", lambda name: Diverging if name == "Diverging" else find(name))
    found = document(run("compare --data good.csv --models all --protocol last-one-full --json"))
    assert found["left_out"] == {"Diverging": "fails: Diverging: loss is nan in epoch 1."}
    assert {row["model"] for row in found["models"]} == {"Popular"}
    code, _, err = run("compare --data good.csv --models all --protocol last-one-full")
    assert code == 0
    assert "Diverging fails: Diverging: loss is nan in epoch 1.\n" in err
    assert re.search(r"^Popular: hit@10 \d\.\d{3}, ndcg@10 \d\.\d{3}, mrr .*; learned in \d\.\d s$", err, re.MULTILINE)
    code, out, err = run("compare --data good.csv --models Diverging,Popular --protocol last-one-full --json")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    code, out, err = run("compare --data good.csv --models all --protocol last-one-full --option min_events=0 --json")
    assert (code, out) == (2, "")
    assert "min_events above 2" in err


def test_names_of_models_in_any_case():
    assert models.find("matrixFACTORIZATION") is models.MatrixFactorization
    with pytest.raises(ParameterError, match="MatrixFactorization"):
        models.find("")


def test_interruption(run, monkeypatch, made):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(models.Popular, "fit", interrupt)
    code, out, err = run(f"train --data small.csv {TRAIN}")
    assert (code, out) == (130, "")
    assert err.count("\n") == 1
    assert (made / "kept.out").read_text() == "as it was"


def test_compare_keeps_what_is_finished_and_goes_on(run, tmp_path, monkeypatch):
    names = "compare --data good.csv --implicit --models Popular,ItemKNN,EASE --protocol last-one-full --json"
    whole = document(run(names))

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    command = f"{names} --checkpoint {tmp_path / 'kept.npz'} --out {tmp_path / 'page.html'}"
    with monkeypatch.context() as patch:
        patch.setattr(models.ItemKNN, "fit", interrupt)
        code, out, err = run(command)
    assert code == 130
    assert "stopped after 1 of 3 models; the same command goes on." in err
    assert [row["model"] for row in json.loads(out)["models"] if row["metric"] == "hit@10"] == ["Popular"]
    with monkeypatch.context() as patch:
        patch.setattr(models.Popular, "fit", interrupt)  # not fitted again
        again = document(run(command))
    assert again["models"] == whole["models"]
    assert again["card"] == whole["card"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("Popular", "ItemKNN", "EASE", "hit@10", "paired bootstrap"))
    code, _, err = run(command.replace("--implicit", "--implicit -k 5"))
    assert code == 2
    assert "kept.npz" in err
    assert "'k': 10" in err


def test_a_disk_that_is_full_leaves_the_old_file(run, monkeypatch, made):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(os.listdir(made))
    for command in (f"train --data small.csv {TRAIN}", "data small.csv --out kept.out"):
        code, _, err = run(command)
        assert code == 2
        assert "No space left" in err
        assert err.count("\n") == 1
        assert (made / "kept.out").read_text() == "as it was"
        assert sorted(os.listdir(made)) == before


def test_help_version_and_no_command(run):
    assert run("")[0] == 0
    code, out, _ = run("--version")
    assert code == 0
    assert out == f"recsys {recsys.__version__}\n"
    for name in cli.COMMANDS:
        code, out, _ = run(f"{name} --help")
        assert code == 0
        assert "--json" in out


def test_a_reader_that_stops_is_no_error():
    process = subprocess.Popen([sys.executable, "-m", "recsys", "protocols", "--json"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_link_is_followed_and_a_device_is_refused(run, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert run(["data", "small.csv", "--out", str(tmp_path / "link.csv")])[0] == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").is_file()
    assert run(["data", "small.csv", "--out", os.devnull])[0] == 2


@given(st.dictionaries(st.text(st.characters(categories=["Ll"]), min_size=1), st.one_of(
    st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers()).map(tuple))))
def test_settings_read_what_json_writes(values):
    texts = [f"{name}={json.dumps(value)}" for name, value in values.items()]
    assert settings(texts, "--set") == values


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_output_survives_an_ascii_terminal(form, made, monkeypatch):
    monkeypatch.chdir(made)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["recommend", "accent.recsys", "--user", "zoé", *form]) == 0
    stream.seek(0)
    assert ("zo\\u00e9" if form else "zo?") in stream.read()


# --------------------------------------------------------------------------------------------- checkpoints

def test_ctrl_c_during_a_training_says_how_to_go_on_and_the_same_command_does(run, tmp_path, monkeypatch):
    """Interrupted when the third checkpoint is written; the end has the bits of a run in one piece."""
    kept, out, saves = tmp_path / "run.npz", tmp_path / "model.recsys", []
    command = ["train", "--data", "good.csv", "--implicit", "--model", "multdae", "--set", "hidden=[8]", "--set",
               "epochs=6", "--out", str(out)]

    def save_and_stop(checkpoint, tree):
        write(checkpoint, tree)
        saves.append(1)
        if len(saves) == 3:
            raise KeyboardInterrupt

    write = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    code, _, said = run([*command, "--checkpoint", str(kept)])
    assert code == 130
    assert said.strip().splitlines()[-1] == (f"recsys: MultDAE: interrupted after 3 of 6 epochs; run the same again "
                                             f"with checkpoint {kept} to go on.")
    assert not out.exists()
    assert run([*command, "--checkpoint", str(kept)])[0] == 0
    resumed = out.read_bytes()
    assert len(saves) == 6
    assert run(command)[0] == 0
    assert out.read_bytes() == resumed
