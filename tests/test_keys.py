"""Where keys are read, what makes a file unsafe to read, and that no complaint shows anything of a key."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from autotrader.adapters import keys
from autotrader.adapters.keys import AgeKeys, EnvironmentKeys, FileKeys, key_manager
from autotrader.config import Live
from autotrader.errors import OperatorError
from autotrader.messages import set_language

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


def pem(key, password: bytes | None = None) -> str:
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()


ED25519 = pem(ed25519.Ed25519PrivateKey.generate())
RSA = pem(rsa.generate_private_key(65537, 2048))
CURVE = pem(ec.generate_private_key(ec.SECP256R1()))
LOCKED = pem(ed25519.Ed25519PrivateKey.generate(), b"password")


def file(tmp_path: Path, text: str | bytes, mode: int = 0o600, name: str = "keys.toml") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def refusal(manager) -> str:
    with pytest.raises(OperatorError) as caught:
        manager.key()
    said = str(caught.value)
    assert "\n" not in said
    for value in (KEY, SECRET, *ED25519.splitlines()[1:-1]):
        assert not any(value[at : at + 8] in said for at in range(len(value) - 7))
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ is (
        caught.value.__context__ is not None
    )
    return said


def revealed(manager) -> tuple[str, str, str]:
    found = manager.key()
    return found.api_key.reveal(), found.secret.reveal(), found.kind


# ---------------------------------------------------------------------- environment


def test_keys_of_the_environment_are_taken_out_of_it():
    environment = {"AUTOTRADER_API_KEY": f" {KEY}\n", "AUTOTRADER_API_SECRET": SECRET, "HOME": "/"}
    manager = EnvironmentKeys(environment)
    assert revealed(manager) == (KEY, SECRET, "hmac")
    assert environment == {"HOME": "/"}
    assert revealed(manager) == (KEY, SECRET, "hmac")


def test_no_child_inherits_them():
    code = """
import os, subprocess
from autotrader.adapters.keys import EnvironmentKeys
EnvironmentKeys().key()
print(subprocess.run(["env"], capture_output=True, text=True, check=True).stdout)
"""
    environment = os.environ | {"AUTOTRADER_API_KEY": KEY, "AUTOTRADER_API_SECRET": SECRET}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "PATH=" in done.stdout and KEY not in done.stdout and SECRET not in done.stdout


@pytest.mark.parametrize("missing", ["AUTOTRADER_API_KEY", "AUTOTRADER_API_SECRET"])
def test_a_variable_that_is_not_set_is_named_and_the_other_one_does_not_stay(missing):
    environment = {"AUTOTRADER_API_KEY": KEY, "AUTOTRADER_API_SECRET": SECRET}
    del environment[missing]
    assert refusal(EnvironmentKeys(environment)).startswith(f"{missing} is not set; export it")
    assert not environment


# ---------------------------------------------------------------------- file


@pytest.mark.parametrize(
    ("text", "secret", "kind"),
    [
        (f'api_key = "{KEY}"\napi_secret = "{SECRET}"\n', SECRET, "hmac"),
        (f"# ours\r\napi_secret = '{SECRET}'\r\napi_key = '{KEY}'\r\n", SECRET, "hmac"),
        (f'api_key = "{KEY}"\napi_secret = """\n{ED25519}"""\n', ED25519.strip(), "ed25519"),
        (f'api_key = "{KEY}"\napi_secret = """{RSA}"""\n', RSA.strip(), "rsa"),
        (f"{KEY}\n{SECRET}\n", SECRET, "hmac"),
        (f"\n{KEY}\r\n\r\n{SECRET}", SECRET, "hmac"),
        (f"\ufeff{KEY}\n{ED25519}", ED25519.strip(), "ed25519"),
        (f"{KEY}\n{RSA}\n", RSA.strip(), "rsa"),
    ],
)
def test_a_file_holds_keys_as_toml_or_on_lines_and_its_kind_is_recognised(tmp_path, text, secret, kind):
    assert revealed(FileKeys(file(tmp_path, text))) == (KEY, secret, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        KEY,
        f"{KEY} {SECRET}",
        f"{KEY}\n{SECRET}\n{SECRET}",
        f'api_key = "{KEY}"',
        f'api_key = "{KEY}"\napi_secret = 12345678',
        f'api_key = "{KEY}"\napi_secret = "{SECRET}"\nother = "{SECRET}"',
        f'[live]\napi_key = "{KEY}"\napi_secret = "{SECRET}"',
        b"\xff\xfe" + KEY.encode("utf-16"),
        "[" * 5000,
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text):
    path = file(tmp_path, text)
    assert refusal(FileKeys(path)).startswith(f"{path}: holds no keys; write api_key and api_secret")


@pytest.mark.parametrize(
    "value",
    ["", "short", "has spaces in its middle", "tab\tin-the-middle", "bell-\a-in-the-middle", "schlüssel-schlüssel"],
)
def test_what_no_key_looks_like_is_refused(tmp_path, value):
    path = file(tmp_path, f"api_key = {KEY!r}\napi_secret = {json.dumps(value)}")
    assert refusal(FileKeys(path)).startswith(f"{path}: the API key or its secret is too short")


@pytest.mark.parametrize("text", [CURVE, LOCKED, ED25519.replace("M", "N"), "-----BEGIN PRIVATE KEY-----\nno\n"])
def test_a_private_key_of_another_kind_is_refused(tmp_path, text):
    path = file(tmp_path, f"{KEY}\n{text}")
    assert refusal(FileKeys(path)).startswith(f"{path}: the private key is no Ed25519 or RSA key in PEM")


@pytest.mark.parametrize("mode", [0o400, *[mode for mode in range(0o601, 0o1000) if mode & 0o600 == 0o600][::7]])
def test_a_file_that_is_not_of_mode_0600_is_refused(tmp_path, mode):
    path = file(tmp_path, f"{KEY}\n{SECRET}", mode)
    assert refusal(FileKeys(path)).startswith(f"{path}: its mode is {mode:04o}, so that others")


@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX])
def test_special_bits_are_no_mode_0600(tmp_path, bit):
    assert "its mode is" in refusal(FileKeys(file(tmp_path, f"{KEY}\n{SECRET}", 0o600 | bit)))


def test_a_symbolic_link_a_folder_a_pipe_and_nothing_are_refused(tmp_path):
    path = file(tmp_path, f"{KEY}\n{SECRET}")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert refusal(FileKeys(link)).startswith(f"{link}: is a symbolic link")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert refusal(FileKeys(pipe)).startswith(f"{pipe}: is no regular file")
    assert refusal(FileKeys(tmp_path)).startswith(f"{tmp_path}: is no regular file")
    assert refusal(FileKeys(tmp_path / "none")).startswith(f"{tmp_path / 'none'}: there is no such file")
    assert "cannot be read" in refusal(FileKeys(Path("a\0b")))
    assert "cannot be read" in refusal(FileKeys(path / "below"))


def test_a_file_of_somebody_else_is_refused(tmp_path, monkeypatch):
    path = file(tmp_path, f"{KEY}\n{SECRET}")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert refusal(FileKeys(path)).startswith(f"{path}: belongs to another user")


def test_a_large_file_is_refused(tmp_path):
    path = file(tmp_path, b"x" * (16 * 1024 + 1))
    assert refusal(FileKeys(path)).startswith(f"{path}: is larger than 16 KiB")


# ---------------------------------------------------------------------- age


def sealed(tmp_path: Path, pyrage, text: str = f"{KEY}\n{SECRET}\n", **how) -> tuple[Path, Path]:
    """A file of keys that is encrypted to an identity, and the file of that identity."""
    identity = pyrage.x25519.Identity.generate()
    own = file(tmp_path, f"# created: 2026-11-30\n# public key: x\n{identity}\n", name="identity.txt")
    return file(tmp_path, pyrage.encrypt(text.encode(), [identity.to_public()], **how), name="keys.age"), own


@pytest.mark.parametrize("armored", [False, True])
def test_a_file_that_is_encrypted_to_an_identity_is_opened_with_it(tmp_path, armored):
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    manager = AgeKeys(*sealed(tmp_path, pyrage, armored=armored))
    assert revealed(manager) == revealed(manager) == (KEY, SECRET, "hmac")


def test_a_file_that_is_encrypted_with_a_passphrase_is_opened_once_and_the_passphrase_is_gone(tmp_path):
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    path = file(tmp_path, pyrage.passphrase.encrypt(f"{KEY}\n{ED25519}".encode(), "open sesame"), name="keys.age")
    environment = {"AUTOTRADER_AGE_PASSPHRASE": "open sesame"}
    manager = AgeKeys(path, None, environment)
    assert revealed(manager) == revealed(manager) == (KEY, ED25519.strip(), "ed25519")
    assert not environment
    environment["AUTOTRADER_AGE_PASSPHRASE"] = "open barley"
    assert refusal(AgeKeys(path, None, environment)).startswith(f"{path}: cannot be decrypted")
    assert refusal(AgeKeys(path, None, environment)).startswith("AUTOTRADER_AGE_PASSPHRASE is not set")


def test_what_does_not_open_a_file_is_refused(tmp_path):
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    path, own = sealed(tmp_path, pyrage)
    other = file(tmp_path, f"{pyrage.x25519.Identity.generate()}", name="other.txt")
    assert refusal(AgeKeys(path, other)).startswith(f"{path}: cannot be decrypted")
    assert refusal(AgeKeys(file(tmp_path, b"plain"), own)).startswith(f"{tmp_path / 'keys.toml'}: cannot be decrypted")
    none = file(tmp_path, "AGE-SECRET-KEY-1AAAA", name="none.txt")
    assert refusal(AgeKeys(path, none)).startswith(f"{none}: holds no age identity")
    assert refusal(AgeKeys(*sealed(tmp_path, pyrage, "nothing"))).startswith(f"{path}: holds no keys")


@pytest.mark.parametrize("which", [0, 1])
def test_the_encrypted_file_and_the_identity_are_read_as_carefully_as_open_keys(tmp_path, which):
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    paths = sealed(tmp_path, pyrage)
    paths[which].chmod(0o640)
    assert refusal(AgeKeys(*paths)).startswith(f"{paths[which]}: its mode is 0640")


def test_without_pyrage_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    path = file(tmp_path, b"age-encryption.org/v1\n")
    wanted = f'{path}: keys = "age" needs pyrage; install the extra: pip install "autotrader[age]"'
    assert refusal(AgeKeys(path, None, {})) == wanted
    set_language("ko")
    assert 'pip install "autotrader[age]"' in refusal(AgeKeys(path, None, {}))


# ---------------------------------------------------------------------- choice


def test_the_configuration_chooses_who_keeps_the_keys(tmp_path, monkeypatch):
    file(tmp_path, f"{KEY}\n{SECRET}", name="open.txt")
    assert revealed(key_manager(Live(keys="file", key_file="open.txt"), tmp_path)) == (KEY, SECRET, "hmac")
    monkeypatch.setenv("AUTOTRADER_API_KEY", KEY[::-1])
    monkeypatch.setenv("AUTOTRADER_API_SECRET", SECRET[::-1])
    assert revealed(key_manager(Live(), tmp_path)) == (KEY[::-1], SECRET[::-1], "hmac")
    assert isinstance(key_manager(Live(keys="age", key_file="keys.age"), tmp_path), keys.AgeKeys)
