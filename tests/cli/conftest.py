import pytest

from commands import SMALL, call


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    result = call("fit", "generator", "--out", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return folder, result
