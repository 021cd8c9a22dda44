"""Options that say how data is read: each one's effect, and notes and errors that speak of options."""

import io
import json
import os
import sys
import threading

import pytest

from recsys import cli

LOG = "user,item,event,quantity\n1,7,view,1\n1,8,buy,3\n2,7,view,1\n2,7,buy,-1\nNA,7,view,1\n3,8,cart,1\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "names.csv").write_text("wer,was\nann,alien\nbob,brazil\n")
    (tmp_path / "odd.csv").write_text("user;item;rating;date\n1;7;3,5;01/02/2024\n2;7;4,5;02/02/2024\n")

    def run(*arguments):
        code = cli.main([*arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def described(run, *arguments):
    code, out, err = run("data", *arguments, "--json")
    assert code == 0, err
    return json.loads(out), err


def test_missing_ids(run):
    code, out, err = run("data", "log.csv")
    assert (code, out) == (2, "")
    assert err == ("recsys: log.csv, column 'user', line 6: the id is missing ('NA' means that; 1 such rows); leave "
                   "them out with --drop-missing, or keep 'NA' as what it is with --na ''.\n")
    found, err = described(run, "log.csv", "--drop-missing")
    assert (found["interactions"], found["users"]) == (5, 3)
    assert "recsys: note: log.csv: dropped 1 of 6 rows (1 without users).\n" in err
    assert described(run, "log.csv", "--na", "")[0]["users"] == 4
    assert described(run, "log.csv", "--na", "nobody,-")[0]["users"] == 4


def test_negative_values(run):
    assert described(run, "log.csv", "--drop-missing")[0]["values"]["min"] == -1
    found, err = described(run, "log.csv", "--drop-missing", "--negative", "subtract")
    assert (found["interactions"], found["values"]["min"]) == (3, 1)
    assert "subtracted 1 negative values" in err
    assert described(run, "log.csv", "--drop-missing", "--negative", "drop")[0]["interactions"] == 4
    assert "1 of 5 events have a value of 0 or less" in described(
        run, "log.csv", "--drop-missing", "--negative", "keep", "--min-value", "-9", "--implicit")[1]


def test_event_weights(run):
    code, _, err = run("data", "log.csv", "--drop-missing", "--event-weights", "view=1,buy=5")
    assert code == 2
    assert "no weight is given for 'cart' (1 rows); give --event-weights one for each, 'drop' to drop its rows" in err
    found, err = described(run, "log.csv", "--drop-missing", "--event-weights", "view=1,buy=5,*=drop", "--events", "2")
    assert found["values"]["counts"] == {"1.0": 2, "5.0": 2}
    assert "dropped 1 of 5 rows ('cart' 1)" in err
    with pytest.raises(SystemExit):
        run("data", "log.csv", "--event-weights", "view")


def test_names_and_no_names(run):
    assert "pass --header or --no-header" in run("data", "names.csv")[2]
    assert described(run, "names.csv", "--no-header")[0]["interactions"] == 3
    assert described(run, "names.csv", "--header", "--users", "0", "--items", "1")[0]["interactions"] == 2
    assert described(run, "names.csv", "--users", "wer", "--items", "was")[0]["interactions"] == 2
    assert "pass --users." in run("data", "names.csv", "--header")[2]
    with pytest.raises(SystemExit):
        run("data", "names.csv", "--header", "--no-header")


def test_decimals_and_dates(run):
    assert "--decimal ',' reads it" in run("data", "odd.csv")[2]
    assert "pass --date-format '%d/%m/%Y' or --date-format '%m/%d/%Y'" in run("data", "odd.csv", "--decimal", ",")[2]
    found, _ = described(run, "odd.csv", "--decimal", ",", "--date-format", "%d/%m/%Y")
    assert found["values"]["counts"] == {"3.5": 1, "4.5": 1}
    assert (found["time"]["first"], found["time"]["last"]) == (1706745600, 1706832000)


def test_units_of_time(run, tmp_path):
    (tmp_path / "ms.csv").write_text("1,7,1,881250949000\n2,7,1,881250950000\n")
    found, err = described(run, "ms.csv")
    assert (found["time"]["first"], found["time"]["last"]) == (881250949, 881250950)
    assert "took the times as milliseconds since 1970" in err
    assert "--time-unit s takes them as they are" in err
    assert described(run, "ms.csv", "--time-unit", "us")[0]["time"]["first"] == 881250


def test_standard_input_pipes_and_json_lines(run, tmp_path, monkeypatch):
    lines = '{"user": "ann", "item": 7}\n{"user": "bob", "item": 8}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert described(run, "-")[0]["users"] == 2
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(LOG,))
    writer.start()
    assert described(run, "pipe", "--drop-missing")[0]["users"] == 3
    writer.join()
    monkeypatch.setattr(sys, "stdin", None)  # as of a service that has closed it
    code, out, err = run("data", "-")
    assert (code, out) == (2, "")
    assert err == "recsys: standard input is closed, so there is nothing to read; pipe a file into it, or name one.\n"


def test_side_files(run, tmp_path):
    (tmp_path / "items.csv").write_text("item,title,year,genres\n7,Alien,1979,horror|space\n99,Brazil,1985,drama\n")
    (tmp_path / "users.jsonl").write_text('{"user": 1, "age": 30}\n')
    (tmp_path / "friends.txt").write_text("1 2\n2 1\n1 55\n")
    (tmp_path / "plots.csv").write_text("item,plot\n8,In space\n")
    code, _, err = run("train", "--data", "log.csv", "--drop-missing", "--negative", "drop", "--model", "Popular",
                       "--out", "a.recsys", "--titles", "items.csv", "--item-features", "items.csv", "--user-features",
                       "users.jsonl", "--text", "plots.csv", "--friends", "friends.txt")
    assert code == 0, err
    for note in ("items.csv: describes 1 of 2 items; 1 of its ids are not among them.",
                 "items.csv: took title as titles; year as numbers; genres as labels.",
                 "users.jsonl: describes 1 of 3 users.", "plots.csv: describes 1 of 2 items.",
                 "friends.txt: 2 links (left out: 1 with users that the data does not have); 1 of 3 users have none."):
        assert f"recsys: note: {note}\n" in err
    assert "Alien" in run("recommend", "a.recsys", "--user", "3")[1]


def test_warnings_are_notes(run):
    code, _, err = run("train", "--data", "log.csv", "--drop-missing", "--model", "Popular", "--out", "a.recsys")
    assert code == 0
    assert ("recsys: note: log: 1 of 5 events have a value of 0 or less and count like all others, as values are not "
            "looked at here; settle them before: pass --negative drop or --negative subtract or --min-value.\n") in err


@pytest.mark.parametrize("option", ["--header", "--drop-missing", "--na=x", "--event-weights=a=1", "--time-unit=s"])
def test_options_for_files_alone(run, option):
    code, _, err = run("data", "movielens-small", option)
    assert code == 2
    assert f"{option.partition('=')[0]} are for files" in err


def test_links_without_plain_names_get_advice_that_can_be_followed(run, tmp_path):
    (tmp_path / "links.csv").write_text("a,b\nann,bob\nbob,ann\n")
    (tmp_path / "who.csv").write_text("user,item\nann,x\nbob,y\n")
    command = ["train", "--data", "who.csv", "--model", "Popular", "--out", "p.recsys", "--friends", "links.csv"]
    code, _, err = run(*command)
    assert code == 2
    assert err.startswith("recsys: links.csv: cannot tell")
    assert "call them by words such as user, item, friend" in err
    assert "--header" not in err
    (tmp_path / "links.csv").write_text("user,friend\nann,bob\nbob,ann\n")
    assert run(*command)[0] == 0


def test_parts_with_ids_of_two_kinds_say_what_to_do(run, tmp_path):
    (tmp_path / "test.csv").write_text("user,item\nann,8\n")
    code, _, err = run("evaluate", "--data", "log.csv", "--drop-missing", "--model", "Popular", "--protocol",
                       "predefined", "--test", "test.csv")
    assert code == 2
    assert "the map holds integers, the new ids are strings; convert them, or read both with --id-type str." in err


PARTS = ("evaluate", "--data", "train.csv", "--test", "test.csv", "--protocol", "predefined", "--model", "Popular")


@pytest.fixture
def parts(run, tmp_path):
    """A function that measures parts given apart, some of whose users and items are rare."""
    rows = [f"{user},{item},{1 + item % 5}\n" for user in range(6) for item in range(10) if (user + item) % 2]
    (tmp_path / "train.csv").write_text("user,item,rating\n" + "".join(rows) + "77,77,5\n")
    (tmp_path / "test.csv").write_text("user,item,rating\n0,2,5\n1,3,1\n1,3,4\n2,88,5\n")
    return lambda *words: run(*PARTS, *words, "--json")


def test_parts_given_apart_keep_their_rare_users(parts):
    code, out, err = parts("--k-core", "3")
    assert code == 0
    assert "train.csv: --k-core 3 left out 1 of 31 events." in err
    assert "test.csv: --k-core is for --data alone; nothing is left out here." in err
    assert json.loads(out)["card"]["sizes"] == "30 train, 0 valid, 4 test"


def test_what_thins_parts_is_counted(parts):
    code, out, err = parts("--min-value", "2", "--duplicates", "last")
    assert code == 0
    assert "recsys: note: train.csv: --min-value 2 left out 6 of 31 events.\n" in err
    assert "recsys: note: test.csv: --duplicates last left out 1 of 4 events.\n" in err
    assert json.loads(out)["card"]["sizes"] == "25 train, 0 valid, 3 test"


def test_files_about_items_go_with_all_parts(parts, tmp_path):
    (tmp_path / "items.csv").write_text("item,title\n1,One\n88,Only tested\n")
    (tmp_path / "links.csv").write_text("user,friend\n5,4\n")
    code, _, err = parts("--titles", "items.csv", "--friends", "links.csv")
    assert code == 0, err
    assert err.count("items.csv: describes 2 of 12 items.") == 1
    assert err.count("links.csv: 1 links") == 1


def test_what_cleaning_left_out_is_told(run):
    found, err = described(run, "log.csv", "--drop-missing", "--duplicates", "sum", "--min-value", "1")
    assert found["notes"][1:] == ["log.csv: --duplicates sum left out 1 of 5 events.",
                                  "log.csv: --min-value 1 left out 1 of 4 events."]
    assert all(note in err for note in found["notes"])


def test_words_and_decimals_of_side_files(run, tmp_path):
    (tmp_path / "items.csv").write_text("item;price;title\n7;1,5;nix\n8;2,5;NULL\n")
    code, _, err = run("train", "--data", "odd.csv", "--decimal", ",", "--date-format", "%d/%m/%Y", "--na", "nix",
                       "--model", "Popular", "--out", "a.recsys", "--item-features", "items.csv")
    assert code == 0, err
    assert "items.csv: took price as numbers; title as titles." in err
    assert ("items.csv, column 'title': took 'nix' as missing, and so all words for that (1 rows); --na '' keeps them."
            in err)


def test_what_is_wrong_with_a_part_is_said_of_it(parts, tmp_path):
    (tmp_path / "test.csv").write_text("user,item\n0,2\n")
    code, _, err = parts("--min-value", "2")
    assert code == 2
    assert "recsys: test.csv: filter: the interactions have no values to filter by." in err


def test_what_is_wrong_with_a_sound_is_said_of_it(run, tmp_path):
    (tmp_path / "heard").mkdir()
    (tmp_path / "heard" / "7.wav").touch()
    for folder, says in (("heard", "recsys: heard/7.wav: the file is empty"), ("no", "recsys: no is no folder")):
        code, out, err = run("train", "--data", "log.csv", "--drop-missing", "--implicit", "--sounds", folder,
                             "--model", "Popular", "--out", "model.recsys")
        assert (code, out) == (2, "")
        assert err.splitlines()[-1].startswith(says), err


def test_files_from_elsewhere_are_joined_by_the_reader_of_a_set(run, tmp_path):
    """Plots belong to films through links.csv, which only the set's own reader knows."""
    for name, text in {"ratings": "userId,movieId,rating,timestamp\n" + "".join(
            f"{u},{m},4,{u + m}\n" for u in range(9) for m in range(4) if (u + m) % 3),
            "movies": "movieId,title,genres\n0,A (1999),Drama\n1,B (1999),War\n2,C,Drama\n3,D,War\n",
            "links": "movieId,imdbId,tmdbId\n0,1,70\n1,2,71\n2,3,\n"}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "told.csv").write_text("id,overview\n70,a ship in space\n71,a ship at sea\n")
    (tmp_path / "strange.csv").write_text("id,overview\n7000,a ship in space\n")
    command = ["evaluate", "--data", str(tmp_path), "--model", "TextCNN", "--set", "epochs=1", "--protocol",
               "ratio-811-full"]
    code, out, err = run(*command, "--join", f"plots={tmp_path}/told.csv", "--json")
    assert code == 0, err
    assert "told.csv sha256:" in json.loads(out)["card"]["files"]
    for join, problem in ((f"plot={tmp_path}/told.csv", "joins plots, posters"), ("plots=absent.csv", "no such file"),
                          ("plots=strange.csv", "strange.csv: none of its ids ('7000', ...) is one of the data's")):
        code, out, err = run(*command, "--join", join)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert problem in err
    code, _, err = run("evaluate", "--data", "log.csv", *command[3:], "--join", "plots=log.csv")
    assert (code, err.count("\n")) == (2, 1)
    assert "log.csv joins no files" in err
