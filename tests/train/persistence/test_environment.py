import jax

from jmc.train.persistence.environment import changes, device, environment, versions


def test_what_changed():
    before = {"jax": "1", "XLA_FLAGS": "", "gone": "x"}
    assert [*changes(before, before)] == []
    assert [*changes(before, {"jax": "2", "XLA_FLAGS": "--a"})] == [
        "jax was 1, is 2",
        "XLA_FLAGS was not set, is --a",
        "gone was x, is not set",
    ]


def test_an_environment_is_words_that_stay_the_same():
    found = environment()
    assert found == environment()
    assert all(isinstance(value, str) for value in found.values())
    assert found["jax"] == versions()["jax"] == jax.__version__
    assert found["device"] == device()
    assert found["device count"] == str(jax.device_count())


def test_what_changes_the_bits_changes_it(monkeypatch):
    before = environment()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with jax.default_matmul_precision("bfloat16"):
        assert {*changes(before, environment())} == {
            f"XLA_FLAGS was {before['XLA_FLAGS'] or 'not set'}, is --xla_cpu_enable_fast_math=true",
            f"matmul precision was {before['matmul precision']}, is bfloat16",
        }
