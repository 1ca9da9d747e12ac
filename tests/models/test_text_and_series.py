"""Texts, columns of numbers, and the baselines that say how good a result is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError
from models.series import Scaling, read_column, season
from models.text import BackOff, Vocabulary, entropy, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "utf-16", "utf-32"])
def test_a_text_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "text"
    path.write_bytes("Grüße\r\nfrom\rafar\n".encode(encoding))
    assert read_text(path, encoding) == "Grüße\nfrom\nafar\n"


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (b"", "utf-8", ["empty"]),
        (b"\x7fELF\0\0\xff", "utf-8", ["binary"]),
        (b"abc\0def", "latin-1", ["NUL"]),
        (b"one\ntwo\nGr\xfc\xdfe", "utf-8", ["line 3", "0xfc", "--encoding"]),
        (b"abc", "klingon", ["'klingon'", "utf-8"]),
    ],
)
def test_files_that_are_no_text(tmp_path, data, encoding, words):
    path = tmp_path / "text"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_text(path, encoding)
    assert all(word in str(error.value) for word in words), str(error.value)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_vocabulary_decodes_what_it_encodes(text):
    vocabulary = Vocabulary(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert Vocabulary(vocabulary.characters).characters == vocabulary.characters


def test_an_unknown_character_is_named():
    with pytest.raises(DataError, match="'q'"):
        Vocabulary("abc").encode("abq")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 4))
def test_back_off_is_a_probability_in_every_context(tokens, order):
    model = BackOff(np.array(tokens), classes=5, order=order)
    random = np.random.default_rng(len(tokens))
    for length in range(order):
        context = tuple(random.integers(5, size=length).tolist())
        shares = [model.probability(context, k) for k in range(5)]
        assert min(shares) > 0
        assert sum(shares) == pytest.approx(1, abs=1e-12)


def test_back_off_finds_what_is_there_to_find():
    """Uniform noise costs its entropy; a cycle of three next to nothing once two characters are seen."""
    noise = np.random.default_rng(0).integers(4, size=20000)
    assert BackOff(noise[:10000], 4).bits_per_token(noise[10000:]) == pytest.approx(2, abs=0.01)
    cycle = np.tile([0, 1, 2], 1000)
    assert BackOff(cycle, 3).bits_per_token(cycle) < 0.02
    assert entropy(cycle) == pytest.approx(np.log2(3))


def write(tmp_path, text):
    path = tmp_path / "series.csv"
    path.write_text(text)
    return path


def test_a_column_by_name_and_by_default(tmp_path):
    path = write(tmp_path, 'year;"sun spots";note\n1700;5.5;1\n1701;1e1;2\n\n')
    name, values = read_column(path, "sun spots")
    assert (name, values.tolist()) == ("sun spots", [5.5, 10.0])
    assert read_column(path)[0] == "note"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("a,b\n", ["no rows"]),
        ("1,2\n3,4\n", ["row 1", "header"]),
        ("a,b\n1,2\n3,\n", ["row 3", "'b'", "missing"]),
        ("a,b\n1,2\n3\n", ["row 3", "'b'", "missing"]),
        ("a,b\n1,NA\n", ["row 2", "'b'", "missing"]),
        ("a,b\n1,2\n1,many\n", ["row 3", "'b'", "'many'"]),
        ("a,b\n1,inf\n", ["row 2", "not finite"]),
        ("a,b\n1,1_000\n", ["row 2", "'1_000'"]),
        ("a,c\n1,2\n", ["no column 'b'", "a, c"]),
    ],
)
def test_columns_that_are_none(tmp_path, text, words):
    with pytest.raises(DataError) as error:
        read_column(write(tmp_path, text), "b")
    assert all(word in str(error.value) for word in words), str(error.value)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30).filter(lambda v: np.std(v) > 1e-3))
def test_scaling_is_undone(values):
    array = np.array(values)
    scaling = Scaling.learned_from(array)
    scaled = scaling.apply(array)
    assert scaled.mean() == pytest.approx(0, abs=1e-6) and scaled.std() == pytest.approx(1)
    assert scaling.undo(scaled) == pytest.approx(array, abs=1e-9 * np.abs(array).max())


def test_a_constant_series_teaches_nothing():
    with pytest.raises(DataError, match="nothing can be learned"):
        Scaling.learned_from(np.ones(5))


@pytest.mark.parametrize("period", [4, 7, 11, 24])
def test_the_season_of_a_noisy_wave(period):
    t = np.arange(12 * period)
    wave = np.sin(2 * np.pi * t / period) + 0.1 * np.random.default_rng(period).standard_normal(len(t))
    assert season(wave) % period == 0
    assert season(np.arange(20.0) * 0 + 1) == 1
