"""Options of `aboard serve` from a file, the environment and the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from aboard.cli.app import app
from aboard.errors import UsageError
from aboard.serve.configuration import KEYS, Kind, read_configuration
from guide import Guide

OWN = {"models", "caches", "config", "check_config", "as_json"}
TYPES = {
    Kind.TEXT: "str",
    Kind.FILE: "path",
    Kind.WHOLE: "int range",
    Kind.NUMBER: "float range",
    Kind.DATE: "datetime",
    Kind.TEXTS: "str",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_file: Path) -> Path:
    """Where the program starts; beside it lies `here/tiny.gguf`."""
    for name in ("start", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "tiny.gguf").symlink_to(model_file)
    monkeypatch.chdir(tmp_path / "start")
    return tmp_path


def checked(*options: str, **environment: str) -> dict[str, Any]:
    """What `aboard serve --check-config --json` says."""
    done = CliRunner().invoke(app, ["serve", "--check-config", "--json", *options], env=environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal(*options: str, **environment: str) -> str:
    done = CliRunner().invoke(app, ["serve", "--check-config", *options], env=environment)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


def test_every_option_is_a_key_and_a_variable() -> None:
    command = typer.main.get_command(app).commands["serve"]

    options = {each.name: each for each in command.params if each.name not in OWN | {"help"}}

    assert options.keys() == KEYS.keys()
    for name, option in options.items():
        assert option.type.name == TYPES[KEYS[name]], name
        assert option.multiple is (KEYS[name] is Kind.TEXTS), name
    assert command.context_settings["auto_envvar_prefix"] == "ABOARD"


def test_a_flag_goes_before_the_environment_and_that_before_the_file(folder: Path) -> None:
    file = folder / "here" / "aboard.toml"
    file.write_text(
        '[serve]\nport = 1\nmax_waiting = 2\ndrain = 3\n[[serve.models]]\nmodel = "tiny.gguf"'
    )

    told = checked("--config", str(file), "--port", "5", ABOARD_PORT="6", ABOARD_MAX_WAITING="7")

    assert (told["port"], told["max_waiting"], told["drain_s"]) == (5, 7, 3.0)
    assert (told["max_sequences"], told["timeout_s"]) == (32, 600.0)
    assert told["sources"] == {
        "config": "command line",
        "check_config": "command line",
        "as_json": "command line",
        "port": "command line",
        "max_waiting": "environment",
        "drain": "file",
    }


def test_the_file_of_the_folder_is_found_and_its_paths_are_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = folder / "here"
    (here / "keys.txt").write_text("one-key-of-sixteen\nother-key-of-sixteen\n")
    (here / "aboard.toml").write_text(
        """
        [serve]
        host = "0.0.0.0"
        api_key_file = "keys.txt"
        allow_host = ["model.example"]
        context = 256

        [[serve.models]]
        model = "tiny.gguf"
        name = "small"
        aliases = ["gpt-4o-mini", "*"]
        kv = "int8"

        [[serve.models]]
        model = "tiny.gguf"
        context = 128
        """
    )
    by_name = checked("--config", "../here/aboard.toml")
    monkeypatch.chdir(here)

    found = checked()

    assert found["models"] == [
        each | {"file": each["file"].removeprefix("../here/")} for each in by_name["models"]
    ]
    assert [
        (each["id"], each["aliases"], each["context"], each["kv"]) for each in found["models"]
    ] == [("small", ["gpt-4o-mini", "*"], 256, "int8"), ("tiny", [], 128, "f16")]
    assert (found["file"], found["n_keys"]) == ("aboard.toml", 2)
    assert "sixteen" not in json.dumps(found)


def test_models_and_their_options_on_the_command_line_replace_those_of_the_file(
    folder: Path,
) -> None:
    file = folder / "here" / "aboard.toml"
    file.write_text('[[serve.models]]\nmodel = "tiny.gguf"\nname = "a"\ncontext = 64\nkv = "int8"')

    stronger = checked("--config", str(file), "--context", "32", ABOARD_KV="f16")
    others = checked(str(folder / "here" / "tiny.gguf"), "--alias", "b", ABOARD_CONFIG=str(file))
    named = checked(ABOARD_MODELS=str(folder / "here" / "tiny.gguf"), ABOARD_ALIAS="c d=tiny")

    ours = [(each["id"], each["context"], each["kv"]) for each in stronger["models"]]
    assert ours == [("a", 32, "f16")]
    assert [(each["id"], each["aliases"]) for each in others["models"]] == [("tiny", ["b"])]
    assert named["models"][0]["aliases"] == ["c", "d"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[serve", "is no TOML: Expected"),
        ("[serve]\na = 1 2", "at line 2"),
        ("[server]", "'server' is not a table that is known"),
        ("[server]", "Did you mean serve?"),
        ("serve = 1", "serve is no table"),
        ("[serve]\nprot = 1", "[serve]: 'prot' is not a key"),
        ("[serve]\nprot = 1", "Did you mean port?"),
        ("[serve]\nmax-waiting = 1", "Did you mean max_waiting?"),
        ("[serve]\nzzz = 1", "Known are host, port"),
        ("[serve]\nport = '80'", "port is a text, expected a whole number"),
        ("[serve]\nport = true", "port is true or false, expected a whole number"),
        ("[serve]\nport = 70000", "[serve]: port: 70000 is not in the range"),
        ("[serve]\ndrain = -1", "[serve]: drain: -1"),
        ("[serve]\nalias = 'a'", "alias is a text, expected a list of texts"),
        ("[serve]\nalias = [1]", "alias is a list, expected a list of texts"),
        ("[serve]\ndate = '2026-01-31'", "date is a text, expected a date"),
        ("[serve]\ndate = 2026-01-31T00:00:00", "date is a time, expected a date"),
        ("[serve]\nmodels = ['a']", "models is no list of tables"),
        ("[serve]\ncaches = ['a']", "caches is no list of tables"),
        ("[[serve.caches]]\nsystem = 'a'", "[[serve.caches]] number 1: has no name"),
        ("[[serve.caches]]\nname = 'a'", "names no file, expected one of system, messages, text"),
        ("[[serve.caches]]\nname = 'a'\ntext = 'b'\nsystem = 'c'", "names system and text"),
        ("[[serve.caches]]\nname = 'a'\nfile = 'b'", "'file' is not a key"),
        ("[[serve.caches]]\nname = 1", "name is a whole number, expected a text"),
        ("[[serve.models]]\nname = 'a'", "number 1: names no model"),
        ("[[serve.models]]\nmodel = 'a'\nalias = 'b'", "Did you mean aliases?"),
        ("[[serve.models]]\nmodel = 'a'\ncontext = 0", "context is 0, expected at least 1"),
        ("[[serve.models]]\nmodel = 'a'\nkv = 'f32'", "kv is 'f32', expected f16 or int8"),
        ("[[serve.models]]\nmodel = 'a'\nname = ''", "name is empty"),
        ("[serve]\napi_key = 'swordfish-swordfish'", "stand in a file of their own"),
        ("[serve]\ndata = ''", "[serve]: data is '', expected a path"),
        ('[serve]\ncache_dir = "a\\u0000"', "cache_dir is 'a\\x00', expected a path"),
        ("[[serve.models]]\nmodel = ''", "model is '', expected a path"),
    ],
)
def test_what_is_not_known_is_refused_by_name(folder: Path, text: str, told: str) -> None:
    (folder / "start" / "aboard.toml").write_text(text)

    message = refusal()

    assert "aboard.toml" in message
    assert told in message
    assert "swordfish" not in message


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--drain", "inf"], "drain_s is inf"),
        (["--timeout", "nan"], "answer_timeout_s is nan"),
        (["--max-waiting", str(10**20)], "max_waiting is 100000000000000000000"),
        (["--max-sequences", str(10**20)], "max_sequences is 100000000000000000000"),
        (["--data", "tiny.gguf"], "tiny.gguf: can't be used as a folder"),
        (["--data", "tiny.gguf/below"], "tiny.gguf/below: can't be used as a folder"),
        (["--cache-dir", "tiny.gguf"], "tiny.gguf: can't be used as a folder"),
    ],
)
def test_what_can_not_be_served_is_told_by_a_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.chdir(folder / "here")

    assert told in refusal("tiny.gguf", *options)
    assert checked("tiny.gguf", "--data", "new/below")["data"] == "new/below"
    assert not Path("new").exists()


def test_a_variable_that_is_nearly_an_option_is_told_without_its_value(folder: Path) -> None:
    arguments = ["serve", "--check-config", str(folder / "here" / "tiny.gguf")]
    environment = {"ABOARD_MAX_WAITNG": "3", "ABOARD_API_KYE": "swordfish", "ABOARD_OF_OTHERS": "x"}

    done = CliRunner().invoke(app, arguments, env=environment)

    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "aboard: ABOARD_API_KYE is no variable that is known; did you mean ABOARD_API_KEY?",
        "aboard: ABOARD_MAX_WAITNG is no variable that is known; did you mean ABOARD_MAX_WAITING?",
    ]


def test_a_byte_order_mark_is_passed_over(folder: Path) -> None:
    file = folder / "aboard.toml"
    file.write_bytes(b"\xef\xbb\xbf[serve]\nport = 5")

    assert read_configuration(file).options == {"port": 5}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff", "is no UTF-8"),
        (b"#" * ((1 << 20) + 1), "has more than"),
        (b"a=" + b"[" * 9999, "nested too deeply"),
    ],
)
def test_what_is_no_short_text_is_refused(folder: Path, content: bytes, told: str) -> None:
    file = folder / "aboard.toml"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=told):
        read_configuration(file)


def test_a_file_or_a_model_that_is_missing_is_told(folder: Path) -> None:
    (folder / "start" / "aboard.toml").write_text("[serve]\nport = 1")

    assert "none.toml: can't be read: No such file" in refusal("--config", "none.toml")
    assert "no model is named" in refusal()


def test_caches_of_the_file_and_of_the_command_line(folder: Path) -> None:
    here = folder / "here"
    (here / "talk.json").write_text('[{"role": "user", "content": "x"}]')
    (folder / "start" / "house.txt").write_text("Be short.")
    (here / "aboard.toml").write_text(
        """
        [serve]
        cache_dir = "states"

        [[serve.models]]
        model = "tiny.gguf"
        aliases = ["b"]

        [[serve.caches]]
        name = "talk"
        model = "b"
        messages = "talk.json"
        """
    )
    config = ("--config", str(here / "aboard.toml"))

    of_file, of_flag = checked(*config), checked(*config, "--cache", "house=house.txt")
    of_variable = checked(*config, ABOARD_CACHE="a=house.txt b=house.txt", ABOARD_CACHE_DIR="c")

    talk = {"name": "talk", "model": "b", "source": "messages", "file": str(here / "talk.json")}
    house = {"name": "house", "model": None, "source": "system", "file": "house.txt"}
    assert (of_file["caches"], of_file["cache_dir"]) == ([talk], str(here / "states"))
    assert of_flag["caches"] == [house]
    assert [each["name"] for each in of_variable["caches"]] == ["a", "b"]
    assert of_variable["cache_dir"] == "c"
    assert not (here / "states").exists()


@pytest.mark.parametrize(
    ("cache", "content", "told"),
    [
        ("house", "x", "--cache house: expected NAME=FILE"),
        ("=f", "x", "--cache =f: expected NAME=FILE"),
        ("a=none", "x", "none: can't be read"),
        ("a=f", " ", "cache 'a': f is empty"),
        ("a=f", b"\xff", "f: is not UTF-8"),
    ],
)
def test_a_cache_that_is_none_is_refused(
    folder: Path, cache: str, content: str | bytes, told: str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "start" / "f").write_bytes(data)

    assert told in refusal("../here/tiny.gguf", "--cache", cache)


def test_a_cache_of_the_file_names_its_file_in_errors(folder: Path) -> None:
    (folder / "start" / "f").write_text("{")
    (folder / "start" / "aboard.toml").write_text(
        "[[serve.models]]\nmodel = '../here/tiny.gguf'\n"
        "[[serve.caches]]\nname = 'a'\nmessages = 'f'"
    )

    assert "cache 'a': f: is no JSON" in refusal()


def test_what_would_be_served_can_be_read_by_people(folder: Path) -> None:
    done = CliRunner().invoke(
        app, ["serve", "../here/tiny.gguf", "--check-config"], env={"ABOARD_PORT": "9"}
    )

    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert done.exit_code == 0
    assert lines["port"].strip() == "9"
    assert lines["from port"].strip() == "environment"
    assert "file ../here/tiny.gguf; " in lines["model tiny"]


def test_the_file_of_the_guide_is_understood(tmp_path: Path) -> None:
    _, text = Guide("docs/guide/serve.md").blocks("toml")
    (tmp_path / "aboard.toml").write_text(text)

    found = read_configuration(tmp_path / "aboard.toml")

    assert found.options["tls_key"] == str(tmp_path / "key.pem")
    assert [each.model for each in found.models] == [
        str(tmp_path / "models" / "answering.gguf"),
        "smollm2-135m",
    ]


def test_the_caches_of_the_guide_are_understood(tmp_path: Path) -> None:
    text, _ = Guide("docs/guide/serve.md").blocks("toml")
    (tmp_path / "aboard.toml").write_text(text)

    found = read_configuration(tmp_path / "aboard.toml")

    assert found.options["cache_dir"] == str(tmp_path / "states")
    assert [(each.name, each.source, each.model) for each in found.caches] == [
        ("house", "system", None),
        ("examples", "messages", "house-model"),
        ("handbook", "text", "house-model"),
    ]
    assert found.caches[0].path == tmp_path / "house.txt"


def test_what_is_added_to_requests_is_told(folder: Path) -> None:
    file = folder / "here" / "aboard.toml"
    file.write_text(
        "[[serve.models]]\nmodel = 'tiny.gguf'\nsampling = { temperature = 0.2, top_k = 3 }\n"
        "chat_template_kwargs = { enable_thinking = false }\n[[serve.models]]\n"
        "model = 'tiny.gguf'\nname = 'plain'"
    )

    one, other = checked("--config", str(file))["models"]
    done = CliRunner().invoke(app, ["serve", "--check-config", "--config", str(file)])

    assert one["sampling"] == {"temperature": 0.2, "top_k": 3}
    assert one["chat_template_kwargs"] == {"enable_thinking": False}
    assert other["sampling"] == other["chat_template_kwargs"] == {}
    assert "sampling temperature 0.2, top_k 3; chat_template_kwargs enable_thinking no" in (
        " ".join(done.stdout.split())
    )
    assert "sampling none; chat_template_kwargs none" in " ".join(done.stdout.split())
