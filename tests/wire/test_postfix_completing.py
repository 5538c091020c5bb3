"""`pennyred check` reads the settings of the Postfix behind the gate: one that completes letters breaks their DKIM."""

import pytest
from tests.support import real_postfix
from tests.support.program import run_json
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import Town

pytestmark = pytest.mark.skipif(not real_postfix.is_available(), reason=real_postfix.WHY_NOT)
OPTION = "    -o local_header_rewrite_clients="


@pytest.fixture
def hinted(tmp_path, monkeypatch):
    """What `check` says of a listener: the keys of its hints, with what they are about."""

    def said(listener: str, port: int, settings: dict[str, str], gate: str = "") -> list[str]:
        with Postfix(listener, settings) as postfix:
            monkeypatch.setenv("MAIL_CONFIG", str(postfix.folder / "conf"))
            town = Town.found(tmp_path, port, gate)
            hints = run_json("--config", str(town.settings), "check", check=False)["hints"]
        return [one["key"] for one in hints if "completes letters" in one["what"]]

    return said


@pytest.mark.parametrize(
    ("change", "settings", "is_hinted"),
    [
        pytest.param(OPTION, {}, False, id="the recipe"),
        pytest.param("", {}, True, id="without its line"),
        pytest.param("", {"local_header_rewrite_clients": ""}, False, id="set for all listeners"),
        pytest.param(f"{OPTION}permit_mynetworks", {}, True, id="for neighbours"),
    ],
)
def test_a_postfix_that_completes_letters_is_named(hinted, change, settings, is_hinted):
    port = free_port()
    listener = services("gate-in-front.master.cf", p10025=port)
    assert f"{OPTION}\n" in listener
    said = hinted(listener.replace(f"{OPTION}\n", f"{change}\n" if change else ""), port, settings)
    assert said == (["gate.upstream"] if is_hinted else [])


def test_that_of_outgoing_mail_too(hinted):
    port, back = free_port(), free_port()
    listeners = services("gate-in-front.master.cf", p10025=port) + f"127.0.0.1:{back} inet n - n - - smtpd\n"
    gate = f'upstream = "smtp://127.0.0.1:{port}"\n[gate.outgoing]\nlisten = ["127.0.0.1:{free_port()}"]\n'
    said = hinted(listeners, port, {}, f'{gate}upstream = "smtp://127.0.0.1:{back}"')
    assert said == ["gate.outgoing.upstream"]
