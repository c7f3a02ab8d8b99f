"""The README's own example, run as it stands: a stranger's first token."""

import builtins
import re
from pathlib import Path

import httpx2
import pytest

from tests.parts.browser import Browser, LostWay
from tests.parts.server import HoldfastProcess

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_example_ends_with_a_live_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = HoldfastProcess(tmp_path)
    try:
        sandbox = f"{server.base_url}/lab/sandbox"
        secret = httpx2.get(f"{sandbox}/control/state").json()["client"]["secret"]
        example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        assert example is not None
        code = example[1]
        for shown, real in (("sk_...", server.api_key), ("http://localhost:8787", server.base_url), ("sbx...", secret)):
            assert shown in code
            code = code.replace(shown, real)

        def connect_in_a_browser(prompt: str) -> str:
            link = re.search(r"http\S+(?=, connect)", prompt)
            assert link is not None
            with pytest.raises(LostWay, match="is connected"):  # the journey's last page: there is nowhere to go on to
                Browser().walk(link[0], stop_at="nowhere")
            return ""

        monkeypatch.setattr(builtins, "input", connect_in_a_browser)
        exec(compile(code, str(README), "exec"), {})
        token = capsys.readouterr().out.strip()
        me = httpx2.get(f"{sandbox}/api/me", headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 200
    finally:
        server.stop()
