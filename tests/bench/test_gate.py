"""The gate: one call takes no more work than gate.toml allows."""

from bench import gate


def test_no_count_is_above_its_limit():
    limits, _ = gate.load()
    judged = gate.judge(gate.counts(), limits)
    assert [limit for limit in judged if limit.passed] == [], gate.table(judged)


def test_a_count_above_its_limit_is_told():
    ok, passed = gate.judge({"a": 10, "b": 11}, {"a": 10, "b": 10})
    assert (ok.passed, passed.passed) == (False, True)
    assert gate.table([passed]).startswith("PASSED")


def test_new_limits_leave_a_little_room(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text(gate.limits_for({"x.python_calls": 3.0, "x.instructions": 123456.0, "x.blocks_kept_of_1000": 0}))
    limits, interpreter = gate.load(file)
    assert limits == {"x.python_calls": 4, "x.instructions": 129629, "x.blocks_kept_of_1000": 20}
    assert interpreter == gate.INTERPRETER
