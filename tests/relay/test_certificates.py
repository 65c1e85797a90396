"""Certificates of listeners, while their files change."""

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.http.addresses import CertificateFiles, Entrance
from gateway.core.http.server_certificates import server_certificate
from gateway.relay.client.certificates import Certificates, UnusableCertificate
from tests.support.processes import eventually
from tests.support.tls import named, trusting_all


@pytest.fixture
def pairs(tmp_path: Path) -> list[CertificateFiles]:
    """Two pairs, each in files of its own."""
    found = []
    for number, name in enumerate(("one.example", "two.example")):
        pair = CertificateFiles(f"{tmp_path}/{number}.pem", f"{tmp_path}/{number}.key")
        replace(pair, named(tmp_path / "made", name))
        found.append(pair)
    return found


@pytest.fixture
def certificates(pairs: list[CertificateFiles]) -> Certificates:
    return Certificates(Entrance(certificates=tuple(pairs)))


def replace(pair: CertificateFiles, by: dict[str, str]) -> None:
    shutil.copy(by["cert_file"], pair.cert_file)
    shutil.copy(by["key_file"], pair.key_file)


def shown(certificates: Certificates, name: str) -> str:
    """The first name of the certificate that a client gets, in memory."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting_all().wrap_bio(a, b, server_hostname=name)
    server = certificates.context.wrap_bio(b, a, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    pem = ssl.DER_cert_to_PEM_cert(found).encode()

    return server_certificate(pem).names[0]


def truncate(pair: CertificateFiles, _made: Path) -> None:
    text = Path(pair.cert_file).read_bytes()
    Path(pair.cert_file).write_bytes(text[: len(text) // 2])


def remove(pair: CertificateFiles, _made: Path) -> None:
    Path(pair.key_file).unlink()


def mismatch(pair: CertificateFiles, made: Path) -> None:
    shutil.copy(named(made, "new.example")["cert_file"], pair.cert_file)


def expire(pair: CertificateFiles, made: Path) -> None:
    replace(pair, named(made, "old.example", days=-30))


def wait_for_validity(pair: CertificateFiles, made: Path) -> None:
    replace(pair, named(made, "young.example", days=30))


def be_a_folder(pair: CertificateFiles, _made: Path) -> None:
    Path(pair.key_file).unlink()
    Path(pair.key_file).mkdir()


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    ("break_", "why"),
    [
        (truncate, "PEM"),
        (remove, "No such file"),
        (mismatch, "the key belongs to another certificate"),
        (expire, "it has expired on"),
        (wait_for_validity, "it is not valid before"),
        (be_a_folder, ""),
    ],
)
def test_a_broken_pair(
    tmp_path: Path,
    certificates: Certificates,
    pairs: list[CertificateFiles],
    caplog: pytest.LogCaptureFixture,
    at: int,
    break_: Callable[[CertificateFiles, Path], None],
    why: str,
) -> None:
    """The old one goes on, and one line names the pair and says why; the other pair can be renewed
    meanwhile, and a good pair is used again.
    """
    names = ["one.example", "two.example"]
    break_(pairs[at], tmp_path / "made")
    for _ in range(3):
        certificates.look_for_changes()
    assert (certificates.counts.failures, certificates.counts.reloads) == (1, 0)
    [line] = caplog.messages
    assert line.startswith(f"the old certificate stays in use: {pairs[at].cert_file}")
    assert why in line
    assert [shown(certificates, name) for name in names] == names

    other = 1 - at
    replace(pairs[other], named(tmp_path / "made", "renewed.example", names[other]))
    certificates.look_for_changes()
    assert certificates.counts.reloads == 1
    assert shown(certificates, names[other]) == "renewed.example"
    assert shown(certificates, names[at]) == names[at]

    if Path(pairs[at].key_file).is_dir():
        Path(pairs[at].key_file).rmdir()
    replace(pairs[at], named(tmp_path / "made", "mended.example", names[at]))
    certificates.look_for_changes()
    assert (certificates.counts.failures, certificates.counts.reloads) == (1, 2)
    assert shown(certificates, names[at]) == "mended.example"


def test_a_pair_that_becomes_valid(
    tmp_path: Path, certificates: Certificates, pairs: list[CertificateFiles]
) -> None:
    """It is used from then on; until then, that is reported once."""
    replace(pairs[0], named(tmp_path / "made", "soon.example", days=1 + 2 / 86400))

    def is_used() -> bool:
        certificates.look_for_changes()
        return certificates.counts.reloads == 1

    eventually(is_used)
    assert certificates.counts.failures == 1
    assert shown(certificates, "elsewhere.example") == "soon.example"


def test_a_start_needs_all_pairs(pairs: list[CertificateFiles]) -> None:
    """The error names the pair."""
    shutil.copy(pairs[0].key_file, pairs[1].key_file)
    with pytest.raises(UnusableCertificate, match=r"/1\.pem, .*/1\.key: .*another certificate"):
        Certificates(Entrance(certificates=tuple(pairs)))


def test_one_certificate_is_for_all_names(tmp_path: Path) -> None:
    pair = CertificateFiles(**named(tmp_path, "one.example"))
    assert shown(Certificates(Entrance(certificates=(pair,))), "elsewhere.example") == "one.example"
