"""The examples in other languages have the same conversation with Lake as Python's, on real servers."""

from __future__ import annotations

import pytest

from datapunk.settings import Settings
from tests.building import ROOT, Language, built, go, java, node
from tests.wire.speaking import check_conversation, spoken

LANGUAGES = {
    "go": go("speak_json"),
    "java": java("target/speak-json.jar"),
    "node": node("speak_json.js"),
}


@pytest.mark.timeout(600)  # the first time it's built, and what it needs is downloaded
@pytest.mark.parametrize(("name", "language"), LANGUAGES.items(), ids=LANGUAGES)
async def test_commands_events_and_a_query(settings: Settings, name: str, language: Language) -> None:
    check_conversation(await spoken(settings, built(ROOT / "examples" / name, language)))


@pytest.mark.parametrize(("name", "language"), LANGUAGES.items(), ids=LANGUAGES)
def test_a_missing_program_is_named_with_what_to_install(
    name: str, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match=r"isn't on this machine: install .+\("):
        built(ROOT / "examples" / name, language)
