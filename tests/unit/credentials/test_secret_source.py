import os
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured
from credentials.secret_source import EnvSecret, FileSecret

SECRET = "s3cr3t-enough"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "api-key"
    put(path, f"{SECRET}\n")
    return path


def put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n", "two words"])
def test_a_secret_is_one_line_of_a_file(file: Path, text: str) -> None:
    """One newline at the end is the editor's, not the secret's."""
    put(file, text)
    assert FileSecret(file).read() == text.removesuffix("\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "puny7",
        "sevench",
        "changeme",
        "ChangeMe\n",
        "password",
        "PASSWORD1",
        "xxxxxxxx",
        f"{SECRET}\r\n",
        f"{SECRET}\n\n",
        f"{SECRET}\nX-Evil: 1",
        f"{SECRET}\0",
        f"{SECRET}é",
        f" {SECRET}",
        f"{SECRET} ",
        f"{SECRET}\x1b[0m",
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(file: Path, text: str) -> None:
    """Short ones, defaults, several lines, controls and other alphabets, from file and variable."""
    put(file, text)
    for refused_by in (
        lambda: FileSecret(file).read(),
        lambda: EnvSecret("api-key", {"api-key": text}),
    ):
        with pytest.raises(BrokerMisconfigured, match="'api-key'") as refused:
            refused_by()
        assert not text.strip() or text.strip() not in str(refused.value)


def test_a_rotated_file_is_taken_up(file: Path) -> None:
    """Renaming a new file over the old one is enough."""
    source = FileSecret(file)
    source.read()
    put(file.with_name("next"), "rotated-secret")
    file.with_name("next").rename(file)
    assert source.read() == "rotated-secret"


def test_a_file_written_in_place_is_taken_up(file: Path) -> None:
    """The same inode with another time is another secret."""
    source = FileSecret(file)
    source.read()
    put(file, "rewritten-now")
    os.utime(file, ns=(1, 1))
    assert source.read() == "rewritten-now"


def test_an_unchanged_file_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call costs one stat."""
    source = FileSecret(file)
    source.read()
    monkeypatch.setattr("credentials.secret_source.read_private", None)
    assert source.read() == SECRET


def test_a_file_opened_to_others_later_is_refused_then(file: Path) -> None:
    """The mode is checked whenever it changes, not only at the start."""
    source = FileSecret(file)
    source.read()
    file.chmod(0o644)
    with pytest.raises(BrokerMisconfigured, match="open to other users"):
        source.read()


def test_a_file_that_went_away_is_not_remembered(file: Path) -> None:
    """Deleting the file ends the lending."""
    source = FileSecret(file)
    source.read()
    file.unlink()
    with pytest.raises(BrokerMisconfigured, match="cannot be read"):
        source.read()


def test_a_mounted_secret_may_be_a_link(file: Path) -> None:
    """The checks are made on what the link leads to."""
    file.with_name("link").symlink_to(file)
    assert FileSecret(file.with_name("link")).read() == SECRET


def test_a_variable_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes in the mapping or the process environment later has no effect."""
    environment = {"API_KEY": SECRET}
    source = EnvSecret("API_KEY", environment)
    environment["API_KEY"] = "something-else"
    monkeypatch.setenv("API_KEY", "something-else")
    assert source.read() == SECRET


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the given mapping counts, never the process environment."""
    monkeypatch.setenv("API_KEY", SECRET)
    with pytest.raises(BrokerMisconfigured, match="no 'API_KEY': set it"):
        EnvSecret("API_KEY", {})
